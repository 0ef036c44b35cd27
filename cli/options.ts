import { parseSumdbs, type SumdbOption } from "../adapters/upstream/sumdb-option.ts";
import { misuse } from "../mirror/errors.ts";
import { OPEN_STATES, type OpenState } from "../mirror/figures.ts";
import { type GraphExtent, graphExtent, type Tier, tier } from "../mirror/requests.ts";
import type { ScrubLevel } from "../mirror/scrub/scrub.ts";
import type { Shard } from "../mirror/scrub/tree-order.ts";
import { TILE_EXTENTS, type TileExtent } from "../sumdb/tile-extent.ts";
import {
  type BundleOptions,
  parseBundleFormat,
  parseReport,
  parseTrusted,
  parseVolumeSize,
} from "./bundle-flags.ts";
import {
  metricsFile,
  oneOf,
  outputFile,
  outputFolder,
  parseBy,
  parseEvery,
  parseLimit,
  parseListen,
  parseName,
  parseNoSumdb,
  parseTimeout,
} from "./flag-values.ts";
import { type Flag, readFlags } from "./flags.ts";
import { type DeployedName, deployedName, endpointUrl, mirrorFolder } from "./mirror-address.ts";
import { parseBatch, parseLevel, shardOf } from "./scrub-flags.ts";

/** What can be asked for: lines for people are what there is without. */
const LOG_FORMATS = ["json"] as const;
export type LogFormat = "text" | (typeof LOG_FORMATS)[number];

/** All flags of all verbs, checked. */
export interface Options {
  readonly arguments: readonly string[];
  /** A folder; where `deployed` or `endpoint` is set, nobody's. */
  readonly mirror: string;
  /** A mirror in AWS instead of a folder. */
  readonly deployed: DeployedName | undefined;
  readonly upstream: string | undefined;
  readonly sumdbs: readonly SumdbOption[];
  /** Whether --sumdb was given. */
  readonly sumdbNamed: boolean;
  /** GONOSUMDB patterns, comma-separated; undefined where the user's own GONOSUMDB holds. */
  readonly noSumdb: string | undefined;
  /** The checksum database whose stop an operator lifts. */
  readonly clearFork: string | undefined;
  readonly tier: Tier;
  readonly graph: GraphExtent;
  readonly tiles: TileExtent;
  readonly refillTiles: boolean;
  readonly json: boolean;
  readonly listen: { readonly host: string; readonly port: number };
  /** Whether --mirror was given, and not only the environment's or the default. */
  readonly mirrorNamed: boolean;
  readonly to: string | undefined;
  /** Of `request`: an endpoint instead of a folder, and how long to wait for it to be served, in ms. */
  readonly endpoint: URL | undefined;
  readonly wait: { readonly wait: boolean; readonly timeout: number };
  /** Of `sync`: a configuration's file, and how often its feeds are read, in ms; once where it is undefined. */
  readonly config: string | undefined;
  readonly every: number | undefined;
  /** Whether the arguments name a module cache, and the folder of it that is laid out as a GOPROXY, once it is known. */
  readonly fromModcache: boolean;
  readonly seed?: string;
  /** Of `sync`: the arguments are held versions, of which upstream is asked again. */
  readonly refresh: boolean;
  /** Of `pull`. */
  readonly pull: { readonly delete: boolean; readonly checksum: boolean };
  readonly scrub: { readonly level: ScrubLevel; readonly batch: boolean; readonly shard: Shard };
  /** Of `rebuild-tree`: the snapshot, as it was given, and folders of bundles. */
  readonly from: string | undefined;
  readonly bundles: readonly string[];
  readonly bundle: BundleOptions;
  /** Of `gc`: names of requests, and of a run whose list is approved. */
  readonly garbage: {
    readonly dryRun: boolean;
    readonly drop: readonly string[];
    readonly approve: string | undefined;
  };
  /** The name of the request to be made. */
  readonly name: string;
  /** What stands after `--`. */
  readonly command: readonly string[];
  /** Whose versions `status` names, and how many of each state; undefined where nothing was said. */
  readonly named: { readonly states: readonly OpenState[] | undefined; readonly limit: number | undefined };
  /** Of `pause`, as they were given. */
  readonly pause: { readonly until: string | undefined; readonly reason: string | undefined };
  /** The vulnerability database that is mirrored besides. */
  readonly vulndb: string | undefined;
  /** Who decides, for the audit; undefined: who runs the command. */
  readonly by: string | undefined;
  /** Of `resolve-conflict`. */
  readonly resolution: { readonly keep: boolean; readonly take: boolean };
  /** How stderr is written: for people, or as a log of JSON lines. */
  readonly log: LogFormat;
  /** A file that `sync` leaves its metrics in. */
  readonly metrics: string | undefined;
  /** What `zip` makes a zip of, as it was given. */
  readonly source: Readonly<Record<"git" | "rev" | "subdir" | "module" | "version", string | undefined>>;
}

/**
 * @param args what stands before a command, for a verb that runs one.
 * @throws MirrorError misuse naming the flag and what would be right.
 */
export function parseOptions(
  verb: string,
  allowed: readonly Flag[],
  args: readonly string[],
  environment: { readonly mirror: string | undefined },
  command: readonly string[] = [],
): Options {
  const { values, positionals } = readFlags(verb, allowed, args);
  const fromEnvironment = values.mirror === undefined && environment.mirror !== undefined;
  const address = values.mirror ?? environment.mirror ?? DEFAULT_MIRROR;
  const from = fromEnvironment ? "MODFERRY_MIRROR" : "--mirror";
  const endpoint = verb === "request" || verb === "watch" ? endpointUrl(address, from) : undefined;
  const deployed = endpoint === undefined ? deployedName(verb, address, from) : undefined;
  return {
    arguments: positionals,
    mirror: endpoint === undefined && deployed === undefined ? mirrorFolder(address, from) : DEFAULT_MIRROR,
    deployed,
    endpoint,
    wait: { wait: values.wait ?? false, timeout: parseTimeout(values.timeout ?? "15m") },
    upstream: values.upstream,
    sumdbs: parseSumdbs(values.sumdb ?? []),
    sumdbNamed: values.sumdb !== undefined,
    clearFork: values["clear-fork"],
    noSumdb: parseNoSumdb(values["no-sumdb"]),
    tier: oneOf("--tier", tier, values.tier ?? "tidy"),
    graph: oneOf("--graph", graphExtent, values.graph ?? "pruned"),
    tiles: oneOf("--tiles", { options: TILE_EXTENTS }, values.tiles ?? "upper"),
    refillTiles: values["refill-tiles"] ?? false,
    json: values.json ?? false,
    listen: parseListen(values.listen ?? "127.0.0.1:3000"),
    mirrorNamed: values.mirror !== undefined,
    to:
      values.to === undefined
        ? undefined
        : FOLDER_VERBS.has(verb)
          ? outputFolder(values.to)
          : outputFile(values.to),
    config: values.config,
    every: parseEvery(values.every, values.once ?? false, values.config),
    fromModcache: values["from-modcache"] ?? false,
    refresh: values.refresh ?? false,
    pull: { delete: values.delete ?? false, checksum: values.checksum ?? false },
    scrub: {
      level: parseLevel({ quick: values.quick, stored: values.stored, deep: values.deep }),
      batch: parseBatch(values.batch ?? false, values.deep ?? false, deployed !== undefined),
      shard: shardOf(values.shard),
    },
    from: values.from,
    bundles: values.bundles ?? [],
    bundle: {
      since: values.since,
      full: values.full ?? false,
      needs: values.needs,
      volumeSize: parseVolumeSize(values["volume-size"]),
      format: parseBundleFormat(values.format, values["volume-size"]),
      key: values.key,
      introduces: (values.introduce ?? []).map((text) => parseTrusted("--introduce", text)),
      trust: (values.trust ?? []).map((text) => parseTrusted("--trust", text)),
      report: parseReport(values.report),
    },
    garbage: { dryRun: values["dry-run"] ?? false, drop: values.drop ?? [], approve: values.approve },
    name: parseName(values.name ?? (verb === "record" ? RECORDING_NAME : SYNC_NAME)),
    command,
    named: {
      states: values.state?.map((state) => oneOf("--state", { options: OPEN_STATES }, state.toUpperCase())),
      limit: parseLimit(values.limit),
    },
    pause: { until: values.until, reason: values.reason },
    by: parseBy(values.by),
    resolution: { keep: values.keep ?? false, take: values.take ?? false },
    vulndb: values.vulndb,
    log: values.log === undefined ? "text" : oneOf("--log", { options: LOG_FORMATS }, values.log),
    metrics: values.metrics === undefined ? undefined : metricsFile(values.metrics),
    source: sourceFlags(values.git, values.rev, values.subdir, values.module, values.version),
  };
}

function sourceFlags(
  git?: string,
  rev?: string,
  subdir?: string,
  module?: string,
  version?: string,
): Options["source"] {
  const source = { git, rev, subdir, module, version };
  for (const [flag, text] of Object.entries(source)) {
    if (text === "" || text?.includes("\0"))
      throw misuse(`--${flag}`, `--${flag}: empty, or holds a NUL byte`);
  }
  return source;
}

/** Whose --to is a folder's path, or any file's. */
const FOLDER_VERBS = new Set(["zip", "pull", "export", "keygen", "import", "receipt", "inspect"]);

const DEFAULT_MIRROR = "modferry-mirror";

/** The name of requests that `modferry record` makes. */
const RECORDING_NAME = "recording";
/** And `modferry sync`. */
const SYNC_NAME = "sync";
