import type { Clock } from "./clock.js";
import { InvalidOptions } from "./errors.js";
import type { Report } from "./report.js";

/** Bytes that the server takes in one request, inflated. */
export const MAX_BODY = 5 * 1024 * 1024;

/** How a client behaves; times are in seconds. */
export interface Options {
  baseUrl: string;
  /** A secret or publishable key. */
  key: string;
  /** File in which events wait, for this process alone; without one: in memory. */
  queuePath?: string;
  /** Events in one request, at most: 100, up to 1,000. */
  batchSize?: number;
  /** Bytes in one request before compression, at most: 1 MiB; a larger event goes alone. */
  batchBytes?: number;
  /** How long an event may wait for others before the background sends it: 1. */
  flushInterval?: number;
  /** Bodies of at least so many bytes are compressed: 1,024. */
  gzipBytes?: number;
  /** How long a request may take: 10. */
  timeout?: number;
  /** The first step of the back-off, which doubles with each failure: 1. */
  backoffBase?: number;
  /** The largest step of the back-off: 60. */
  backoffMax?: number;
  /** Bytes of events that may wait, in memory or in the file: 64 MiB. */
  maxQueueBytes?: number;
  /** False: nothing is sent but in flush() and close(). */
  background?: boolean;
  /** Called for each report; without one, reports go to console.warn. */
  onError?: (report: Report) => void;
  /** Instead of the global fetch, for proxies and tests. */
  fetch?: typeof fetch;
  /** For tests. */
  clock?: Clock;
}

const NUMBERS = {
  batchSize: { usual: 100, least: 1, most: 1000 },
  batchBytes: { usual: 1024 * 1024, least: 1024, most: MAX_BODY },
  flushInterval: { usual: 1, least: 0, most: 3600 },
  gzipBytes: { usual: 1024, least: 0, most: Infinity },
  timeout: { usual: 10, least: 0.01, most: 600 },
  backoffBase: { usual: 1, least: 0.01, most: 3600 },
  backoffMax: { usual: 60, least: 0.01, most: 3600 },
  maxQueueBytes: { usual: 64 * 1024 * 1024, least: 1024, most: Infinity },
} as const;
const OTHERS = ["baseUrl", "key", "queuePath", "background", "onError", "fetch", "clock"];

/** The numbers among the options, each given or usual. */
export type Numbers = { readonly [name in keyof typeof NUMBERS]: number };

/** Checks all options and returns the numbers. Throws `InvalidOptions`. */
export function checked(options: Options): Numbers {
  const url = parsed(options.baseUrl);
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new InvalidOptions("baseUrl must be an http or https URL, such as https://tenure.example.com.");
  }
  checkKey(options.key);
  const unknown = Object.keys(options).find((name) => !(name in NUMBERS) && !OTHERS.includes(name));
  if (unknown !== undefined) throw new InvalidOptions(`${unknown} is not an option.`);
  const numbers = Object.entries(NUMBERS).map(([name, { usual, least, most }]) => {
    const value: unknown = options[name as keyof Numbers] ?? usual;
    if (typeof value !== "number" || !(value >= least && value <= most)) {
      throw new InvalidOptions(`${name} must be a number from ${least} to ${most}.`);
    }
    return [name, value];
  });
  return Object.fromEntries(numbers) as Numbers;
}

/** Throws `InvalidOptions` for what cannot be a key. */
export function checkKey(key: unknown): asserts key is string {
  if (typeof key !== "string" || !/^[\x21-\x7e]+$/.test(key)) {
    throw new InvalidOptions("key must be the text of a secret or publishable key, without spaces.");
  }
}

function parsed(url: unknown): URL | null {
  try {
    return new URL(String(url));
  } catch {
    return null;
  }
}
