import { FormatError } from "../../gomod/format-error.ts";
import { misuse } from "../../mirror/errors.ts";
import { parseVerifierKey, type Verifier } from "../../sumdb/note.ts";
import { redactUrl } from "./upstream-url.ts";

/** Where a checksum database's proofs come from. */
export interface SumdbOption {
  readonly verifier: Verifier;
  /** The verifier key as it was given. */
  readonly key: string;
  /** Its own address; without one it is asked through the upstream's /sumdb/. */
  readonly url: string | undefined;
}

/**
 * Reads a `--sumdb`: `VKEY` or `VKEY URL`, as GOSUMDB has it (cmd/go/internal/modfetch, dbDial).
 * @throws MirrorError misuse saying what would be right; it shows no password of the URL.
 */
export function parseSumdb(text: string): SumdbOption {
  const [key = "", url, ...rest] = text.trim().split(/\s+/);
  if (rest.length > 0)
    throw misuse("--sumdb", "--sumdb: give a verifier key and perhaps a URL, in one argument");
  if (url !== undefined && !(/^(https?|file):\/\//.test(url) && URL.canParse(url))) {
    throw misuse(
      "--sumdb",
      `--sumdb: ${redactUrl(url)}: not an address of a database; give an http(s) URL after the key`,
    );
  }
  try {
    return { verifier: parseVerifierKey(key), key, url };
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw misuse("--sumdb", `--sumdb: ${cause.message}; give NAME+HASH+KEY as GOSUMDB has it`, cause);
  }
}
