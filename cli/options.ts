import { parseSumdbs, type SumdbOption } from "../adapters/upstream/sumdb-option.ts";
import { redactUrl } from "../adapters/upstream/upstream-url.ts";
import { arePathPatterns } from "../gomod/path-pattern.ts";
import { misuse } from "../mirror/errors.ts";
import { isFeedName, requestName } from "../mirror/orders.ts";
import { type GraphExtent, graphExtent, type Tier, tier } from "../mirror/requests.ts";
import { MOST_VERSIONS_NAMED, OPEN_STATES, type OpenState } from "../mirror/status.ts";
import { TILE_EXTENTS, type TileExtent } from "../sumdb/tile-extent.ts";
import { type Flag, readFlags } from "./flags.ts";

const LOG_FORMATS = ["text", "json"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** All flags of all verbs, checked. */
export interface Options {
  readonly arguments: readonly string[];
  readonly mirror: string;
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
  /** Of `pull`. */
  readonly pull: { readonly delete: boolean; readonly checksum: boolean };
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
  return {
    arguments: positionals,
    mirror: endpoint === undefined ? mirrorFolder(address, from) : DEFAULT_MIRROR,
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
        : verb === "zip" || verb === "pull"
          ? outputFolder(values.to)
          : outputFile(values.to),
    config: values.config,
    every: parseEvery(values.every, values.once ?? false, values.config),
    fromModcache: values["from-modcache"] ?? false,
    pull: { delete: values.delete ?? false, checksum: values.checksum ?? false },
    name: parseName(values.name ?? (verb === "record" ? RECORDING_NAME : SYNC_NAME)),
    command,
    named: {
      states: values.state?.map((state) => oneOf("--state", { options: OPEN_STATES }, state.toUpperCase())),
      limit: parseLimit(values.limit),
    },
    pause: { until: values.until, reason: values.reason },
    by: parseBy(values.by),
    vulndb: values.vulndb,
    log: oneOf("--log", { options: LOG_FORMATS }, values.log ?? "text"),
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

const DEFAULT_MIRROR = "modferry-mirror";

/** The name of requests that `modferry record` makes. */
const RECORDING_NAME = "recording";
/** And `modferry sync`. */
const SYNC_NAME = "sync";

function outputFolder(path: string): string {
  if (path === "" || path.includes("\0") || /^[a-z][a-z0-9+.-]*:/i.test(path))
    throw misuse("--to", `--to ${path}: give a folder's path`);
  return path;
}

/** Prometheus's node exporter reads the files of a folder that end so (its textfile collector). */
function metricsFile(path: string): string {
  if (path.endsWith(".prom") && !path.includes("\0")) return path;
  throw misuse("--metrics", `--metrics ${path}: name a file that ends in .prom`);
}

function outputFile(path: string): string {
  if (!path.endsWith(".json") || path.includes("@") || path.includes("\0"))
    throw misuse(
      "--to",
      `--to ${path}: name a file that ends in .json and has no @, so that it is known as a request`,
    );
  return path;
}

function parseBy(text: string | undefined): string | undefined {
  if (text === undefined || (/^[^\p{Cc}\p{Cf}\u2028\u2029]+$/u.test(text) && text.length <= 200)) return text;
  throw misuse("--by", "--by: give a name in one line of 200 characters at most");
}

function parseName(text: string): string {
  if (requestName.safeParse(text).success && !isFeedName(text)) return text;
  throw misuse(
    "--name",
    `--name ${text}: give a name such as app or team/app, of a-z, 0-9, ".", "_" and "-" (not poll or index: feeds are called so)`,
  );
}

/** @returns undefined where the address is none of an endpoint. */
function endpointUrl(address: string, from: "--mirror" | "MODFERRY_MIRROR"): URL | undefined {
  if (!/^https?:/i.test(address)) return undefined;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const isPlain = url?.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (url !== undefined && isPlain) return url;
  throw misuse(
    from,
    `${from}: ${redactUrl(address)}: give an endpoint's plain URL; its token goes into MODFERRY_TOKEN`,
  );
}

/** A round takes seconds where nothing is new; more often would ask the upstream for nothing. */
const SHORTEST_ROUND = 10_000;

function parseEvery(text: string | undefined, once: boolean, config: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (once) throw misuse("--every", "--every: given with --once; give one of them");
  if (config === undefined)
    throw misuse("--every", "--every: only with --config FILE, whose feeds it reads again and again");
  const every = /^\d{1,5}[smh]$/.test(text) ? parseTimeout(text) : 0;
  if (every >= SHORTEST_ROUND) return every;
  throw misuse("--every", `--every ${text}: give a duration of 10s or more, such as 10m or 1h`);
}

const TIMEOUT_UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

/** @returns milliseconds. */
function parseTimeout(text: string): number {
  const [, count, unit = ""] = /^(\d{1,5})([smh])$/.exec(text) ?? [];
  if (count !== undefined) return Number(count) * (TIMEOUT_UNITS[unit] ?? 0);
  throw misuse("--timeout", `--timeout ${text}: give a duration such as 90s, 15m or 2h`);
}

function mirrorFolder(address: string, from: "--mirror" | "MODFERRY_MIRROR"): string {
  if (address === "") throw misuse(from, `${from}: empty; give a folder`);
  if (address.includes("\0")) throw misuse(from, `${from}: holds a NUL byte; give a folder`);
  if (/^(aws:|[a-z][a-z0-9+.-]*:\/\/)/i.test(address)) {
    const shown = address.startsWith("aws:") ? address : redactUrl(address);
    throw misuse(
      from,
      `${from}: ${shown}: give a folder's path; a deployed mirror takes requests through its vault's inbox`,
    );
  }
  return address;
}

/** @throws MirrorError misuse naming the words that there are. */
function oneOf<Word extends string>(
  flag: string,
  words: { readonly options: readonly Word[] },
  text: string,
): Word {
  const found = words.options.find((word) => word === text);
  if (found !== undefined) return found;
  throw misuse(flag, `${flag} ${text}: give one of ${words.options.join(", ")}`);
}

function parseNoSumdb(patterns: readonly string[] | undefined): string | undefined {
  const wrong = patterns?.find((pattern) => pattern !== "" && !arePathPatterns(pattern));
  if (wrong === undefined) return patterns?.join(",");
  const right = "give patterns of module paths as GONOSUMDB has them, such as corp.example,*.corp.example";
  throw misuse("--no-sumdb", `--no-sumdb ${wrong}: ${right}`);
}

function parseLimit(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MOST_VERSIONS_NAMED) return limit;
  throw misuse("--limit", `--limit ${text}: give a number from 1 to ${MOST_VERSIONS_NAMED}`);
}

function parseListen(text: string): { host: string; port: number } {
  const [, bracketed, plain, port] =
    /^(?:(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([A-Za-z0-9_.-]+)):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw misuse("--listen", `--listen ${text}: give HOST:PORT, such as 127.0.0.1:3000 or [::1]:3000`);
  }
  return { host: bracketed ?? plain ?? "127.0.0.1", port: Number(port) };
}
