// What the contract leaves to each language: timers, processes, files, and the end of a program.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, test } from "node:test";
import { Client, InvalidEvent, InvalidOptions, QueueFault, sign } from "tenure-client";
import { FakeTransport } from "tenure-client/testing";
import { ScriptedServer } from "./scripted.mjs";

const directory = mkdtempSync(join(tmpdir(), "tenure-client-"));
after(() => rmSync(directory, { recursive: true }));

let files = 0;
let path;
let server;
beforeEach(async () => {
  path = join(directory, `queue${files++}`);
  server = await ScriptedServer.start();
});
afterEach(() => server.close());

const user = { customerId: "cus_1" };
const sent = () => server.requests.flatMap((request) => request.events.map((event) => event.message_id));

async function waitUntil(isTrue) {
  for (const deadline = Date.now() + 20_000; !isTrue(); ) {
    assert.ok(Date.now() < deadline, "waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A program of a user: a script that has `url` and `path`. */
function start(script) {
  const prelude = `import { Client } from "tenure-client"; const [url, path] = process.argv.slice(1);`;
  const command = ["--input-type=module", "--eval", prelude + script, server.url, path];
  return spawn(process.execPath, command, { cwd: new URL("..", import.meta.url), stdio: ["ignore", "pipe", "pipe"] });
}

async function finished(program) {
  let output = "";
  let errors = "";
  program.stdout.on("data", (bytes) => (output += bytes));
  program.stderr.on("data", (bytes) => (errors += bytes));
  const [code] = await once(program, "close");
  return { code, output: output.trim(), errors };
}

test("Without flush or close an event is sent once flushInterval has passed.", async () => {
  const client = new Client({ baseUrl: server.url, key: "sk", flushInterval: 0.01 });
  const first = client.track("feature_used", user);
  await waitUntil(() => client.counts.delivered === 1);
  const second = client.track("feature_used", user);
  await waitUntil(() => client.counts.delivered === 2);
  assert.deepEqual(sent(), [first, second]);
  await client.close();
});

test("Events that are tracked while others are sent go out by themselves too, each once.", async () => {
  const client = new Client({ baseUrl: server.url, key: "sk", flushInterval: 0, batchSize: 7 });
  const tracked = [];
  for (let n = 0; n < 300; n++) {
    tracked.push(client.track("feature_used", user));
    if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await waitUntil(() => client.counts.queued === 0);
  assert.deepEqual(sent(), tracked);
  await client.close();
});

test("Flushes at the same moment send each event once.", async () => {
  const client = new Client({ baseUrl: server.url, key: "sk", batchSize: 10 });
  const tracked = Array.from({ length: 50 }, () => client.track("feature_used", user));
  assert.deepEqual(await Promise.all([client.flush(), client.flush(), client.close()]), [0, 0, 0]);
  assert.deepEqual(sent(), tracked);
});

test("flush keeps to its deadline while a request of the background hangs.", async () => {
  server.replies.push({ fault: "hang" });
  const client = new Client({ baseUrl: server.url, key: "sk", flushInterval: 0, timeout: 60 });
  client.track("feature_used", user);
  await waitUntil(() => server.requests.length === 1);
  assert.equal(await client.flush({ timeout: 0.05 }), 1);
  await server.close();
  await client.close({ timeout: 0 });
});

test("A program that neither flushes nor closes delivers what it tracked, and ends.", async () => {
  const script = `console.log(new Client({ baseUrl: url, key: "sk", flushInterval: 60 }).track("signed_up", { uid: 1 }))`;
  const { code, output } = await finished(start(script));
  assert.equal(code, 0);
  assert.deepEqual(sent(), [output]);
});

test("A program that calls process.exit reads on stderr how many events were lost.", async () => {
  const script = `new Client({ baseUrl: url, key: "sk" }).track("signed_up", { uid: 1 }); process.exit(0)`;
  const { errors } = await finished(start(script));
  assert.match(errors, /unsent/);
});

test("After kill -9 the next client of the same path delivers every event whose track returned.", async () => {
  const script = `
    const client = new Client({ baseUrl: "http://127.0.0.1:9", key: "sk", queuePath: path, flushInterval: 0 });
    const work = () => { console.log(client.track("feature_used", { uid: 1 })); setImmediate(work); };
    work();`;
  const program = start(script);
  let output = "";
  program.stdout.on("data", (bytes) => (output += bytes));
  await waitUntil(() => output.split("\n").length > 100);
  program.kill("SIGKILL");
  await once(program, "close");
  const tracked = output.split("\n").slice(0, -1);
  const client = new Client({ baseUrl: server.url, key: "sk", queuePath: path });
  assert.equal(await client.close(), 0);
  assert.deepEqual(sent().slice(0, tracked.length), tracked);
});

test("What close could not send is delivered by the next client, without a call of track.", async () => {
  const reports = [];
  const options = { key: "sk", queuePath: path, flushInterval: 0, onError: (report) => reports.push(report.kind) };
  const first = new Client({ baseUrl: "http://127.0.0.1:9", ...options });
  const messageId = first.track("feature_used", user);
  assert.equal(await first.close({ timeout: 0.2 }), 1);
  assert.ok(!reports.includes("unsent"));
  const second = new Client({ baseUrl: server.url, ...options });
  await waitUntil(() => second.counts.delivered === 1);
  await second.close();
  assert.deepEqual(sent(), [messageId]);
});

test("A file serves one client at a time; the lock of a dead process is taken over.", async () => {
  const options = { baseUrl: server.url, key: "sk", queuePath: path };
  const first = new Client(options);
  assert.throws(() => new Client(options), QueueFault);
  await first.close();
  const died = spawn(process.execPath, ["--version"], { stdio: "ignore" });
  await once(died, "close");
  writeFileSync(`${path}.lock`, `${died.pid} 1`);
  await new Client(options).close();
  writeFileSync(`${path}.lock`, `${process.pid} 1`); // another process, long ago, with the number of this one
  if (process.platform === "linux") await new Client(options).close();
});

test("A torn last line does not count, and what follows is read.", async () => {
  const options = { baseUrl: server.url, key: "sk", queuePath: path, background: false };
  const first = new Client(options);
  const whole = first.track("feature_used", user);
  await first.close({ timeout: 0 });
  appendFileSync(path, '+{"message_id":"torn"');
  const second = new Client(options);
  const next = second.track("feature_used", user);
  await second.close({ timeout: 0 });
  assert.equal(await new Client(options).close(), 0);
  assert.deepEqual(sent(), [whole, next]);
});

test("A batch that was sent is not sent again after a crash, and the file does not grow for ever.", async () => {
  const options = { baseUrl: server.url, key: "sk", queuePath: path, background: false, batchBytes: 1024 * 1024 };
  const properties = { text: "x".repeat(300_000) };
  const client = new Client(options);
  const tracked = Array.from({ length: 30 }, () => client.track("feature_used", { ...user, properties }));
  assert.ok(statSync(path).size > 9_000_000);
  server.replies.push(...Array(9).fill({ status: 202 }), { status: 503, headers: { "Retry-After": "60" } });
  assert.equal(await client.flush(), 3);
  assert.ok(statSync(path).size < 6_000_000);
  const lines = readFileSync(path, "utf8").split("\n");
  assert.equal(lines.at(-1), "");
  rmSync(`${path}.lock`); // as if this process had died here
  const next = new Client(options);
  assert.equal(next.counts.queued, 3);
  assert.equal(await next.close(), 0);
  assert.deepEqual(sent().slice(0, 27), tracked.slice(0, 27));
  assert.deepEqual(sent().slice(-3), tracked.slice(-3));
  assert.equal(statSync(path).size, 0);
});

test("Files that cannot be used are errors at once, which do not show what is in them.", () => {
  writeFileSync(path, "private text\n");
  for (const queuePath of [path, join(directory, "missing", "queue"), directory]) {
    const make = () => new Client({ baseUrl: server.url, key: "sk", queuePath });
    assert.throws(make, (error) => error instanceof QueueFault && !error.message.includes("private"));
  }
  assert.throws(() => statSync(`${path}.lock`), { code: "ENOENT" });
});

test("Only the owner may read the file.", async () => {
  await new Client({ baseUrl: server.url, key: "sk", queuePath: path }).close();
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("onError may throw and may close the client.", async () => {
  server.replies.push({ status: 400 }, { status: 202 });
  const onError = () => {
    void client.close();
    throw new Error("from onError");
  };
  const client = new Client({ baseUrl: server.url, key: "sk", batchSize: 1, background: false, onError });
  client.track("refused", user);
  client.track("stored", user);
  assert.equal(await client.flush(), 0);
  assert.deepEqual(client.counts, { delivered: 1, queued: 0, dropped: 1 });
});

test("Options out of their range are errors when the client is made, and do not show the key.", () => {
  const wrong = [
    { baseUrl: "tenure.example.com" },
    { baseUrl: "ftp://tenure.example.com" },
    { key: "" },
    { key: "two words" },
    { batchSize: 1001 },
    { batchSize: "many" },
    { timeout: 10_000 },
    { batchBytes: 6_000_000 },
    { batchsize: 1 },
  ];
  for (const options of wrong) {
    const make = () => new Client({ baseUrl: server.url, key: "sk", ...options });
    assert.throws(make, (error) => error instanceof InvalidOptions && !error.message.includes("two words"));
  }
});

test("Values of JavaScript have one form in JSON each, or are errors at the call.", async () => {
  const fake = new FakeTransport();
  const client = new Client({ baseUrl: "http://tenure.test", key: "sk", fetch: fake.fetch, background: false });
  const properties = {
    left_out: undefined,
    kept: [undefined],
    big: 2n ** 70n,
    small: 7n,
    map: new Map([["a", new Date(NaN)], [1, new URL("http://a/")]]),
    ["__proto__"]: 1,
  };
  client.track("feature_used", { ...user, properties, occurredAt: new Date(0) });
  for (const bad of [() => {}, Symbol("s"), Promise.resolve(), new Uint8Array(1), new Map([[{}, 1]])]) {
    assert.throws(() => client.track("feature_used", { ...user, properties: { bad } }), InvalidEvent);
  }
  const misspelt = [{ ...user, property: {} }, undefined, { customerId: 1.5 }, { email: 7 }];
  for (const fields of misspelt) assert.throws(() => client.track("feature_used", fields), InvalidEvent);
  assert.throws(() => client.identify({ ...user, traits: { plan: "pro" }, properties: {} }), InvalidEvent);
  assert.equal(await client.close(), 0);
  assert.equal(fake.events.length, 1);
  assert.equal(
    JSON.stringify(fake.events[0].properties),
    '{"kept":[null],"big":"1180591620717411303424","small":7,"map":{"1":"http://a/","a":null},"__proto__":1}',
  );
  assert.equal(fake.events[0].occurred_at, "1970-01-01T00:00:00.000Z");
});

test("The fake transport keeps events in order, once each, also through failures.", async () => {
  const fake = new FakeTransport();
  const reports = [];
  const client = new Client({
    baseUrl: "http://tenure.test",
    key: "sk",
    fetch: fake.fetch,
    background: false,
    backoffBase: 0.01,
    onError: (report) => reports.push(report.status),
  });
  fake.fail({ status: 503, retryAfter: 0 });
  fake.fail({ status: null, times: 2 });
  client.track("signed_up", { ...user, properties: { text: "x".repeat(3000) } });
  client.track("upgraded", { ...user, messageId: "m" });
  client.track("upgraded", { ...user, messageId: "m" });
  assert.equal(await client.close(), 0);
  assert.deepEqual(fake.events.map((event) => event.event), ["signed_up", "upgraded"]);
  assert.equal(fake.requests, 4);
  assert.deepEqual(reports, [503, undefined, undefined]);
});

test("sign is HMAC-SHA256 as in RFC 4231, test case 2.", () => {
  const expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
  assert.equal(sign("Jefe", "what do ya want for nothing?"), expected);
  assert.equal(sign("key", 7), sign("key", "7"));
});

test("require gives the same as import, and the version is that of the package.", async () => {
  const require = createRequire(import.meta.url);
  const fake = new (require("tenure-client/testing").FakeTransport)();
  const client = new (require("tenure-client").Client)({ baseUrl: server.url, key: "sk" });
  client.track("feature_used", user);
  await client.close();
  assert.equal(fake.requests, 0);
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  assert.equal(server.requests[0].headers["user-agent"], `tenure-client-js/${version}`);
});
