/** What the answer to a batch means: pure, without a clock or a queue. */
import { type Item, messageIdOf } from "./queue.js";
import type { Kind, Report } from "./report.js";

/** The server's answer, or `fault`: why there is none. */
export type Answer = { status: number; retryAfter: string | null; body: string } | { fault: string };
type Reply = Exclude<Answer, { fault: string }>;

/**
 * What to do with the batch. `done`: it is resolved, `dropped` of its events without being delivered. `retry`: the same
 * again, later. `pause`: keep it, send nothing. `split`: keep it, send halves.
 */
export interface Outcome {
  action: "done" | "retry" | "pause" | "split";
  reports: Report[];
  dropped?: number;
  /** Seconds that the server asks for. */
  retryAfter?: number | null;
}

const MAX_RETRY_AFTER = 3600;
const MAX_MESSAGE = 500;

/** The outcome of sending `items` at `now` (milliseconds since 1970, for a Retry-After that is a date). */
export function judge(answer: Answer, items: Item[], now: number): Outcome {
  if ("fault" in answer) {
    const report: Report = { kind: "retry", message: answer.fault, count: items.length, messageIds: [] };
    return { action: "retry", reports: [report] };
  }
  const { status } = answer;
  if (status >= 200 && status < 300) return stored(answer, items);
  if ((status === 401 || status === 403) && json(answer)["error"] !== "wrong_auth_hash") {
    return { action: "pause", reports: [refusal("auth", answer, items)] };
  }
  if (status === 413 && items.length > 1) return { action: "split", reports: [] };
  if (status === 408 || status === 429 || status < 400 || status >= 500) {
    const kind = status >= 300 && status < 400 ? "redirect" : "retry";
    return { action: "retry", reports: [refusal(kind, answer, items)], retryAfter: retryAfter(answer, now) };
  }
  const kind = status === 401 ? "invalid" : status === 413 ? "too_large" : "rejected";
  return { action: "done", reports: [refusal(kind, answer, items)], dropped: items.length };
}

// 2xx is durable, so whatever the body does not say counts as delivered.
function stored(reply: Reply, items: Item[]): Outcome {
  const results = json(reply)["results"];
  const reports: Report[] = [];
  for (const result of Array.isArray(results) ? results : []) {
    const item = items[result?.index];
    if (item !== undefined && ["invalid", "conflict"].includes(result.status)) {
      reports.push(ofElement(result, reply.status, item));
    }
  }
  return { action: "done", reports, dropped: reports.filter((report) => report.kind === "invalid").length };
}

function ofElement(result: Record<string, unknown>, status: number, item: Item): Report {
  const about = { count: 1, messageIds: [messageIdOf(item)], status };
  if (result["status"] === "conflict") {
    const message = "An event with this message id and other content was stored before; the first counts.";
    return { kind: "conflict", message, ...about };
  }
  const message = `The server refused the event: ${text(result["message"]) ?? "it gave no reason"}`;
  return { kind: "invalid", message, ...about, code: text(result["code"]), field: text(result["field"]) };
}

const ADVICE: { [kind in Kind]?: string } = {
  auth: "The key was refused ($). Events are kept; nothing is sent until setKey or flush.",
  redirect: "The server answered with a redirect ($), which is not followed: set baseUrl right.",
  retry: "The server answered $. The events are kept and sent again.",
  too_large: "The event is larger than the server takes ($). It was dropped.",
  rejected: "The server refused the request ($). Its events were dropped.",
  invalid: "authHash is wrong for every event of the request ($). They were dropped.",
};

function refusal(kind: Kind, reply: Reply, items: Item[]): Report {
  const error = json(reply);
  const said = text(error["message"]);
  return {
    kind,
    message: (ADVICE[kind] ?? "").replace("$", String(reply.status)) + (said === undefined ? "" : ` It said: ${said}`),
    count: items.length,
    messageIds: items.map(messageIdOf),
    status: reply.status,
    code: text(error["error"]),
    field: text(error["field"]),
  };
}

function retryAfter(reply: Reply, now: number): number | null {
  const value = (reply.retryAfter ?? "").trim();
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - now) / 1000;
  return Number.isNaN(seconds) ? null : Math.min(seconds, MAX_RETRY_AFTER);
}

function json(reply: Reply): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(reply.body);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value.slice(0, MAX_MESSAGE) : undefined;
}
