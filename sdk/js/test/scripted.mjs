// An HTTP server on loopback that answers as a contract case says, and a clock that does not wait.
import { createServer } from "node:net";
import { gunzipSync } from "node:zlib";

const START = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** Moves when somebody waits, at once; keeps the waits. */
export class FakeClock {
  seconds = 0;
  waits = [];
  /** @param {ScriptedServer} server */
  constructor(server) {
    this.server = server;
  }
  now() {
    return START + this.seconds * 1000;
  }
  monotonic() {
    return 1000 + this.seconds;
  }
  async sleep(seconds) {
    this.waits.push(seconds);
    this.seconds += seconds + 1e-9;
    await this.server.attemptFailed();
  }
}

/** Gives the replies in order; then 202. */
export class ScriptedServer {
  requests = [];
  connections = new Set();
  port = 0;

  static async start(replies = []) {
    const server = new ScriptedServer();
    server.replies = [...replies];
    await server.listen();
    return server;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get isRefusing() {
    return this.replies[0]?.fault === "refuse";
  }

  /** The client waits: an attempt that met no listener is over. */
  async attemptFailed() {
    if (!this.isRefusing) return;
    this.replies.shift();
    await this.listen();
  }

  async close() {
    if (this.listener === null) return;
    for (const connection of this.connections) connection.destroy();
    await new Promise((resolve) => this.listener.close(resolve));
    this.listener = null;
  }

  async listen() {
    this.listener = createServer((connection) => this.serve(connection));
    await new Promise((resolve) => this.listener.listen(this.port, "127.0.0.1", resolve));
    this.port = this.listener.address().port;
    if (this.isRefusing) await this.close();
  }

  serve(connection) {
    this.connections.add(connection);
    connection.on("close", () => this.connections.delete(connection));
    let received = Buffer.alloc(0);
    connection.on("error", () => {});
    connection.on("data", (bytes) => {
      received = Buffer.concat([received, bytes]);
      const request = parsed(received);
      if (request !== null) this.answer(connection, request);
    });
  }

  answer(connection, request) {
    this.requests.push(request);
    const reply = this.replies.shift() ?? { status: 202 };
    // Before the answer, so that the client's next attempt meets no listener.
    if (this.isRefusing) {
      this.listener.close();
      this.listener = null;
    }
    if (reply.fault === "reset") connection.resetAndDestroy();
    else if (reply.fault === "close") connection.destroy();
    else if (reply.fault !== "hang") connection.end(encoded(reply, request.events.length));
  }
}

/** The request that the bytes hold, or null while it is incomplete. */
function parsed(received) {
  const end = received.indexOf("\r\n\r\n");
  if (end === -1) return null;
  const [first, ...lines] = received.subarray(0, end).toString().split("\r\n");
  const [method, path] = first.split(" ");
  const headers = Object.fromEntries(
    lines.map((line) => [line.split(":")[0].toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
  );
  const sent = received.subarray(end + 4);
  if (sent.length < Number(headers["content-length"])) return null;
  const body = headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent;
  return { method, path, headers, body, events: JSON.parse(body.toString()).events };
}

/** The bytes of a reply; a 2xx without a body of its own stores every event. */
function encoded(reply, events) {
  const results = reply.results ?? Array.from({ length: events }, () => ({ status: "stored_pending" }));
  let body = "";
  if (reply.body !== undefined) body = reply.body;
  else if (reply.json !== undefined) body = JSON.stringify(reply.json);
  else if (reply.status >= 200 && reply.status < 300) {
    body = JSON.stringify({
      receipt: "0".repeat(32),
      results: results.map((result, index) => ({ index, ...result })),
    });
  }
  const headers = { "Content-Length": Buffer.byteLength(body), Connection: "close", ...reply.headers };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${reply.status} Scripted\r\n${lines.join("")}\r\n${body}`;
}
