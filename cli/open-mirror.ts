import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import type { DeployedAddress, DeployedMirror } from "../adapters/aws/deployed-mirror.ts";
import { type OpenOptions, openFolderMirror } from "../adapters/local/folder-mirror.ts";
import { MemoryQueue } from "../adapters/local/memory-queue.ts";
import { ScratchFolder } from "../adapters/local/scratch-folder.ts";
import { SpoolFolder } from "../adapters/local/spool-folder.ts";
import { redactUrl } from "../adapters/upstream/upstream-url.ts";
import { misuse } from "../mirror/errors.ts";
import type { Ledger, Queue, Tree, Vault } from "../mirror/ports.ts";
import type { ChecksumJobs } from "../mirror/scrub/checksum-jobs.ts";
import { holdTicks, type TickHold, type TickName } from "../mirror/tick-hold.ts";
import { checkedStores } from "./checked-stores.ts";
import type { CliEnvironment } from "./environment.ts";
import type { DeployedName } from "./mirror-address.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** A mirror that a verb works on: a folder, or one that is deployed in AWS. */
export interface OpenMirror {
  readonly tree: Tree;
  readonly vault: Vault;
  readonly ledger: Ledger;
  /** Of a folder nobody takes these orders: they are in the ledger too, and the next sync does them. */
  readonly queue: Queue;
  /** For large files on their way: of a folder on its file system, else in a temporary folder. */
  readonly spools: Pick<SpoolFolder, "spool">;
  /** Where an import keeps what it has checked: of a folder in it, for the next run; else a temporary folder. */
  staging(): string;
  /** Whether the mirror is deployed, so that its functions are at work beside this process, with clocks of their own. */
  readonly deployed: boolean;
  /** Of a folder: whether some process writes it now, and so takes up what is handed in. */
  readonly isWritten?: () => boolean;
  /** Reads a secret of a deployed mirror's account. */
  readonly secret?: (name: string) => Promise<string>;
  /** Of a deployed mirror. */
  readonly checksumJobs?: ChecksumJobs;
  close(): Promise<void>;
}

export interface OpenMirrorOptions extends OpenOptions {
  /** Of a deployed mirror: which ticks are held off while it is open, as a folder's other writers are by its lock. */
  readonly holds?: readonly TickName[];
}

/**
 * Opens the mirror of the options.
 * @param how of a folder, as openFolderMirror; a deployed mirror is open for all that the credentials allow.
 * @throws MirrorError misuse where it cannot be.
 */
export async function openMirror(
  options: Options,
  environment: CliEnvironment,
  how: OpenMirrorOptions,
  output?: Output,
): Promise<OpenMirror> {
  const { deployed, mirror: address } = options;
  if (deployed !== undefined) return await openDeployed(deployed, environment, how.holds, output);
  const { tree, vault, ledger, spools, close } = await openFolderMirror(address, how);
  const staging = () => join(address, "import");
  const isWritten = () => ledger.writer() !== undefined;
  return {
    tree,
    vault,
    ledger,
    spools,
    queue: new MemoryQueue(),
    staging,
    deployed: false,
    isWritten,
    close,
  };
}

async function openDeployed(
  { text, name, region }: DeployedName,
  environment: CliEnvironment,
  holds: readonly TickName[] | undefined,
  output: Output | undefined,
): Promise<OpenMirror> {
  // The SDK is large, and most runs have no use for it.
  const { openDeployedMirror } = await import("../adapters/aws/deployed-mirror.ts");
  const { AWS_REGION, AWS_DEFAULT_REGION } = environment.variables;
  const known = region ?? (AWS_REGION || AWS_DEFAULT_REGION || undefined);
  const opened = await openDeployedMirror({
    text,
    name,
    ...(known === undefined ? {} : { region: known }),
    endpoints: endpointsOf(environment.variables),
    egress: environment.egress(),
  });
  let scratch: ScratchFolder | undefined;
  const folder = () => {
    scratch ??= new ScratchFolder();
    return scratch.path;
  };
  let hold: TickHold | undefined;
  try {
    hold = holds && (await holdFor(opened, text, holds, output));
    const { queue, secret, checksumJobs } = opened;
    const spool: SpoolFolder["spool"] = (chunks, limit, subject) =>
      new SpoolFolder(folder()).spool(chunks, limit, subject);
    return {
      ...(hold === undefined ? opened : checkedStores(opened, hold)),
      queue,
      secret,
      checksumJobs,
      spools: { spool },
      staging: () => join(folder(), "import"),
      deployed: true,
      close: async () => {
        await hold?.release();
        opened.close();
        scratch?.remove();
      },
    };
  } catch (error) {
    opened.close();
    throw error;
  }
}

async function holdFor(
  { ledger }: DeployedMirror,
  mirror: string,
  ticks: readonly TickName[],
  output: Output | undefined,
): Promise<TickHold> {
  const owner = `${hostname()}:${process.pid}:${randomUUID()}`;
  const waiting = (lease: string) => output?.error(`modferry: ${mirror}: waiting for ${lease} to end`);
  return await holdTicks({ ledger, now: Date.now, owner, mirror, waiting }, ticks);
}

/** The SDK's own variables (AWS SDKs and Tools, service-specific endpoints): one for all, or one for each service. */
function endpointsOf(variables: NodeJS.ProcessEnv): DeployedAddress["endpoints"] {
  if (variables.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS === "true") return {};
  const read = (service: string): string | undefined => {
    const own = `AWS_ENDPOINT_URL_${service}`;
    const [variable, url] = variables[own]
      ? [own, variables[own]]
      : ["AWS_ENDPOINT_URL", variables.AWS_ENDPOINT_URL];
    if (!url) return undefined;
    if (/^https?:\/\//.test(url) && URL.canParse(url)) return url;
    throw misuse(variable, `${variable}: ${redactUrl(url)}: give a URL, http:// or https://`);
  };
  const found = Object.entries({
    s3: read("S3"),
    s3control: read("S3_CONTROL"),
    dynamodb: read("DYNAMODB"),
    sqs: read("SQS"),
    secretsmanager: read("SECRETS_MANAGER"),
  }).filter(([, url]) => url !== undefined);
  return Object.fromEntries(found);
}
