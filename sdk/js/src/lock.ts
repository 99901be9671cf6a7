import { readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { QueueFault } from "./errors.js";

/** A file that names the process that holds it; one that a dead process left is taken over. Throws `QueueFault`. */
export class Lock {
  constructor(private readonly path: string) {
    if (this.take()) return;
    const holder = readFileSync(path, "utf8");
    if (isAlive(holder)) throw inUse(holder);
    // Aside first: what was moved may be the lock of another process that found the same one dead.
    const aside = `${path}.${process.pid}`;
    renameSync(path, aside);
    if (readFileSync(aside, "utf8") !== holder) {
      renameSync(aside, path);
      throw inUse(holder);
    }
    unlinkSync(aside);
    if (!this.take()) throw inUse(readFileSync(path, "utf8"));
  }

  /** Let another process have it. */
  release(): void {
    rmSync(this.path, { force: true });
  }

  private take(): boolean {
    try {
      writeFileSync(this.path, `${process.pid} ${startOf(process.pid)}`, { flag: "wx", mode: 0o600 });
      return true;
    } catch (fault) {
      if ((fault as NodeJS.ErrnoException).code === "EEXIST") return false;
      throw fault;
    }
  }
}

function inUse(holder: string): QueueFault {
  const pid = holder.split(" ")[0];
  return new QueueFault(`process ${pid} uses it; give each process a queuePath of its own`);
}

function isAlive(holder: string): boolean {
  const [pid, start] = holder.split(" ");
  if (!/^\d+$/.test(pid ?? "")) return false; // torn by a crash
  try {
    process.kill(Number(pid), 0);
  } catch (fault) {
    return (fault as NodeJS.ErrnoException).code === "EPERM";
  }
  return startOf(Number(pid)) === start;
}

/** When a process began, so that another one with the same number is told from it; Linux only. */
function startOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").pop()?.split(" ")[19] ?? "";
  } catch {
    return "";
  }
}
