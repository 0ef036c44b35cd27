import { parseArgs } from "node:util";
import { parseSumdbs, type SumdbOption } from "../adapters/upstream/sumdb-option.ts";
import { redactUrl } from "../adapters/upstream/upstream-url.ts";
import { arePathPatterns } from "../gomod/path-pattern.ts";
import { misuse } from "../mirror/errors.ts";
import { POLL_FEED, requestName } from "../mirror/orders.ts";
import { type GraphExtent, graphExtent, type Tier, tier } from "../mirror/requests.ts";
import { TILE_EXTENTS, type TileExtent } from "../sumdb/tile-extent.ts";

export const USAGE = `usage: modferry VERB …

  modferry sync WISH… [--mirror ADDR] [--upstream URL] [--sumdb "VKEY [URL] [PATTERN,…]"]… [--no-sumdb PATTERN]
                      [--tier build|tidy|upgrade] [--graph pruned|full] [--tiles needed|upper|full] [--refill-tiles]
                      [--clear-fork NAME] [--json]
      mirrors what the wishes need; WISH: go.mod, go.sum, go.work, module@version, module@latest, a request file
      (FILE.json, as record writes), or - (stdin: the output of go list -m -json all)
  modferry serve [--mirror ADDR] [--listen 127.0.0.1:3000] [--upstream URL [--sumdb "VKEY [URL]"]…]
      serves the mirror as a GOPROXY; with an upstream, tiles of the checksum database that it lacks are got from there
  modferry verify [--mirror ADDR] [--sumdb "VKEY"]… [--json]
      reads back and proves every file; exit 1 and a list where anything is off
  modferry record [--to FILE.json] [--mirror ADDR] [--name NAME] [--upstream URL] [--sumdb …] [--no-sumdb PATTERN]
                  [--tier build|tidy|upgrade] [--graph pruned|full] [--tiles needed|upper|full] [--json] -- COMMAND…
      runs a command (go test ./...) with GOPROXY set to a recording proxy and empty caches; what it asked becomes a
      request file, or is synced into the mirror at once; a command that fails changes neither FILE.json nor the mirror
  modferry rehearse REQUEST… [--mirror ADDR] [--tier build|tidy|upgrade] [--graph pruned|full] [--json] -- COMMAND…
      runs a command against the mirror alone in empty caches, and names every file that was missing;
      REQUEST: wishes as for sync, with the --tier and --graph they were synced with, or the NAME or NAME/TIME of a
      request that the mirror has (sync, recording), which has its own
  modferry hash FILE…
      prints the h1: hash of each zip or go.mod
  modferry zip FOLDER --version V [--module PATH] --to DIR [--json]
  modferry zip --git REPO --rev REV [--subdir DIR] [--module PATH] [--version V] --to DIR [--json]
      makes the module zip of a folder, or of a tag, branch or commit, as go would, writes it with .info and .mod into
      DIR, laid out as a GOPROXY, and prints its lines of go.sum
  modferry closure WISH… [--upstream URL] [--sumdb …] [--no-sumdb PATTERN] [--tier build|tidy|upgrade]
                         [--graph pruned|full] [--json]
      the files that would be mirrored

A checksum database (--sumdb, each once; default: the public one) covers the modules that its PATTERNs name, as
GONOSUMDB has them, or without any all that no other one names; the public one covers what is left. Of those that cover a
module the first must have it. --no-sumdb (default: \`go env GONOSUMDB\`) names modules that none covers.
One that shows two histories is stopped; NAME of it goes on with --clear-fork, which may stand without a WISH.

--tiles says how many of a database's tiles are held (default: upper). needed: for clients that know no other source.
upper: besides, all above the lowest level. full: all, 2 GB of the public database, so that a client verifies without
any network whatever it has seen elsewhere. --refill-tiles gets again what is missing of them.

ADDR is a folder (default: MODFERRY_MIRROR, else ./modferry-mirror). The upstream defaults to the first http(s) URL of
\`go env GOPROXY\`. Exit status: 0, 1 (ended; something is missing or wrong), 2 (misuse);
130 or 143 when SIGINT or SIGTERM ended it. record ends with its command's own status, 128 and its number for a signal,
and as sync where that is 0. rehearse ends with 0 when its command did and nothing was missing, else with 1.`;

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
  /** The name of the request to be made. */
  readonly name: string;
  /** What stands after `--`. */
  readonly command: readonly string[];
  /** What `zip` makes a zip of, as it was given. */
  readonly source: Readonly<Record<"git" | "rev" | "subdir" | "module" | "version", string | undefined>>;
}

const FLAGS = {
  mirror: { type: "string" },
  upstream: { type: "string" },
  sumdb: { type: "string", multiple: true },
  "clear-fork": { type: "string" },
  "no-sumdb": { type: "string", multiple: true },
  tier: { type: "string" },
  graph: { type: "string" },
  tiles: { type: "string" },
  "refill-tiles": { type: "boolean" },
  json: { type: "boolean" },
  listen: { type: "string" },
  to: { type: "string" },
  name: { type: "string" },
  git: { type: "string" },
  rev: { type: "string" },
  subdir: { type: "string" },
  module: { type: "string" },
  version: { type: "string" },
} as const;

type Flag = keyof typeof FLAGS;

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
  return {
    arguments: positionals,
    mirror:
      values.mirror === undefined && environment.mirror !== undefined
        ? mirrorFolder(environment.mirror, "MODFERRY_MIRROR")
        : mirrorFolder(values.mirror ?? "modferry-mirror", "--mirror"),
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
      values.to === undefined ? undefined : verb === "zip" ? outputFolder(values.to) : outputFile(values.to),
    name: parseName(values.name ?? RECORDING_NAME),
    command,
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

/** The name of requests that `modferry record` makes. */
const RECORDING_NAME = "recording";

/** Flags and arguments of our own end at the first `--`; what follows is a command, with flags of its own. */
export function splitCommand(args: readonly string[]): {
  own: readonly string[];
  command: readonly string[];
} {
  const at = args.indexOf("--");
  return at < 0 ? { own: args, command: [] } : { own: args.slice(0, at), command: args.slice(at + 1) };
}

function outputFolder(path: string): string {
  if (path === "" || path.includes("\0") || /^[a-z][a-z0-9+.-]*:/i.test(path))
    throw misuse("--to", `--to ${path}: give a folder's path`);
  return path;
}

function outputFile(path: string): string {
  if (!path.endsWith(".json") || path.includes("@") || path.includes("\0"))
    throw misuse(
      "--to",
      `--to ${path}: name a file that ends in .json and has no @, so that it is known as a request`,
    );
  return path;
}

function parseName(text: string): string {
  if (requestName.safeParse(text).success && text !== POLL_FEED) return text;
  throw misuse(
    "--name",
    `--name ${text}: give up to 64 of a-z, 0-9, ".", "_" and "-", and begin with a letter or digit (not ${POLL_FEED})`,
  );
}

function readFlags(verb: string, allowed: readonly Flag[], args: readonly string[]) {
  try {
    // A lone `-` is a wish (stdin), which parseArgs takes as a positional.
    const parsed = parseArgs({ args: [...args], options: FLAGS, allowPositionals: true, strict: true });
    const surplus = Object.keys(parsed.values).find((flag) => !allowed.includes(flag as Flag));
    if (surplus !== undefined) {
      throw misuse(
        `--${surplus}`,
        `--${surplus}: not a flag of \`modferry ${verb}\`; it takes ${flagList(allowed)}`,
      );
    }
    return parsed;
  } catch (cause) {
    if (cause instanceof TypeError && "code" in cause)
      throw misuse(
        "flags",
        `${firstLine(cause.message)}; \`modferry ${verb}\` takes ${flagList(allowed)}`,
        cause,
      );
    throw cause;
  }
}

const flagList = (flags: readonly Flag[]): string =>
  flags.length === 0 ? "no flags" : flags.map((flag) => `--${flag}`).join(", ");
const firstLine = (text: string): string => (text.split("\n", 1)[0] ?? "").replace(/\. .*$/, "");

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

function parseListen(text: string): { host: string; port: number } {
  const [, bracketed, plain, port] =
    /^(?:(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([A-Za-z0-9_.-]+)):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw misuse("--listen", `--listen ${text}: give HOST:PORT, such as 127.0.0.1:3000 or [::1]:3000`);
  }
  return { host: bracketed ?? plain ?? "127.0.0.1", port: Number(port) };
}
