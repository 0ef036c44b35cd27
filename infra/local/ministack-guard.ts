/**
 * Runs MiniStack as its own process and outlives nobody: when its standard input ends, because our process asked so or
 * is gone by whatever signal, it stops MiniStack in the one way that keeps its data and leaves no process behind.
 * Started by ministack.ts; `node ministack-guard.ts '{"python":…}'`.
 */
import { execFile, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/** What the guard is told; all paths absolute. */
export interface GuardOrder {
  readonly python: string;
  readonly host: string;
  readonly port: number;
  /** Where MiniStack keeps its temporary files; removed at the end. */
  readonly temporary: string;
  /** Where it saves its state when it stops; absent when it saves nothing. */
  readonly state?: string;
}

/** Saving is over sooner: 10 MB took 0.1 s; a long poll of a queue, under way at the stop, may hold it up for 20 s. */
const SAVE_TIMEOUT = 60_000;
/** State files that nothing was written to for this long are complete. */
const QUIET = 2_000;
const POLL = 50;

const run = promisify(execFile);

const order = JSON.parse(process.argv[2] ?? "") as GuardOrder;
const child = spawn(order.python, ["-m", "ministack"], {
  stdio: ["ignore", "inherit", "inherit"],
  detached: true,
});
let exitCode: number | undefined;
let stopping: Promise<void> | undefined;

child.once("error", () => finish(1));
child.once("exit", (code) => {
  exitCode = code ?? 1;
  if (stopping === undefined) finish(exitCode);
});
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, stop);
process.stdin.on("end", stop).on("error", stop).resume();

function stop(): void {
  stopping ??= stopChild().then(() => finish(0));
}

/**
 * On SIGTERM MiniStack closes its port, then waits without limit for requests under way, then saves, then removes its
 * pid file. A function that works for minutes would hold that up, so its worker is killed, as Lambda may do at any
 * moment too. With work under way the process may live on even after that, and its schedules go on firing: so it is
 * killed in the end, but not before all is saved. With nothing to save, the closed port is enough.
 */
async function stopChild(): Promise<void> {
  const begun = Date.now();
  child.kill("SIGTERM");
  while (exitCode === undefined && Date.now() - begun < SAVE_TIMEOUT) {
    await sleep(POLL);
    if (await answers()) continue;
    if (order.state === undefined || isSaved(order.state, begun)) return;
    for (const worker of await childrenOf(child.pid ?? 0)) kill(worker);
  }
  if (exitCode === undefined)
    console.log(`MiniStack has not saved its state in ${SAVE_TIMEOUT / 1000} s: killed`);
}

/** Linux tells a process's children by thread, without the `ps` that small images lack; elsewhere `ps` is there. */
async function childrenOf(parent: number): Promise<number[]> {
  const tasks = `/proc/${parent}/task`;
  try {
    const lists = readdirSync(tasks).map((task) => readFileSync(`${tasks}/${task}/children`, "utf8"));
    return lists.join(" ").split(" ").filter(Boolean).map(Number);
  } catch {
    const listed = await run("ps", ["-A", "-o", "pid=,ppid="], { timeout: 5_000 }).catch(() => ({
      stdout: "",
    }));
    const pairs = listed.stdout.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
    return pairs.flatMap(([pid, ppid]) => (pid !== undefined && ppid === parent ? [pid] : []));
  }
}

function isSaved(folder: string, begun: number): boolean {
  if (!existsSync(join(order.temporary, `ministack-${order.port}.pid`))) return true;
  const files = readdirSync(folder).filter((name) => /\.json(\.tmp)?$/.test(name));
  const newest = Math.max(
    0,
    ...files.map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0),
  );
  return newest > begun && Date.now() - newest > QUIET && !files.some((name) => name.endsWith(".tmp"));
}

function answers(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(order.port, order.host);
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once("connect", () => end(true)).once("error", () => end(false));
    socket.setTimeout(1000, () => end(true));
  });
}

/** MiniStack's workers are in its process group, and outlive it. */
function finish(code: number): void {
  if (child.pid !== undefined) kill(-child.pid);
  rmSync(order.temporary, { recursive: true, force: true, maxRetries: 5 });
  process.exit(code);
}

/** Kills a process, or the group of a negative id, if there still is one. */
function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
