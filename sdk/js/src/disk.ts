/**
 * Events that wait in a file, and so survive a crash of the process or of the machine.
 *
 * A line is `+` and an event as JSON, or `-` and how many of the oldest events are done with. A crash can only tear the
 * last line, which then does not count. One process at a time uses a file: beside it is a lock that names the process.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { QueueFault } from "./errors.js";
import { Lock } from "./lock.js";
import { type Item, Queue, messageIdOf } from "./queue.js";

const ROOM = 1024 * 1024;
const NEWLINE = Buffer.from("\n");

/** The queue in the file `path`, which is made when it is missing. Throws `QueueFault`. */
export class DiskQueue extends Queue {
  override readonly isLasting = true;
  private readonly lock: Lock;
  private file: number;
  private size = 0;

  constructor(private readonly path: string) {
    super();
    this.lock = guarded(path, () => new Lock(path + ".lock"));
    try {
      this.file = guarded(path, () => openSync(path, "a+", 0o600));
      guarded(path, () => this.load());
    } catch (fault) {
      this.lock.release();
      throw fault;
    }
  }

  /** Keep one event; it is on the disk when this returns. */
  override append(item: Item): void {
    guarded(this.path, () => this.write(lineOf(item), true));
    super.append(item);
  }

  /** Forget so many of the oldest. Not synced: after a crash they are sent again, with the same message ids. */
  override remove(events: number): void {
    guarded(this.path, () => {
      if (events === this.length) this.truncate(0);
      else this.write(Buffer.from(`-${events}\n`), false);
    });
    super.remove(events);
    if (this.size > 2 * this.bytes + ROOM) this.rewrite();
  }

  /** Close the file; what waits is sent by the next client of the same path. */
  override close(): void {
    closeSync(this.file);
    this.lock.release();
  }

  private load(): void {
    const content = readFileSync(this.path);
    const end = content.lastIndexOf(NEWLINE) + 1;
    let start = 0;
    while (start < end) {
      const stop = content.indexOf(NEWLINE, start);
      this.read(content.subarray(start, stop));
      start = stop + 1;
    }
    this.truncate(end);
    syncDirectory(this.path);
  }

  private read(line: Buffer): void {
    const rest = line.subarray(1);
    if (line[0] === 0x2b && isEvent(rest)) super.append(Buffer.from(rest));
    else if (line[0] === 0x2d && /^\d+$/.test(rest.toString())) super.remove(Number(rest.toString()));
    else throw new Error("it is not a queue of this client");
  }

  private write(line: Buffer, isSynced: boolean): void {
    try {
      for (let written = 0; written < line.length; ) written += writeSync(this.file, line, written);
      if (isSynced) fsyncSync(this.file);
    } catch (fault) {
      this.truncate(this.size); // the line does not count, and half of it would spoil the next one
      throw fault;
    }
    this.size += line.length;
  }

  private truncate(size: number): void {
    ftruncateSync(this.file, size);
    this.size = size;
  }

  /** Write what waits to a new file, and put it in the place of the old one. Where that fails, the old one stays. */
  private rewrite(): void {
    const path = this.path + ".new";
    let file: number | undefined;
    try {
      rmSync(path, { force: true });
      file = openSync(path, "a+", 0o600);
      for (const item of this.head(this.length)) writeFileSync(file, lineOf(item));
      fsyncSync(file);
      renameSync(path, this.path);
    } catch {
      if (file !== undefined) closeSync(file);
      return;
    }
    closeSync(this.file);
    this.file = file;
    this.size = fstatSync(file).size;
    syncDirectory(this.path);
  }
}

function lineOf(item: Item): Buffer {
  return Buffer.concat([Buffer.from("+"), item, NEWLINE]);
}

function isEvent(item: Item): boolean {
  try {
    return messageIdOf(item) !== undefined;
  } catch {
    return false;
  }
}

function guarded<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (fault) {
    throw new QueueFault(`The queue in ${path} cannot be used: ${(fault as Error).message}.`);
  }
}

function syncDirectory(path: string): void {
  if (process.platform === "win32") return; // directories cannot be opened there
  const directory = openSync(dirname(path), "r");
  fsyncSync(directory);
  closeSync(directory);
}
