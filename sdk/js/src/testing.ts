/**
 * For the tests of programs that use the client: a transport that keeps events instead of sending them.
 *
 *     const fake = new FakeTransport();
 *     const options = { baseUrl: "http://tenure.test", key: "sk_test", background: false };
 *     const client = new Client({ ...options, fetch: fake.fetch });
 *     client.track("signed_up", { customerId: "cus_1" });
 *     await client.flush();
 *     assert.equal(fake.events[0].event, "signed_up");
 */
import { gunzipSync } from "node:zlib";

/** An event as the server would have been given it. */
export interface SentEvent {
  message_id: string | number;
  [field: string]: unknown;
}

/** Answers as a server that stores everything. */
export class FakeTransport {
  /** What it was given, in order, each message id once. */
  readonly events: SentEvent[] = [];
  /** How many requests there were. */
  requests = 0;
  private readonly known = new Set<string | number>();
  private readonly failures: { status: number | null; retryAfter: number | undefined }[] = [];

  /** Let the next `times` requests fail: with `status`, or without an answer when it is null. */
  fail(failure: { status?: number | null; times?: number; retryAfter?: number } = {}): void {
    const { status = 503, times = 1, retryAfter } = failure;
    for (let n = 0; n < times; n++) this.failures.push({ status, retryAfter });
  }

  /** Give this to the client as its option `fetch`. */
  readonly fetch: typeof globalThis.fetch = async (_url, init) => {
    this.requests += 1;
    const failure = this.failures.shift();
    if (failure?.status === null) throw new TypeError("FakeTransport was told to fail.");
    if (failure !== undefined) {
      const headers = failure.retryAfter === undefined ? {} : { "retry-after": String(failure.retryAfter) };
      return new Response(null, { status: failure.status, headers });
    }
    const sent = Buffer.from(init?.body as Uint8Array);
    const body = new Headers(init?.headers).has("content-encoding") ? gunzipSync(sent) : sent;
    const { events } = JSON.parse(body.toString()) as { events: SentEvent[] };
    const statuses = events.map((event) => (this.keep(event) ? "stored_pending" : "duplicate"));
    const results = statuses.map((status, index) => ({ index, status }));
    return new Response(JSON.stringify({ receipt: "0".repeat(32), results }), { status: 202 });
  };

  private keep(event: SentEvent): boolean {
    if (this.known.has(event.message_id)) return false;
    this.known.add(event.message_id);
    this.events.push(event);
    return true;
  }
}
