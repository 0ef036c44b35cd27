import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** The guard gives its command 7 s; then it is this process that does not wait any longer. */
const STOP_TIMEOUT = 9_000;

const guardFile = fileURLToPath(new URL("child-guard.ts", import.meta.url));

export interface GuardedChild {
  /** undefined where it goes to our own standard output. */
  readonly stdout: Readable | undefined;
  /** Settles with its exit status; null where it could not be started or a signal ended its guard. */
  readonly ended: Promise<number | null>;
  /** Ends it: SIGTERM, then SIGKILL; safe to call twice. */
  stop(): Promise<void>;
}

/** Runs a script of ours by this Node; it never outlives this process, however that ends. */
export function spawnGuarded(
  script: string,
  args: readonly string[],
  stdout: "pipe" | "inherit",
): GuardedChild {
  const child = spawn(process.execPath, [guardFile, process.execPath, script, ...args], {
    stdio: ["pipe", stdout, "inherit"],
    detached: true,
  });
  child.stdin?.on("error", () => undefined);
  const ended = new Promise<number | null>((resolve) => {
    child.once("error", () => resolve(null)).once("exit", resolve);
  });
  const stop = async () => {
    child.stdin?.end();
    const inTime = await Promise.race([ended.then(() => true), sleep(STOP_TIMEOUT, false, { ref: false })]);
    if (!inTime) child.kill("SIGKILL");
    // Held open by whatever is left of it, it would keep this process alive.
    child.stdout?.destroy();
  };
  return { stdout: child.stdout ?? undefined, ended, stop };
}
