import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

interface ProcessLine {
  readonly pid: number;
  readonly parent: number;
  /** Its environment, and perhaps more. */
  readonly text: string;
}

/**
 * The processes that a process has started, and those that they started, wherever they have since moved: by their
 * parents, and by a word that is in the environment of all that inherits it.
 */
export function startedBy(root: number, mark: string): number[] {
  const all = process.platform === "linux" ? fromProc() : fromPs();
  const found = new Set([root]);
  for (let before = 0; before !== found.size; ) {
    before = found.size;
    for (const { pid, parent, text } of all) if (found.has(parent) || text.includes(mark)) found.add(pid);
  }
  found.delete(root);
  return [...found].filter((pid) => all.some((line) => line.pid === pid));
}

/** Not a zombie, which has ended and waits for its parent only. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== "linux" || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** Small images lack `ps`. */
function fromProc(): ProcessLine[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name) || !isAlive(Number(name))) return [];
    try {
      const [, parent] = /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${name}/status`, "utf8")) ?? [];
      return [{ pid: Number(name), parent: Number(parent), text: environmentOf(name) }];
    } catch {
      return [];
    }
  });
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    return ""; // Another user's.
  }
}

/** On macOS `-E` adds the environment of one's own processes. */
function fromPs(): ProcessLine[] {
  const printed = execFileSync("ps", ["-A", "-E", "-ww", "-o", "pid=,ppid=,command="], { encoding: "utf8" });
  return printed.split("\n").flatMap((line) => {
    const [, pid, parent, text = ""] = /^\s*(\d+)\s+(\d+)\s(.*)$/.exec(line) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), text }];
  });
}
