/** `npm start`: a whole mirror on this machine. See start-options.ts for what it takes. */
import { mkdirSync, writeFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { readWishes } from "../../adapters/local/read-wishes.ts";
import { asMirrorError } from "../../mirror/errors.ts";
import { oneLine } from "../../mirror/missing-table.ts";
import type { BringUp, Running } from "./bring-up.ts";
import { buildAgainstMirror, buildName } from "./go-build.ts";
import { checkMachine } from "./preflight.ts";
import { startDeployed } from "./start-deployed.ts";
import { startEmbedded } from "./start-embedded.ts";
import { lockWorkplace } from "./start-lock.ts";
import { parseStartOptions, USAGE } from "./start-options.ts";
import { Steps } from "./steps.ts";
import { checkout, workplaceIn } from "./workplace.ts";

/** The shell's status of a process that Ctrl-C ended: 128 and SIGINT's number. */
const INTERRUPTED = 130;
const sample = join(checkout, "infra", "local", "sample", "go.mod");

async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    console.log(USAGE);
    return 0;
  }
  // npm runs scripts in the checkout; paths are the user's.
  if (env.npm_lifecycle_event === "start" && env.INIT_CWD) process.chdir(env.INIT_CWD);
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => interrupt.abort(new Error("interrupted")));
  }
  const stops: (() => Promise<void>)[] = [];
  let steps: Steps | undefined;
  try {
    const options = parseStartOptions(args);
    const place = workplaceIn(resolve(options.folder ?? join(checkout, ".modferry", "start")));
    const go = await checkMachine(checkout, env);
    const goMod = options.goMod ?? relative(process.cwd(), sample);
    const request = await readWishes([goMod], { tier: "tidy", graph: "pruned" }, async () => "");
    mkdirSync(place.folder, { recursive: true });
    const lock = lockWorkplace(place.lock);
    stops.push(async () => lock.release());
    writeFileSync(place.log, "");
    steps = new Steps(place.log);
    steps.say(`✓ checks: Node ${process.versions.node}, ${go.version}, disk`);
    const { signal } = interrupt;
    const atEnd = (stop: () => Promise<void>) => void stops.push(stop);
    return await run({ options, place, steps, go, goMod: resolve(goMod), request, signal, atEnd });
  } catch (thrown) {
    if (interrupt.signal.aborted) {
      steps?.say("interrupted");
      return INTERRUPTED;
    }
    const error = asMirrorError(thrown, "npm start");
    for (const line of error.message.split("\n")) console.error(`modferry: ${oneLine(line)}`);
    return error.class === "misuse" ? 2 : 1;
  } finally {
    if (stops.length > 1) steps?.say("stopping");
    for (const stop of stops.reverse()) await stop();
  }
}

/** @returns the exit status; all that it started is stopped by the caller. */
async function run(bringUp: BringUp): Promise<number> {
  const { options, steps, signal } = bringUp;
  const mirror = await (options.embedded ? startEmbedded : startDeployed)(bringUp);
  const built = mirror.complete && (await build(bringUp, mirror));
  if (!mirror.complete) steps.say("  not built: what is missing is above");
  steps.say(`  data: ${mirror.data}${options.once ? "" : "; Ctrl-C stops the mirror and keeps it"}`);
  console.log(`export GOPROXY=${mirror.goproxy}`);
  if (options.once) return built ? 0 : 1;
  const ended = await Promise.race([mirror.ended.then(() => true), untilAborted(signal).then(() => false)]);
  if (ended) throw new Error(`the mirror has ended by itself; see ${bringUp.place.emulatorLog}`);
  return built ? 0 : 1;
}

/** A project that does not build says so and leaves the mirror up: the fault may be its own. */
async function build(
  { options, steps, goMod, go, place, signal }: BringUp,
  mirror: Running,
): Promise<boolean> {
  const { goproxy, identity } = mirror;
  const name = identity === undefined ? undefined : await buildName({ goMod, go }, identity);
  if (name !== undefined && name === (await readFile(place.built, "utf8").catch(() => ""))) {
    steps.say("✓ build: done at an earlier start, and neither go.mod, go.sum nor the mirror have changed");
    return true;
  }
  try {
    await steps.run("build", async (step) => {
      step.show("go mod download all, go build ./... against the mirror alone");
      await buildAgainstMirror({ goMod, goproxy, go, sumdbs: options.sumdbs }, place, signal);
    });
    if (name !== undefined) await writeFile(place.built, name);
    return true;
  } catch (thrown) {
    signal.throwIfAborted();
    for (const line of asMirrorError(thrown, "build").message.split("\n")) steps.say(oneLine(line));
    return false;
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // A listener alone keeps no process alive.
    const alive = setInterval(() => undefined, 1 << 30);
    const done = () => {
      clearInterval(alive);
      resolve();
    };
    if (signal.aborted) done();
    signal.addEventListener("abort", done, { once: true });
  });
}

process.exitCode = await main(process.argv.slice(2), process.env);
