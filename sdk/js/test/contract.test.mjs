// Every case of sdk/contract, with both queues.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Client, ClientClosed, InvalidEvent } from "tenure-client";
import { FakeClock, ScriptedServer } from "./scripted.mjs";

const CASES = new URL("../../contract/cases/", import.meta.url);
const ERRORS = { invalid: InvalidEvent, closed: ClientClosed };

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const renamed = (object, rename) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [rename(name), value]));

/** The JavaScript value that a `{"$": …}` of a case stands for. */
function realValue(value) {
  if (Array.isArray(value)) return value.map(realValue);
  if (typeof value !== "object" || value === null) return value;
  const cycle = [];
  cycle.push(cycle);
  switch (value.$) {
    case undefined:
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, realValue(item)]));
    case "nan":
      return NaN;
    case "infinity":
      return Infinity;
    case "time":
      return new Date(value.value);
    case "set":
      return new Set(value.value);
    case "lone_surrogate":
      return "\ud800";
    case "unserialisable":
      return () => {};
    case "cycle":
      return cycle;
    case "nested": {
      let nested = [];
      for (let level = 1; level < value.levels; level++) nested = [nested];
      return nested;
    }
    default:
      throw new Error(`unknown value ${value.$}`);
  }
}

/** One client at work on one case. */
class Run {
  calls = 0;
  messageIds = [];
  reports = [];

  constructor(contract, server, queuePath) {
    this.contract = contract;
    this.server = server;
    this.clock = new FakeClock(server);
    this.client = new Client({
      baseUrl: server.url,
      key: "sk_contract",
      background: false,
      clock: this.clock,
      onError: (report) => this.reports.push(report),
      ...(queuePath === null ? {} : { queuePath }),
      ...renamed(contract.options ?? {}, camel),
    });
  }

  async step({ do: name, ...step }) {
    if (name === "track") this.track(step);
    else if (name === "identify") this.queueOne((fields) => this.client.identify(fields), step);
    else if (name === "flush" || name === "close") {
      const { remaining, ...options } = step;
      assert.equal(await this.client[name](options), remaining);
    } else if (name === "set_key") this.client.setKey(step.key);
    else if (name === "advance") this.clock.seconds += step.seconds;
    else if (name === "work") {
      await this.client.work();
      assert.equal(this.server.requests.length, step.requests);
    } else throw new Error(`unknown step ${name}`);
  }

  track({ times, pad, event, ...step }) {
    for (let n = 0; n < (times ?? 1); n++) {
      const fields = { ...step };
      if (times !== undefined) fields.properties = { ...fields.properties, n };
      if (pad !== undefined) fields.properties = { ...fields.properties, pad: "x".repeat(pad) };
      this.queueOne((converted) => this.client.track(event, converted), fields);
    }
  }

  queueOne(call, { raises, ...given }) {
    const fields = renamed(realValue(given), camel);
    if (raises !== undefined) {
      assert.throws(() => call(fields), ERRORS[raises]);
      return;
    }
    this.messageIds.push(call(fields));
    this.calls += 1;
  }

  check() {
    const { requests, waits, counts, reports } = this.contract.expect;
    const seen = this.server.requests;
    if (requests !== undefined) {
      assert.equal(seen.length, requests.length);
      requests.forEach((wanted, index) => this.checkRequest(seen[index], wanted));
    }
    if (waits !== undefined) {
      assert.equal(this.clock.waits.length, waits.length, String(this.clock.waits));
      this.clock.waits.forEach((wait, index) => {
        const [least, most] = waits[index];
        assert.ok(least - 1e-6 <= wait && wait <= most + 1e-6, `${wait}`);
      });
    }
    if (counts !== undefined) assert.deepEqual(this.client.counts, counts);
    if (reports !== undefined) {
      assert.equal(this.reports.length, reports.length, JSON.stringify(this.reports));
      reports.forEach((wanted, index) => assertSubset(renamed(this.reports[index], snake), wanted));
    }
    const { delivered, queued, dropped } = this.client.counts;
    assert.equal(delivered + queued + dropped, this.calls);
    const made = this.messageIds.filter((messageId) => messageId !== null);
    assert.equal(new Set(made).size, made.length);
    for (const event of seen.flatMap((request) => request.events)) assert.ok(made.includes(event.message_id));
  }

  checkRequest(request, wanted) {
    assert.equal(request.method, wanted.method ?? request.method);
    assert.equal(request.path, wanted.path ?? request.path);
    for (const [name, value] of Object.entries(wanted.headers ?? {})) assert.equal(request.headers[name] ?? null, value);
    assert.equal(request.events.length, wanted.count ?? request.events.length);
    (wanted.events ?? []).forEach((subset, index) => assertSubset(request.events[index], subset));
    if (wanted.exactly !== undefined) {
      const exactly = wanted.exactly.map((event, index) => ({
        message_id: request.events[index].message_id,
        ...event,
      }));
      assert.deepEqual(request.events, exactly);
    }
    assert.ok(request.body.length <= (wanted.max_bytes ?? Infinity));
    if (wanted.same_events_as !== undefined) {
      assert.deepEqual(request.events, this.server.requests[wanted.same_events_as].events);
    }
  }
}

/** Every field that is wanted is there and as wanted, at every level. */
function assertSubset(seen, wanted) {
  if (typeof wanted !== "object" || wanted === null || Array.isArray(wanted)) {
    assert.deepEqual(seen ?? null, wanted);
    return;
  }
  for (const [name, value] of Object.entries(wanted)) assertSubset(seen[name], value);
}

const files = readdirSync(CASES).filter((name) => name.endsWith(".json"));

test("The directory of the cases was found.", () => assert.ok(files.length > 30));

for (const file of files) {
  const contract = JSON.parse(readFileSync(new URL(file, CASES), "utf8"));
  for (const queue of contract.queue === "memory" ? ["memory"] : ["memory", "disk"]) {
    test(`${file} (${queue}): ${contract.about}`, { timeout: 30_000 }, async () => {
      const directory = mkdtempSync(join(tmpdir(), "tenure-client-"));
      const server = await ScriptedServer.start(contract.replies);
      const run = new Run(contract, server, queue === "disk" ? join(directory, "queue") : null);
      try {
        for (const step of contract.steps) await run.step(step);
        run.check();
      } finally {
        await run.client.close({ timeout: 0 });
        await server.close();
        rmSync(directory, { recursive: true });
      }
    });
  }
}
