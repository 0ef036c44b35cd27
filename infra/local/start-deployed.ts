import { defaultUpstream, refuseSelf } from "../../adapters/upstream/default-upstream.ts";
import { parseUpstreamUrl } from "../../adapters/upstream/upstream-url.ts";
import { misuse } from "../../mirror/errors.ts";
import { handIn } from "../../mirror/inbox.ts";
import { missingTable, oneLine } from "../../mirror/missing-table.ts";
import { missingOf } from "../../mirror/settle.ts";
import type { BringUp, Running } from "./bring-up.ts";
import { deployedMirror, followRequest, type RequestProgress } from "./deployed-mirror.ts";
import { findEndpoint } from "./endpoint.ts";
import { choosePort } from "./free-port.ts";
import { type LocalUpstream, withoutSecrets } from "./local-configuration.ts";
import { emulatorFolder, ensureMiniStack, startMiniStack } from "./ministack.ts";
import { deployStacks, prepareStacks, wereDeployed } from "./stacks.ts";
import { moveState, portOfState } from "./state-port.ts";
import { checkout } from "./workplace.ts";

/** The name of requests that `npm start` makes. */
const REQUEST_NAME = "start";

/** Brings up an AWS endpoint, deploys the stacks to it, and lets its functions mirror the project. */
export async function startDeployed(bringUp: BringUp): Promise<Running> {
  const { options, place, steps, signal } = bringUp;
  const found = await findEndpoint(process.env);
  const port = await endpointPort(found, options.port, await portOfState(place));
  const upstream = withoutSecrets(
    chooseUpstream(bringUp, found.kind === "given" ? found.url : `127.0.0.1:${port}`),
  );
  const stacks = await prepareStacks(place, { url: upstream, ...databasesOf(bringUp) }, signal);
  // Beside the emulator's installation, which waits for the network.
  if (!(await wereDeployed(place, stacks))) void stacks.synthesise();
  const { endpoint, ended } =
    found.kind === "given" ? given(bringUp, found.url) : await start(bringUp, port, found);
  const { goproxy, identity } = await steps.run("stacks", async (step) => {
    step.show("bootstrapping and deploying");
    const deployed = await deployStacks(endpoint, place, stacks, signal);
    step.show(deployed.changed ? "deployed" : "deployed already, nothing has changed");
    return deployed;
  });
  const complete = await mirrorProject(bringUp, endpoint);
  return { goproxy, complete, ended, identity, data: found.kind === "given" ? endpoint : place.state };
}

type Endpoint = Awaited<ReturnType<typeof findEndpoint>>;

async function endpointPort(found: Endpoint, asked: number | undefined, usual: number): Promise<number> {
  if (found.kind === "ministack") return await choosePort(asked, usual);
  if (asked === undefined) return 0;
  throw misuse("--port", `--port ${asked}: AWS_ENDPOINT_URL answers on a port of its own; drop one of them`);
}

function chooseUpstream({ options, go }: BringUp, mirror: string): string {
  if (options.upstream === undefined) return defaultUpstream(go.goproxy, mirror);
  parseUpstreamUrl(options.upstream, "--upstream");
  refuseSelf(options.upstream, mirror);
  return options.upstream;
}

function databasesOf({
  options: { sumdbs, tiles },
}: BringUp): Required<Pick<LocalUpstream, "sumdb" | "sumdbTiles">> {
  const sumdb = sumdbs.map(({ key, url, modules }) => ({
    key,
    ...(url === undefined ? {} : { url: withoutSecrets(url, "--sumdb") }),
    ...(modules === undefined ? {} : { modules: modules.split(",") }),
  }));
  return { sumdb, sumdbTiles: tiles };
}

function given({ steps }: BringUp, url: string): { endpoint: string; ended: Promise<void> } {
  steps.say(`✓ endpoint: AWS_ENDPOINT_URL, ${oneLine(url)}`);
  return { endpoint: url, ended: new Promise(() => undefined) };
}

async function start(
  { steps, place, signal, atEnd }: BringUp,
  port: number,
  found: Extract<Endpoint, { kind: "ministack" }>,
): Promise<{ endpoint: string; ended: Promise<void> }> {
  if (found.ignored !== undefined)
    steps.say(`  AWS_ENDPOINT_URL does not answer: ${oneLine(found.ignored)}; going on with MiniStack`);
  return await steps.run("endpoint", async (step) => {
    const folder = emulatorFolder(checkout);
    step.show("installing MiniStack");
    await ensureMiniStack(folder);
    signal.throwIfAborted();
    step.show("starting MiniStack");
    await moveState(place, port);
    const log = place.emulatorLog;
    const emulator = await startMiniStack({ folder, port, persist: true, stateDir: place.state, log });
    atEnd(() => emulator.stop());
    signal.throwIfAborted();
    step.show(`MiniStack on ${emulator.endpoint}`);
    return emulator;
  });
}

async function mirrorProject(bringUp: BringUp, endpoint: string): Promise<boolean> {
  const { steps, signal } = bringUp;
  const mirror = deployedMirror(endpoint);
  const { request, record } = await steps.run("mirror", async (step) => {
    const key = await handIn(mirror, REQUEST_NAME, bringUp.request);
    const last = await followRequest(mirror, key, (progress) => step.show(describe(progress)), signal);
    step.show(`${last.state}, ${last.total - last.missing} of ${last.total} versions`);
    return { request: key, record: last };
  });
  if (record.state === "REFUSED") {
    throw misuse("request", record.error ?? "the request was refused; no reason is recorded");
  }
  if (record.state !== "INCOMPLETE") return true;
  for (const line of missingTable(await missingOf(mirror, request))) steps.say(line);
  return false;
}

function describe({ state, total, held = 0, failed = 0, bytes = 0 }: RequestProgress): string {
  if (total === undefined) return state === "OPEN" ? "loading the module graph" : "handed in";
  const trouble = failed === 0 ? "" : `, ${failed} failed`;
  return `${held} of ${total} versions, ${(bytes / 1e6).toFixed(1)} MB${trouble}`;
}
