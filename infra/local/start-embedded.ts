import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { printSumdb } from "../../adapters/upstream/sumdb-option.ts";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import type { BringUp, Running } from "./bring-up.ts";
import { choosePort } from "./free-port.ts";
import { spawnGuarded } from "./guarded-child.ts";
import { checkout } from "./workplace.ts";

/** That of `modferry serve`. */
const USUAL_PORT = 3000;
const SERVE_TIMEOUT = 30_000;

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
  // A database's address may hold a password, and has no other way to the command.
  const sumdb = options.sumdbs.flatMap((database) => ["--sumdb", printSumdb(database)]);
  const args = ["sync", goMod, "--mirror", place.mirror, ...upstream, ...sumdb, "--tiles", options.tiles];
  signal.throwIfAborted();
  const child = spawnGuarded(cli, args, "inherit");
  const end = () => void child.stop();
  signal.addEventListener("abort", end, { once: true });
  const status = await child.ended;
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
  const args = ["serve", "--mirror", place.mirror, "--listen", `127.0.0.1:${port}`];
  const { stdout = Readable.from([]), ended, stop } = spawnGuarded(cli, args, "pipe");
  atEnd(stop);
  const line = await Promise.race([
    new Promise<string>((resolve) => createInterface({ input: stdout }).once("line", resolve)),
    ended.then(() => ""),
    sleep(SERVE_TIMEOUT, "", { ref: false }),
  ]);
  signal.throwIfAborted();
  const goproxy = /^export GOPROXY=(\S+)$/.exec(line)?.[1];
  if (goproxy !== undefined) return { goproxy, ended: ended.then(() => undefined) };
  throw new MirrorError("transient", "serve", "modferry serve: did not come up; see above");
}
