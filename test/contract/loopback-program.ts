import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** It passes SIGTERM on and kills after 7 s. */
const guardFile = fileURLToPath(new URL("../../infra/local/child-guard.ts", import.meta.url));
const POLL = 50;
/** One try of the health check, in ms. */
const HEALTH_TIMEOUT = 2_000;
const STOP_TIMEOUT = 9_000;

export interface LoopbackProgram {
  /** Ends it; safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts a server and waits until it answers HTTP, be it with an error: emulators differ in their health pages. It never
 * outlives this process, however that ends.
 * @throws Error with the last line of its log when it ends, or does not answer within `patience` ms.
 */
export async function startProgram(
  command: readonly string[],
  at: {
    readonly url: string;
    readonly env: NodeJS.ProcessEnv;
    readonly log: string;
    readonly patience: number;
  },
): Promise<LoopbackProgram> {
  const log = openSync(at.log, "w");
  const guard = spawn(process.execPath, [guardFile, ...command], {
    stdio: ["pipe", log, log],
    env: at.env,
    detached: true,
  });
  closeSync(log);
  guard.stdin?.on("error", () => undefined);
  let over = false;
  const ended = new Promise<void>((resolve) => {
    guard.once("exit", () => resolve()).once("error", () => resolve());
  }).then(() => {
    over = true;
  });
  const stop = async () => {
    guard.stdin?.end();
    const inTime = await Promise.race([ended.then(() => true), sleep(STOP_TIMEOUT, false, { ref: false })]);
    if (!inTime) guard.kill("SIGKILL");
  };
  const until = Date.now() + at.patience;
  while (!over && Date.now() < until) {
    if (await answers(at.url)) return { stop };
    await sleep(POLL);
  }
  const reason = over ? "ended at once" : `does not answer after ${at.patience / 1000} s`;
  await stop();
  const told = readFileSync(at.log, "utf8").trim().split("\n").at(-1) || "it printed nothing";
  throw new Error(`${command[0]}: ${reason}: ${told.slice(0, 200)} (all of it: ${at.log})`);
}

async function answers(url: string): Promise<boolean> {
  try {
    const reply = await fetch(url, { signal: AbortSignal.timeout(HEALTH_TIMEOUT) });
    await reply.arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
