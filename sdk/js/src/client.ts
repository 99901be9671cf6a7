import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { type Clock, realClock } from "./clock.js";
import { type Batch, Core } from "./core.js";
import { DiskQueue } from "./disk.js";
import { ClientClosed } from "./errors.js";
import { type Attributes, type Element, type Fields, type Identifier, identify, track } from "./event.js";
import { type Numbers, type Options, checkKey, checked } from "./options.js";
import type { Answer } from "./outcome.js";
import { Queue } from "./queue.js";
import type { Counts } from "./report.js";
import { VERSION } from "./version.js";

const compress = promisify(gzip);
const FLUSH_SECONDS = 30;
const CLOSE_SECONDS = 10;

/**
 * Sends events to a Tenure. track and identify return at once; the background sends. With `queuePath` they return
 * after the event is on disk, and what a crash leaves is sent by the next client of the same path. When nothing else
 * is left to do for the process, the client closes itself. The constructor throws `InvalidOptions` and `QueueFault`.
 */
export class Client {
  private readonly numbers: Numbers;
  private readonly core: Core;
  private readonly clock: Clock;
  private readonly url: string;
  private key: string;
  private timer: NodeJS.Timeout | undefined;
  private timerAt = Infinity;
  private isWorking = false;
  /** Whether something changed while the background was at work. */
  private isStirred = false;
  /** Ends when the request that is under way does. */
  private turn: Promise<void> | null = null;
  private closing: Promise<number> | null = null;
  private isClosed = false;
  private readonly beforeExit = () => void this.close();
  private readonly onExit = () => this.end();

  constructor(private readonly options: Options) {
    this.numbers = checked(options);
    this.clock = options.clock ?? realClock;
    this.url = options.baseUrl.replace(/\/+$/, "") + "/v1/ingest";
    this.key = options.key;
    this.core = new Core(
      this.numbers,
      options.queuePath === undefined ? new Queue() : new DiskQueue(options.queuePath),
      this.clock,
    );
    process.once("beforeExit", this.beforeExit).once("exit", this.onExit);
    this.wakeUp();
  }

  /** Events delivered, queued and dropped so far. */
  get counts(): Counts {
    return this.core.counts;
  }

  /**
   * Queue an event of the customer that at least one identifier names. Returns the message id; null when the event was
   * dropped, which was reported (`queue_full`, `disk`). Throws `InvalidEvent`, `ClientClosed`.
   */
  track(event: string, fields: Fields): Identifier | null {
    this.refuseWhenClosed();
    return this.add(track(event, fields, this.clock.now()));
  }

  /** Queue attributes (`traits`, or `user` with traits) of a customer, without an event. Otherwise as `track`. */
  identify(fields: Attributes): Identifier | null {
    this.refuseWhenClosed();
    return this.add(identify(fields, this.clock.now()));
  }

  /**
   * Send now. Resolves to how many events remain: 0, or more when it is sure that `timeout` seconds do not suffice.
   * After a refused key this tries once more. Never rejects.
   */
  async flush({ timeout = FLUSH_SECONDS }: { timeout?: number } = {}): Promise<number> {
    this.core.resume();
    const deadline = this.clock.monotonic() + timeout;
    for (let left = timeout; left > 0; left = deadline - this.clock.monotonic()) {
      const step = await this.step(left);
      if (step === null || step >= left) break;
      if (step > 0) await this.clock.sleep(step);
    }
    this.wakeUp();
    return this.counts.queued;
  }

  /**
   * Flush and stop. Resolves to how many events were not sent; those in memory are lost and reported as `unsent`.
   * May be called again. Never rejects.
   */
  close({ timeout = CLOSE_SECONDS }: { timeout?: number } = {}): Promise<number> {
    this.closing ??= this.flushAndEnd(timeout);
    return this.closing;
  }

  /** Use this key from now on, and go on sending if the last one was refused. Throws `InvalidOptions`. */
  setKey(key: string): void {
    checkKey(key);
    this.key = key;
    this.core.resume();
    this.wakeUp();
  }

  private async flushAndEnd(timeout: number): Promise<number> {
    this.isClosed = true;
    clearTimeout(this.timer);
    const remaining = await this.flush({ timeout });
    this.end();
    return remaining;
  }

  private end(): void {
    process.off("beforeExit", this.beforeExit).off("exit", this.onExit);
    this.isClosed = true;
    this.core.close();
    this.tell();
  }

  private refuseWhenClosed(): void {
    if (this.isClosed) throw new ClientClosed("The client is closed; make a new one.");
  }

  private add(element: Element): Identifier | null {
    const isKept = this.core.add(element);
    this.tell();
    this.wakeUp();
    return isKept ? element.messageId : null;
  }

  /** Let the background look again what is due, in so many seconds or sooner. It keeps no process alive. */
  private wakeUp(seconds = 0): void {
    this.isStirred = true;
    const at = this.clock.monotonic() + seconds;
    // A timer that is due sooner stays: setting it anew with each event would put it off for ever.
    if (this.options.background === false || this.isClosed || this.isWorking || this.timerAt <= at) return;
    clearTimeout(this.timer);
    this.timerAt = at;
    this.timer = setTimeout(() => void this.run(), seconds * 1000).unref();
  }

  private async run(): Promise<void> {
    this.timerAt = Infinity;
    this.isWorking = true;
    let wait: number | null;
    do {
      this.isStirred = false;
      wait = await this.work();
    } while (this.isStirred);
    this.isWorking = false;
    if (wait !== null) this.wakeUp(wait);
  }

  /** Send all that is due; the seconds until more may be due, null when that needs a new event. */
  private async work(): Promise<number | null> {
    let step: number | null;
    do step = await this.step(null);
    while (step === 0);
    return step;
  }

  /** Send one batch, and then 0; or how long to wait for one. With `left` seconds: as part of a flush. */
  private async step(left: number | null): Promise<number | null> {
    while (this.turn !== null) {
      if (!(await endsWithin(this.turn, left))) return left;
    }
    let end = () => {};
    this.turn = new Promise((resolve) => (end = resolve));
    try {
      const step = this.core.next(left !== null);
      if (step === null || typeof step === "number") return step;
      this.core.settle(step, await this.send(step, Math.min(left ?? Infinity, this.numbers.timeout)));
      return 0;
    } finally {
      this.turn = null;
      end();
      this.tell();
    }
  }

  private async send(batch: Batch, seconds: number): Promise<Answer> {
    try {
      const isGzip = batch.body.length >= this.numbers.gzipBytes;
      const response = await (this.options.fetch ?? fetch)(this.url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "x-api-key": this.key,
          "user-agent": `tenure-client-js/${VERSION}`,
          ...(isGzip ? { "content-encoding": "gzip" } : {}),
        },
        body: isGzip ? await compress(batch.body) : batch.body,
        redirect: "manual",
        signal: AbortSignal.timeout(Math.ceil(seconds * 1000)),
      });
      return {
        status: response.status,
        retryAfter: response.headers.get("retry-after"),
        body: await response.text(),
      };
    } catch (fault) {
      // Whatever fetch throws, the events are kept and the background lives.
      const { name, cause } = fault as Error & { cause?: { code?: string } };
      return { fault: `No answer from the server (${cause?.code ?? name}). The events are kept and sent again.` };
    }
  }

  /** Pass the reports on. What onError throws is printed: it must not end the sending. */
  private tell(): void {
    for (const report of this.core.reports.splice(0)) {
      if (this.options.onError === undefined) {
        console.warn(`tenure-client: ${report.kind}: ${report.message}`);
        continue;
      }
      try {
        this.options.onError(report);
      } catch (fault) {
        console.warn(`tenure-client: onError threw: ${String(fault)}`);
      }
    }
  }
}

/** Whether `work` ends within so many seconds; null: wait for it. */
async function endsWithin(work: Promise<void>, seconds: number | null): Promise<boolean> {
  if (seconds === null) return work.then(() => true);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), seconds * 1000)));
  return Promise.race([work.then(() => true), late]).finally(() => clearTimeout(timer));
}
