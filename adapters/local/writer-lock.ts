import { randomUUID } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import type { DatabaseSync } from "node:sqlite";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import { codeOf } from "./file-error.ts";

/** How often the writer says that it lives, in milliseconds. */
const HEARTBEAT = 5_000;
/** A writer silent for this long is taken for dead: six heartbeats. */
const STALE_AFTER = 30_000;

/** A process as the lock's row names it. */
export interface Writer {
  readonly owner: string;
  readonly host: string;
  /** This start of the kernel, and the process's pid namespace; empty where the system does not tell (macOS). */
  readonly boot: string;
  readonly namespace: string;
  readonly pid: number;
  /** When the process started, in the kernel's ticks: tells it from a later one with its pid. */
  readonly started: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly beat: number;
}

/** Another process is writing the mirror. */
export class WriterBusy extends MirrorError {
  constructor(mirror: string, message: string) {
    super("misuse", mirror, message);
  }
}

/** The right to write one mirror, held until `release` or death. */
export interface WriterLock {
  /** For inside of each write transaction. @throws MirrorError misuse when another process took over. */
  check(): void;
  /** Gives the lock back; safe to call twice. */
  release(): void;
}

/**
 * Takes the lock of the mirror whose ledger `database` is: free, or its holder gave no sign of life for STALE_AFTER,
 * or (on this host) is dead. A holder that was only asleep finds out by `check`, before its next write of the ledger;
 * what it still creates in the tree is create-only, and so does no harm.
 * @param mirror its address, for messages.
 * @throws MirrorError misuse when another process is writing.
 */
export function takeWriterLock(database: DatabaseSync, mirror: string): WriterLock {
  const me = thisProcess(Date.now());
  database.exec("BEGIN IMMEDIATE");
  try {
    const holder = readWriter(database);
    if (holder !== undefined && !isGone(holder, me)) {
      const since = new Date(holder.since).toISOString();
      const message = `${mirror} is being written by pid ${holder.pid} on ${holder.host} since ${since}; wait for it or stop it`;
      throw new WriterBusy(mirror, message);
    }
    database
      .prepare(`INSERT OR REPLACE INTO writer (id, owner, host, boot, namespace, pid, started, since, beat)
        VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)`)
      .run(me.owner, me.host, me.boot, me.namespace, me.pid, me.started, me.since, me.beat);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
  return holdLock(database, mirror, me.owner);
}

function holdLock(database: DatabaseSync, mirror: string, owner: string): WriterLock {
  const beat = database.prepare("UPDATE writer SET beat = ? WHERE owner = ?");
  const current = database.prepare("SELECT owner FROM writer");
  const remove = database.prepare("DELETE FROM writer WHERE owner = ?");
  const timer = setInterval(() => {
    try {
      beat.run(Date.now(), owner);
    } catch {
      // A busy or full disk: the next beat, or `check`, tells.
    }
  }, HEARTBEAT);
  timer.unref();
  let held = true;
  return {
    check() {
      if (current.get()?.owner === owner) return;
      const other = readWriter(database);
      const now = other === undefined ? "another process" : `pid ${other.pid} on ${other.host}`;
      throw misuse(
        mirror,
        `${mirror}: this process gave no sign of life for too long, and ${now} took over; run again`,
      );
    },
    release() {
      if (!held) return;
      held = false;
      clearInterval(timer);
      remove.run(owner);
    },
  };
}

function readWriter(database: DatabaseSync): Writer | undefined {
  return database.prepare("SELECT * FROM writer").get() as Writer | undefined;
}

/** The process that writes the mirror now; undefined where the lock is free, or its holder gives no sign of life. */
export function liveWriter(database: DatabaseSync): Writer | undefined {
  const holder = readWriter(database);
  return holder === undefined || isGone(holder, thisProcess(Date.now())) ? undefined : holder;
}

/** Whether the holder will not write any more. */
function isGone(holder: Writer, me: Writer): boolean {
  // A clock that was set back looks like a beat from the future.
  if (Math.abs(me.beat - holder.beat) > STALE_AFTER) return true;
  if (holder.host !== me.host) return false;
  // The same host, started again since.
  if (holder.boot !== me.boot) return true;
  // A container of the same host name: its pids are not ours.
  if (holder.namespace !== me.namespace) return false;
  return hasEnded(holder);
}

/** Whether a process of this kernel and pid namespace is there no more; one that came later with its pid is another one. */
export function hasEnded({ pid, started }: Pick<Writer, "pid" | "started">): boolean {
  return !isAlive(pid) || startOf(pid) !== started;
}

/** As it is named in the lock. */
export function thisProcess(now: number): Writer {
  const { pid } = process;
  return {
    owner: randomUUID(),
    host: hostname(),
    boot: textOr("", () => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
    namespace: textOr("", () => readlinkSync("/proc/self/ns/pid")),
    pid,
    started: startOf(pid),
    since: now,
    beat: now,
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== "ESRCH";
  }
}

/**
 * Field 22 of /proc/PID/stat (proc_pid_stat(5)): the start in ticks since boot; empty where there is no /proc.
 * `dead` for a zombie: killed, but its parent has not asked for its exit code yet.
 */
function startOf(pid: number): string {
  return textOr("", () => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field, the command's name in brackets, may itself hold spaces and brackets.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? "dead" : (fields[19] ?? "");
  });
}

function textOr(otherwise: string, read: () => string): string {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
