/** JavaScript values as JSON: what JSON lacks becomes the nearest that it has, and the rest is an error at the call. */
import { InvalidEvent } from "./errors.js";

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/** Levels of arrays and objects in one field; the server takes 64 in a request. */
const MAX_DEPTH = 60;

/**
 * `value` made of what JSON has; `where` names it in errors. `undefined` is null here, and left out of objects. Throws
 * `InvalidEvent`.
 */
export function toJson(value: unknown, where: string, depth = 1): Json {
  if (value === null || value === undefined || typeof value === "boolean") return value ?? null;
  if (typeof value === "string") return wellFormed(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (typeof value !== "object" || ArrayBuffer.isView(value) || "then" in value) {
    throw new InvalidEvent(`${where} holds a ${kindOf(value)}, which has no form in JSON; convert it first.`);
  }
  if (depth > MAX_DEPTH) throw new InvalidEvent(`${where} has more than ${MAX_DEPTH} levels, or contains itself.`);
  if (Array.isArray(value) || value instanceof Set) {
    return Array.from(value as Iterable<unknown>, (item) => toJson(item, where, depth + 1));
  }
  if ("toJSON" in value && typeof value.toJSON === "function") return toJson(value.toJSON(), where, depth + 1);
  const entries: [unknown, unknown][] = value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(
    entries
      .filter(([, item]) => item !== undefined)
      .map(([name, item]) => [nameOf(name, where), toJson(item, where, depth + 1)]),
  );
}

/** `text` with U+FFFD for unpaired surrogates, which UTF-8 does not have. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

function nameOf(name: unknown, where: string): string {
  if (typeof name !== "string" && typeof name !== "number") {
    throw new InvalidEvent(`${where} has a ${kindOf(name)} as a key; keys of JSON objects are text.`);
  }
  return wellFormed(String(name));
}

function kindOf(value: unknown): string {
  return typeof value === "object" && value !== null ? (value.constructor?.name ?? "object") : typeof value;
}
