import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MirrorError } from "../../mirror/errors.ts";
import { stackNames } from "../stack-names.ts";
import { type DeployedStack, describeStacks } from "./cloudformation.ts";
import { fingerprint } from "./fingerprint.ts";
import {
  LOCAL_ACCOUNT,
  LOCAL_NAME,
  LOCAL_REGION,
  type LocalUpstream,
  localConfiguration,
} from "./local-configuration.ts";
import { runCommand } from "./run-command.ts";
import { checkout, type Workplace } from "./workplace.ts";

/** On two quiet cores a synth takes 6 s, bootstrap and deploy 3 s each; a busy machine takes ten times as long. */
const SYNTH_TIMEOUT = 300_000;
const BOOTSTRAP_TIMEOUT = 300_000;
const DEPLOY_TIMEOUT = 600_000;
/** A gateway that was just deployed or woken answers its health check within this time. */
const HEALTH_TIMEOUT = 60_000;
const POLL = 200;

/** The CDK's own stack in an account. */
const TOOLKIT = "CDKToolkit";
const names = stackNames(LOCAL_NAME);
const OURS = Object.values(names);

/** The stacks to be deployed; `synthesise` settles when templates and bundles are there, made once however often called. */
export interface PreparedStacks {
  readonly fingerprint: string;
  readonly synthesise: () => Promise<void>;
}

/** Writes the configuration; synthesising needs no endpoint, so it may run while the emulator comes up. */
export async function prepareStacks(
  place: Workplace,
  upstream: LocalUpstream,
  signal: AbortSignal,
): Promise<PreparedStacks> {
  await mkdir(place.folder, { recursive: true });
  const text = localConfiguration(upstream, place.folder);
  await writeFile(place.configuration, text);
  let running: Promise<void> | undefined;
  const synthesise = () => {
    const args = ["synth", "--quiet", "--output", place.cdkOut, "-c", `configuration=${place.configuration}`];
    running ??= cdk("cdk synth", args, place, undefined, SYNTH_TIMEOUT, signal);
    // Whoever awaits it sees the error; nobody may await it after an error elsewhere.
    running.catch(() => undefined);
    return running;
  };
  return { fingerprint: await fingerprint(text), synthesise };
}

/** Whether an earlier start has already made these stacks from this folder; says nothing of the endpoint. */
export async function wereDeployed(place: Workplace, stacks: PreparedStacks): Promise<boolean> {
  return (await readDeployed(place)).fingerprint === stacks.fingerprint;
}

/**
 * Makes the endpoint hold these stacks.
 * @returns the GOPROXY URL that they serve, whether there was anything to deploy, and what names this deployment.
 * @throws MirrorError transient with the last lines of the CDK's output.
 */
export async function deployStacks(
  endpoint: string,
  place: Workplace,
  stacks: PreparedStacks,
  signal: AbortSignal,
): Promise<{ readonly goproxy: string; readonly changed: boolean; readonly identity: string }> {
  const before = await describeStacks(endpoint);
  const deployed = await readDeployed(place);
  const unchanged =
    deployed.fingerprint === stacks.fingerprint &&
    OURS.every((name) => deployed.stacks?.[name] === before.get(name)?.id && isComplete(before.get(name)));
  if (!unchanged) {
    await rm(place.deployed, { force: true });
    await deploy(endpoint, place, stacks, before, signal);
  }
  const after = unchanged ? before : await describeStacks(endpoint);
  const goproxy = goproxyOf(endpoint, after.get(names.endpoint));
  await untilHealthy(goproxy, signal);
  const ids = Object.fromEntries(OURS.map((name) => [name, after.get(name)?.id ?? ""]));
  const identity = JSON.stringify({ fingerprint: stacks.fingerprint, stacks: ids });
  await writeFile(place.deployed, identity);
  return { goproxy, changed: !unchanged, identity };
}

async function deploy(
  endpoint: string,
  place: Workplace,
  stacks: PreparedStacks,
  before: ReadonlyMap<string, DeployedStack>,
  signal: AbortSignal,
): Promise<void> {
  const bootstrap = async () => {
    if (isComplete(before.get(TOOLKIT))) return;
    const args = ["bootstrap", `aws://${LOCAL_ACCOUNT}/${LOCAL_REGION}`];
    // Outside the checkout's own folder: in it the CDK would synthesise the app, which bootstrapping does not need.
    await cdk("cdk bootstrap", args, place, endpoint, BOOTSTRAP_TIMEOUT, signal, place.folder);
  };
  await Promise.all([bootstrap(), stacks.synthesise()]);
  const how = [
    "--app",
    place.cdkOut,
    "--require-approval",
    "never",
    "--concurrency",
    "3",
    "--method",
    "direct",
  ];
  await cdk("cdk deploy", ["deploy", "--all", ...how], place, endpoint, DEPLOY_TIMEOUT, signal);
}

/** UPDATE_ROLLBACK_COMPLETE is a stack that works, but as it was before: it is deployed again. */
function isComplete(stack: DeployedStack | undefined): boolean {
  return stack !== undefined && ["CREATE_COMPLETE", "UPDATE_COMPLETE"].includes(stack.status);
}

/** The API's own URL is not reachable in an emulator (facts: emulators). */
function goproxyOf(endpoint: string, stack: DeployedStack | undefined): string {
  const api = stack?.outputs.get("ApiId");
  const stage = stack?.outputs.get("Stage");
  if (api === undefined || stage === undefined) {
    const problem = `stack ${names.endpoint}: has no outputs ApiId and Stage at ${endpoint}`;
    throw new MirrorError("transient", "endpoint", `${problem}; remove .modferry/start and start again`);
  }
  return `${endpoint.replace(/\/+$/, "")}/_aws/execute-api/${api}/${stage}`;
}

async function untilHealthy(goproxy: string, signal: AbortSignal): Promise<void> {
  const until = Date.now() + HEALTH_TIMEOUT;
  for (let answer = "nothing"; ; await sleep(POLL, undefined, { signal })) {
    try {
      const reply = await fetch(`${goproxy}/-/healthz`, { signal: AbortSignal.timeout(HEALTH_TIMEOUT) });
      const text = await reply.text();
      if (reply.ok && text === "ok\n") return;
      answer = `${reply.status} ${text.slice(0, 200)}`;
    } catch (error) {
      answer = String(error);
    }
    if (Date.now() > until)
      throw new MirrorError("transient", "endpoint", `endpoint: its health check answers: ${answer}`);
  }
}

async function readDeployed(
  place: Workplace,
): Promise<{ readonly fingerprint?: string; readonly stacks?: Readonly<Record<string, string>> }> {
  try {
    return JSON.parse(await readFile(place.deployed, "utf8")) as object;
  } catch {
    return {};
  }
}

/** The CDK with an account of nobody's: none of the user's own AWS settings reach it. */
function cdk(
  name: string,
  args: readonly string[],
  place: Workplace,
  endpoint: string | undefined,
  timeout: number,
  signal: AbortSignal,
  cwd = checkout,
): Promise<void> {
  const bin = join(checkout, "node_modules", ".bin");
  const own = Object.entries(process.env).filter(([key]) => !/^(AWS_|CDK_)/.test(key));
  const env = {
    ...Object.fromEntries(own),
    PATH: `${bin}${delimiter}${process.env.PATH ?? ""}`,
    CDK_DISABLE_VERSION_CHECK: "1",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    AWS_REGION: LOCAL_REGION,
    ...(endpoint === undefined ? {} : { AWS_ENDPOINT_URL: endpoint, AWS_ENDPOINT_URL_S3: endpoint }),
  };
  return runCommand(name, join(bin, "cdk"), args, { cwd, env, log: place.log, timeout, signal });
}
