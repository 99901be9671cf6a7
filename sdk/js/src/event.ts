/** One call of track or identify as the element of a request. */
import { randomUUID } from "node:crypto";
import { InvalidEvent } from "./errors.js";
import { MAX_BODY } from "./options.js";
import { type Json, toJson, wellFormed } from "./values.js";

export type Identifier = string | number;
type Given<T> = T | null | undefined;

/** The arguments of identify: at least one identifier, and `traits` or `user` with traits. */
export interface Attributes {
  customerId?: Given<Identifier>;
  uid?: Given<Identifier>;
  email?: Given<string>;
  anonymousId?: Given<Identifier>;
  /** A person within the customer. */
  user?: Given<{ id: Identifier; traits?: object }>;
  /** Attributes of the customer. */
  traits?: Given<object>;
  context?: Given<object>;
  /** Default: the time of the call. */
  occurredAt?: Given<Date | string | number>;
  /** Default: a new one. */
  messageId?: Given<Identifier>;
  /** Made by `sign`. */
  authHash?: Given<string>;
}

/** The arguments of track beside the name: at least one identifier. */
export interface Fields extends Attributes {
  properties?: Given<object>;
}

/** An element of a request, ready to be sent. */
export interface Element {
  messageId: Identifier;
  body: Buffer;
}

const IDENTIFIERS = { customerId: "customer_id", uid: "uid", email: "email", anonymousId: "anonymous_id" } as const;
const ATTRIBUTE_OBJECTS = ["user", "traits", "context"] as const;
const OBJECTS = ["user", "traits", "properties", "context"] as const;
const OTHERS = ["occurredAt", "messageId", "authHash"];
/** Bytes of one event; the rest of the request needs a few. */
const MAX_EVENT = MAX_BODY - 64;

/** A named event at `now` (milliseconds since 1970). Throws `InvalidEvent`. */
export function track(event: string, fields: Fields, now: number): Element {
  return element({ event: text(event, "event") }, fields, OBJECTS, now);
}

/** An element that only sets attributes. Throws `InvalidEvent`. */
export function identify(fields: Attributes, now: number): Element {
  if (!fields?.traits && !fields?.user?.traits) {
    throw new InvalidEvent("identify needs traits, or user with traits: the attributes to set.");
  }
  return element({}, fields, ATTRIBUTE_OBJECTS, now);
}

function element(made: { [name: string]: Json }, given: Fields, objects: readonly string[], now: number): Element {
  const fields: { [name: string]: unknown } = { ...given };
  const unknown = Object.keys(fields).find(
    (name) => !(name in IDENTIFIERS) && !objects.includes(name) && !OTHERS.includes(name),
  );
  if (unknown !== undefined) throw new InvalidEvent(`${unknown} is not a field of this call.`);
  const messageId = identifier(fields["messageId"] ?? randomUUID(), "messageId");
  made["message_id"] = messageId;
  made["occurred_at"] = time(fields["occurredAt"] ?? new Date(now));
  const named = Object.entries(IDENTIFIERS).filter(([name]) => (fields[name] ?? null) !== null);
  if (named.length === 0) {
    throw new InvalidEvent(`One of ${Object.keys(IDENTIFIERS).join(", ")} is needed: whose event it is.`);
  }
  for (const [name, field] of named) made[field] = identifier(fields[name], name);
  for (const name of objects) {
    if ((fields[name] ?? null) !== null) made[name] = object(fields[name], name);
  }
  if ((fields["authHash"] ?? null) !== null) made["auth_hash"] = text(fields["authHash"], "authHash");
  return { messageId, body: encoded(made) };
}

function encoded(made: Json): Buffer {
  const body = Buffer.from(JSON.stringify(made));
  if (body.length > MAX_EVENT) {
    throw new InvalidEvent(`The event has ${body.length} bytes; the server takes up to ${MAX_EVENT}.`);
  }
  return body;
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string" || value.trim() === "") {
    throw new InvalidEvent(`${name} must be text that is not empty.`);
  }
  return wellFormed(value);
}

function identifier(value: unknown, name: string): Identifier {
  return Number.isSafeInteger(value) && name !== "email" ? (value as number) : text(value, name);
}

function object(value: unknown, name: string): Json {
  const converted = toJson(value, name);
  if (typeof converted !== "object" || Array.isArray(converted)) throw new InvalidEvent(`${name} must be an object.`);
  return converted;
}

function time(value: unknown): Json {
  const converted = toJson(value, "occurredAt");
  if (typeof converted !== "string" && typeof converted !== "number") {
    throw new InvalidEvent("occurredAt must be a Date, text in ISO 8601, or seconds or milliseconds since 1970.");
  }
  return converted;
}
