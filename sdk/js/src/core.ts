/**
 * When to send what, and what becomes of it: a state machine without I/O of its own.
 *
 * A client asks `next`, sends the batch that it is given, and tells the answer to `settle`. At most one batch is under
 * way, and it stays the same until it is resolved, so nothing overtakes anything.
 */
import type { Clock } from "./clock.js";
import { QueueFault } from "./errors.js";
import type { Element } from "./event.js";
import type { Numbers } from "./options.js";
import { type Answer, type Outcome, judge } from "./outcome.js";
import type { Item, Queue } from "./queue.js";
import type { Counts, Kind, Report } from "./report.js";

const ENVELOPE = ['{"events":[', "]}"] as const;

/** Events of one request. */
export interface Batch {
  readonly items: Item[];
  readonly body: Buffer;
}

/** The queue, the batch under way, and when to go on. `reports` fills up for the client to pass on. */
export class Core {
  readonly reports: Report[] = [];
  private delivered = 0;
  private dropped = 0;
  private batch: Batch | null = null;
  /** Of the next batches, the last first, after a 413. */
  private sizes: number[] = [];
  private failures = 0;
  private notBefore = -Infinity;
  private isPaused = false;
  private isClosed = false;
  private due: number | null;

  constructor(
    private readonly options: Numbers,
    private readonly queue: Queue,
    private readonly clock: Clock,
  ) {
    // What an earlier process left is due at once.
    this.due = queue.length > 0 ? clock.monotonic() : null;
  }

  get counts(): Counts {
    return { delivered: this.delivered, queued: this.queue.length, dropped: this.dropped };
  }

  /** Queue one event; false when it was dropped, with a report. */
  add(element: Element): boolean {
    if (this.queue.bytes + element.body.length > this.options.maxQueueBytes) {
      this.drop("queue_full", "The queue is full (maxQueueBytes). The event was dropped.", element);
      return false;
    }
    try {
      this.queue.append(element.body);
    } catch (fault) {
      this.drop("disk", `${faultOf(fault).message} The event was dropped.`, element);
      return false;
    }
    this.due ??= this.clock.monotonic() + this.options.flushInterval;
    return true;
  }

  /** A batch to send now; or the seconds until there may be one; or null: nothing until something changes. */
  next(isFlushing: boolean): Batch | number | null {
    if (this.isClosed || this.isPaused || this.queue.length === 0) return null;
    const now = this.clock.monotonic();
    if (this.notBefore > now) return this.notBefore - now;
    this.due ??= now + this.options.flushInterval;
    const isFull = this.queue.length >= this.options.batchSize || this.queue.bytes >= this.options.batchBytes;
    const isDue = isFlushing || isFull || this.batch !== null || this.sizes.length > 0 || this.due <= now;
    if (!isDue) return this.due - now;
    this.batch ??= this.take();
    return this.batch;
  }

  /** What became of a batch that `next` gave. */
  settle(batch: Batch, answer: Answer): void {
    if (this.isClosed || batch !== this.batch) return;
    const outcome = judge(answer, batch.items, this.clock.now());
    try {
      this.apply(outcome, batch);
    } catch (fault) {
      // The events are still queued: they go out again, and their message ids keep them single.
      const { message } = faultOf(fault);
      this.reports.push({ kind: "disk", message, count: 0, messageIds: [], retryIn: this.fail(null) });
    }
  }

  private apply(outcome: Outcome, batch: Batch): void {
    if (outcome.action === "retry") {
      const retryIn = this.fail(outcome.retryAfter ?? null);
      this.reports.push(...outcome.reports.map((report) => ({ ...report, retryIn })));
      return;
    }
    if (outcome.action === "pause") {
      this.isPaused = true;
    } else if (outcome.action === "split") {
      const half = Math.floor(batch.items.length / 2);
      this.sizes.push(batch.items.length - half, half);
      this.batch = null;
    } else {
      const dropped = outcome.dropped ?? 0;
      this.queue.remove(batch.items.length);
      this.batch = null;
      this.due = null;
      this.failures = 0;
      this.dropped += dropped;
      this.delivered += batch.items.length - dropped;
    }
    this.reports.push(...outcome.reports);
  }

  /** End the pause that a refused key began. */
  resume(): void {
    this.isPaused = false;
  }

  /** The last counts; nothing is done from now on. Events in memory that were not sent are reported. */
  close(): Counts {
    const { counts } = this;
    if (counts.queued > 0 && !this.queue.isLasting) {
      const message = "The client was closed before these events could be sent. They are gone with the process.";
      this.reports.push({ kind: "unsent", message, count: counts.queued, messageIds: [] });
    }
    this.isClosed = true;
    this.queue.close();
    return counts;
  }

  private take(): Batch {
    const items = this.queue.head(this.sizes.pop() ?? this.options.batchSize);
    let size = ENVELOPE.join("").length;
    const fitting = items.findIndex((item, index) => (size += item.length + 1) > this.options.batchBytes && index > 0);
    const taken = fitting === -1 ? items : items.slice(0, fitting);
    const commas = taken.flatMap((item, index) => (index === 0 ? [item] : [Buffer.from(","), item]));
    return { items: taken, body: Buffer.concat([Buffer.from(ENVELOPE[0]), ...commas, Buffer.from(ENVELOPE[1])]) };
  }

  // Half of each step is chance, so that clients do not come back together. A server that asks for less than the first
  // step gets that step: no answer may make a busy loop.
  private fail(retryAfter: number | null): number {
    const wait = retryAfter === null ? this.step(this.failures) : Math.max(retryAfter, this.step(0));
    this.failures += 1;
    this.notBefore = this.clock.monotonic() + wait;
    return wait;
  }

  private step(failures: number): number {
    const step = Math.min(this.options.backoffBase * 2 ** Math.min(failures, 30), this.options.backoffMax);
    return step * (0.5 + Math.random() / 2);
  }

  private drop(kind: Kind, message: string, element: Element): void {
    this.dropped += 1;
    this.reports.push({ kind, message, count: 1, messageIds: [element.messageId] });
  }
}

/** `fault` as what a queue throws; anything else is a mistake of ours and goes on. */
function faultOf(fault: unknown): QueueFault {
  if (fault instanceof QueueFault) return fault;
  throw fault;
}
