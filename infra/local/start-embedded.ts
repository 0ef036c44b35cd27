import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import type { BringUp, Running } from "./bring-up.ts";
import { choosePort } from "./free-port.ts";
import { checkout } from "./workplace.ts";

/** That of `modferry serve`. */
const USUAL_PORT = 3000;
const SERVE_TIMEOUT = 30_000;
/** `modferry serve` lets open replies go on for 5 s. */
const STOP_TIMEOUT = 8_000;

const cli = join(checkout, "cli", "modferry.ts");

/** Mirrors the project into a folder by `modferry sync`, and serves it by `modferry serve`. */
export async function startEmbedded(bringUp: BringUp): Promise<Running> {
  const { options, place, steps } = bringUp;
  const port = await choosePort(options.port, USUAL_PORT);
  steps.say(`  modferry sync into ${place.mirror}`);
  const complete = await sync(bringUp);
  const { goproxy, ended } = await serve(bringUp, port);
  return { goproxy, complete, ended, data: place.mirror };
}

/** @returns whether nothing is missing; the command itself says what is. */
async function sync({ options, place, goMod, signal, steps }: BringUp): Promise<boolean> {
  // Without --upstream the command asks `go env` itself: a password in GOPROXY shows in no process list.
  const upstream = options.upstream === undefined ? [] : ["--upstream", options.upstream];
  const child = spawn(process.execPath, [cli, "sync", goMod, "--mirror", place.mirror, ...upstream], {
    stdio: ["ignore", "inherit", "inherit"],
    detached: true,
  });
  const end = () => void child.kill("SIGTERM");
  signal.addEventListener("abort", end, { once: true });
  const status = await new Promise<number | null>((resolve) => {
    child.once("error", () => resolve(null)).once("exit", resolve);
  });
  signal.removeEventListener("abort", end);
  signal.throwIfAborted();
  if (status === 0) {
    steps.say("✓ mirror: complete");
    return true;
  }
  if (status === 1) return false;
  throw status === 2
    ? misuse("sync", "modferry sync: not started; see above")
    : new MirrorError(
        "transient",
        "sync",
        "modferry sync: ended by a signal; start again, it goes on from there",
      );
}

async function serve(
  { place, signal, atEnd }: BringUp,
  port: number,
): Promise<{ goproxy: string; ended: Promise<void> }> {
  const child = spawn(
    process.execPath,
    [cli, "serve", "--mirror", place.mirror, "--listen", `127.0.0.1:${port}`],
    { stdio: ["ignore", "pipe", "inherit"], detached: true },
  );
  const ended = new Promise<void>((resolve) => {
    child.once("error", () => resolve()).once("exit", () => resolve());
  });
  atEnd(async () => {
    child.kill("SIGTERM");
    const inTime = await Promise.race([ended.then(() => true), sleep(STOP_TIMEOUT, false, { ref: false })]);
    if (!inTime) child.kill("SIGKILL");
  });
  const line = await Promise.race([
    new Promise<string>((resolve) => createInterface({ input: child.stdout }).once("line", resolve)),
    ended.then(() => ""),
    sleep(SERVE_TIMEOUT, "", { ref: false }),
  ]);
  signal.throwIfAborted();
  const goproxy = /^export GOPROXY=(\S+)$/.exec(line)?.[1];
  if (goproxy !== undefined) return { goproxy, ended };
  throw new MirrorError("transient", "serve", "modferry serve: did not come up; see above");
}
