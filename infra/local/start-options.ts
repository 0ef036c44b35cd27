import { parseArgs } from "node:util";
import { parseSumdbs, type SumdbOption } from "../../adapters/upstream/sumdb-option.ts";
import { misuse } from "../../mirror/errors.ts";
import { TILE_EXTENTS, type TileExtent } from "../../sumdb/tile-extent.ts";

export interface StartOptions {
  /** The go.mod of the project to be mirrored; undefined for the sample. */
  readonly goMod: string | undefined;
  /** Over a folder and SQLite, with no AWS endpoint. */
  readonly embedded: boolean;
  /** Does everything once, then stops. */
  readonly once: boolean;
  /** The port that was asked for; undefined for the usual one, or any where that is taken. */
  readonly port: number | undefined;
  readonly upstream: string | undefined;
  readonly sumdbs: readonly SumdbOption[];
  /** As for `modferry sync`; here `needed`, for the default upstream is shared, and this mirror is for looking at. */
  readonly tiles: TileExtent;
  /** Where the mirror and all that its bring-up writes lies; undefined for .modferry/start of the checkout. */
  readonly folder: string | undefined;
}

export const USAGE = `usage: npm start -- [path/to/go.mod] [--embedded] [--port PORT] [--upstream URL]
                   [--sumdb "VKEY [URL] [PATTERN,…]"]… [--tiles needed|upper|full] [--folder FOLDER] [--once]

  Brings up a mirror on this machine, mirrors what the project needs (without one: a sample of about 60 modules),
  builds it with the go command against the mirror alone, and stays up until Ctrl-C.

  --embedded      no AWS endpoint: a folder mirror and \`modferry serve\`
  --port PORT     where to listen (default 4566, embedded 3000; another where that is taken)
  --upstream URL  fetch from there (default: the first http(s) URL of \`go env GOPROXY\`)
  --sumdb "VKEY [URL] [PATTERN,…]"
                  a checksum database, as GOSUMDB has it, and of which modules, as for \`modferry sync\`
                  (default: the public one)
  --tiles needed|upper|full
                  how many of a checksum database's tiles are held, as for \`modferry sync\` (default: needed)
  --folder FOLDER keep the mirror there (default: .modferry/start of the checkout)
  --once          do all that, then stop`;

const FLAGS = {
  embedded: { type: "boolean" },
  folder: { type: "string" },
  once: { type: "boolean" },
  port: { type: "string" },
  sumdb: { type: "string", multiple: true },
  tiles: { type: "string" },
  upstream: { type: "string" },
} as const;

/** @throws MirrorError misuse naming the flag and what would be right. */
export function parseStartOptions(args: readonly string[]): StartOptions {
  const { values, positionals } = readFlags(args);
  const [goMod, surplus] = positionals;
  if (surplus !== undefined) throw misuse(surplus, `${surplus}: one go.mod at a time`);
  if (goMod !== undefined && !/(^|\/)go\.mod$/.test(goMod)) {
    throw misuse(goMod, `${goMod}: not named go.mod; give the path of a project's go.mod`);
  }
  return {
    goMod,
    embedded: values.embedded ?? false,
    once: values.once ?? false,
    port: values.port === undefined ? undefined : parsePort(values.port),
    upstream: values.upstream,
    sumdbs: parseSumdbs(values.sumdb ?? []),
    tiles: parseTiles(values.tiles ?? "needed"),
    folder: values.folder === undefined ? undefined : parseFolder(values.folder),
  };
}

function readFlags(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: FLAGS, allowPositionals: true, strict: true });
  } catch (cause) {
    if (!(cause instanceof TypeError && "code" in cause)) throw cause;
    const problem = (cause.message.split("\n", 1)[0] ?? "").replace(/\. .*$/, "");
    const known = Object.keys(FLAGS).map((flag) => `--${flag}`);
    throw misuse("flags", `${problem}; \`npm start --\` takes a go.mod, ${known.join(", ")}`, cause);
  }
}

function parseTiles(text: string): TileExtent {
  const found = TILE_EXTENTS.find((extent) => extent === text);
  if (found === undefined) throw misuse("--tiles", `--tiles ${text}: give one of ${TILE_EXTENTS.join(", ")}`);
  return found;
}

function parseFolder(text: string): string {
  if (text === "" || text.includes("\0"))
    throw misuse("--folder", "--folder: not a folder's name; give a path");
  return text;
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw misuse("--port", `--port ${text}: give a port from 1 to 65535`);
  return port;
}
