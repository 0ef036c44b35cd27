import { FormatError } from "../../gomod/format-error.ts";
import { arePathPatterns } from "../../gomod/path-pattern.ts";
import { misuse } from "../../mirror/errors.ts";
import { parseTreeKey, treeHeadKey } from "../../mirror/tree-keys.ts";
import { PUBLIC_DATABASE_KEY } from "../../sumdb/known-databases.ts";
import { parseVerifierKey, type Verifier } from "../../sumdb/note.ts";
import { redactUrl } from "./upstream-url.ts";

/** Where a checksum database's proofs come from, and of which modules. */
export interface SumdbOption {
  readonly verifier: Verifier;
  /** The verifier key. */
  readonly key: string;
  /** Its own address; without one it is asked through the upstream's /sumdb/. */
  readonly url: string | undefined;
  /** GONOSUMDB patterns of the paths that it covers, comma-separated; without any, all that no other database names. */
  readonly modules: string | undefined;
}

/** The public database as the go command knows it: by its name alone (cmd/go/internal/modfetch, knownGOSUMDB). */
const PUBLIC_NAME = PUBLIC_DATABASE_KEY.split("+", 1)[0];

/**
 * Reads a `--sumdb`: `VKEY [URL]`, as GOSUMDB has it (cmd/go/internal/modfetch, dbDial), then perhaps patterns of module
 * paths, as GONOSUMDB has them.
 * @throws MirrorError misuse saying what would be right; it shows no password of the URL.
 */
export function parseSumdb(text: string): SumdbOption {
  const [name = "", ...more] = text.trim().split(/\s+/);
  const url = more[0]?.includes("://") ? more.shift() : undefined;
  const modules = more.shift();
  if (more.length > 0 || modules?.includes("://"))
    throw misuse(
      "--sumdb",
      "--sumdb: give a verifier key, perhaps a URL, and perhaps PATTERN,PATTERN without spaces, in one argument",
    );
  if (url !== undefined && !(/^(https?|file):\/\//.test(url) && URL.canParse(url))) {
    throw misuse(
      "--sumdb",
      `--sumdb: ${redactUrl(url)}: not an address of a database; give an http(s) URL after the key`,
    );
  }
  if (modules !== undefined && !arePathPatterns(modules)) {
    // Not repeated: a URL without its scheme may hold a password.
    const what = "neither an http(s) URL nor patterns of module paths, such as corp.example,*.corp.example";
    throw misuse("--sumdb", `--sumdb: what follows the key is ${what}`);
  }
  const key = name === PUBLIC_NAME ? PUBLIC_DATABASE_KEY : name;
  return { verifier: parseKey(key), key, url, modules };
}

function parseKey(key: string): Verifier {
  let verifier: Verifier;
  try {
    verifier = parseVerifierKey(key);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw misuse("--sumdb", `--sumdb: ${cause.message}; give NAME+HASH+KEY as GOSUMDB has it`, cause);
  }
  const { name } = verifier;
  if (parseTreeKey(treeHeadKey(name))?.kind === "treeHead") return verifier;
  const what = "a mirror serves a database below its name, so that must be a host, perhaps with a path";
  throw misuse("--sumdb", `--sumdb: ${JSON.stringify(name)}: ${what}`);
}

/**
 * Reads all of a mirror's databases. Where each has patterns, the public one covers the rest: that something comes in
 * unproven has to be said (`--no-sumdb`), not left out.
 * @throws MirrorError misuse, also where two have one name: the tree holds each below its name.
 */
export function parseSumdbs(texts: readonly string[]): readonly SumdbOption[] {
  const given = texts.map(parseSumdb);
  const databases = given.every(({ modules }) => modules !== undefined && modules !== "*")
    ? [...given, parseSumdb(PUBLIC_DATABASE_KEY)]
    : given;
  if (given.length < databases.length && given.some(({ verifier }) => verifier.name === PUBLIC_NAME)) {
    const remedy =
      "give it none, so that it covers what no other one names, or name what none covers with --no-sumdb";
    throw misuse(
      "--sumdb",
      `--sumdb: ${PUBLIC_NAME} has patterns, and no database covers the rest; ${remedy}`,
    );
  }
  const names = databases.map(({ verifier }) => verifier.name.toLowerCase());
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined)
    throw misuse("--sumdb", `--sumdb: ${twice}: given twice; give each database once, with all its patterns`);
  return databases;
}

/** As parseSumdb reads it. */
export function printSumdb({ key, url, modules }: Omit<SumdbOption, "verifier">): string {
  return [key, url, modules].filter((part) => part !== undefined).join(" ");
}
