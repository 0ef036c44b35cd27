import { parseArgs } from "node:util";
import { misuse } from "../mirror/errors.ts";

/** All flags of all verbs. One that is not `multiple` is given once. */
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
  delete: { type: "boolean" },
  wait: { type: "boolean" },
  config: { type: "string" },
  once: { type: "boolean" },
  every: { type: "string" },
  "from-modcache": { type: "boolean" },
  refresh: { type: "boolean" },
  timeout: { type: "string" },
  checksum: { type: "boolean" },
  name: { type: "string" },
  git: { type: "string" },
  rev: { type: "string" },
  subdir: { type: "string" },
  module: { type: "string" },
  version: { type: "string" },
  state: { type: "string", multiple: true },
  limit: { type: "string" },
  until: { type: "string" },
  reason: { type: "string" },
  by: { type: "string" },
  vulndb: { type: "string" },
  keep: { type: "boolean" },
  take: { type: "boolean" },
  quick: { type: "boolean" },
  stored: { type: "boolean" },
  deep: { type: "boolean" },
  batch: { type: "boolean" },
  shard: { type: "string" },
  from: { type: "string" },
  bundles: { type: "string", multiple: true },
  since: { type: "string" },
  full: { type: "boolean" },
  needs: { type: "string" },
  "volume-size": { type: "string" },
  format: { type: "string" },
  key: { type: "string" },
  introduce: { type: "string", multiple: true },
  trust: { type: "string", multiple: true },
  report: { type: "string" },
  "dry-run": { type: "boolean" },
  drop: { type: "string", multiple: true },
  approve: { type: "string" },
  log: { type: "string" },
  metrics: { type: "string" },
} as const;

export type Flag = keyof typeof FLAGS;

/** Flags and arguments of our own end at the first `--`; what follows is a command, with flags of its own. */
export function splitCommand(args: readonly string[]): {
  own: readonly string[];
  command: readonly string[];
} {
  const at = args.indexOf("--");
  return at < 0 ? { own: args, command: [] } : { own: args.slice(0, at), command: args.slice(at + 1) };
}

/**
 * The flags and arguments of one verb, as they were given.
 * @throws MirrorError misuse naming the flag, and those that the verb takes.
 */
export function readFlags(verb: string, allowed: readonly Flag[], args: readonly string[]) {
  try {
    // A lone `-` is a wish (stdin), which parseArgs takes as a positional.
    const parsed = parseArgs({
      args: [...args],
      options: FLAGS,
      allowPositionals: true,
      strict: true,
      tokens: true,
    });
    const surplus = Object.keys(parsed.values).find((flag) => !allowed.includes(flag as Flag));
    if (surplus !== undefined) {
      throw misuse(
        `--${surplus}`,
        `--${surplus}: not a flag of \`modferry ${verb}\`; it takes ${flagList(allowed)}`,
      );
    }
    const twice = givenTwice(parsed.tokens.flatMap((token) => (token.kind === "option" ? [token.name] : [])));
    if (twice !== undefined) throw misuse(`--${twice}`, `--${twice}: given twice; give it once`);
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

/** A value that another one takes the place of is a mistake that nobody would see; a switch may be given again. */
function givenTwice(names: readonly string[]): string | undefined {
  return names.find((name, at) => {
    const flag: { type: string; multiple?: boolean } = FLAGS[name as Flag];
    return flag.type === "string" && flag.multiple !== true && names.indexOf(name) < at;
  });
}

const flagList = (flags: readonly Flag[]): string =>
  flags.length === 0 ? "no flags" : flags.map((flag) => `--${flag}`).join(", ");
const firstLine = (text: string): string => (text.split("\n", 1)[0] ?? "").replace(/\. .*$/, "");
