import { parseArgs } from "node:util";
import { parseSumdb, type SumdbOption } from "../adapters/upstream/sumdb-option.ts";
import { redactUrl } from "../adapters/upstream/upstream-url.ts";
import { misuse } from "../mirror/errors.ts";
import { type GraphExtent, graphExtent, type Tier, tier } from "../mirror/requests.ts";
import { PUBLIC_DATABASE_KEY } from "../sumdb/known-databases.ts";

export const USAGE = `usage: modferry VERB …

  modferry sync WISH… [--mirror ADDR] [--upstream URL] [--sumdb "VKEY [URL]"] [--no-sumdb PATTERN]
                      [--tier build|tidy|upgrade] [--graph pruned|full] [--json]
      mirrors what the wishes need; WISH: go.mod, go.sum, go.work, module@version, module@latest,
      or - (stdin: the output of go list -m -json all)
  modferry serve [--mirror ADDR] [--listen 127.0.0.1:3000]
      serves the mirror as a GOPROXY
  modferry verify [--mirror ADDR] [--sumdb "VKEY [URL]"] [--json]
      reads back and proves every file; exit 1 and a list where anything is off
  modferry hash FILE…
      prints the h1: hash of each zip or go.mod
  modferry closure WISH… [--upstream URL] [--sumdb …] [--no-sumdb PATTERN] [--tier build|tidy|upgrade]
                         [--graph pruned|full] [--json]
      the files that would be mirrored

ADDR is a folder (default: MODFERRY_MIRROR, else ./modferry-mirror). The upstream defaults to the first http(s) URL of
\`go env GOPROXY\`. Exit status: 0, 1 (ended; something is missing or wrong), 2 (misuse).`;

/** All flags of all verbs, checked. */
export interface Options {
  readonly arguments: readonly string[];
  readonly mirror: string;
  readonly upstream: string | undefined;
  readonly sumdb: SumdbOption;
  readonly noSumdb: string;
  readonly tier: Tier;
  readonly graph: GraphExtent;
  readonly json: boolean;
  readonly listen: { readonly host: string; readonly port: number };
}

const FLAGS = {
  mirror: { type: "string" },
  upstream: { type: "string" },
  sumdb: { type: "string" },
  "no-sumdb": { type: "string", multiple: true },
  tier: { type: "string" },
  graph: { type: "string" },
  json: { type: "boolean" },
  listen: { type: "string" },
} as const;

type Flag = keyof typeof FLAGS;

/** @throws MirrorError misuse naming the flag and what would be right. */
export function parseOptions(
  verb: string,
  allowed: readonly Flag[],
  args: readonly string[],
  environment: { readonly mirror: string | undefined },
): Options {
  const { values, positionals } = readFlags(verb, allowed, args);
  return {
    arguments: positionals,
    mirror:
      values.mirror === undefined && environment.mirror !== undefined
        ? mirrorFolder(environment.mirror, "MODFERRY_MIRROR")
        : mirrorFolder(values.mirror ?? "modferry-mirror", "--mirror"),
    upstream: values.upstream,
    sumdb: parseSumdb(values.sumdb ?? PUBLIC_DATABASE_KEY),
    noSumdb: (values["no-sumdb"] ?? []).join(","),
    tier: oneOf("--tier", tier, values.tier ?? "tidy"),
    graph: oneOf("--graph", graphExtent, values.graph ?? "pruned"),
    json: values.json ?? false,
    listen: parseListen(values.listen ?? "127.0.0.1:3000"),
  };
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

function parseListen(text: string): { host: string; port: number } {
  const [, bracketed, plain, port] =
    /^(?:(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([A-Za-z0-9_.-]+)):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw misuse("--listen", `--listen ${text}: give HOST:PORT, such as 127.0.0.1:3000 or [::1]:3000`);
  }
  return { host: bracketed ?? plain ?? "127.0.0.1", port: Number(port) };
}
