import { FormatError } from "../gomod/format-error.ts";
import { decodeBase64, openNote, type Verifier } from "./note.ts";
import { HASH_SIZE, MAX_TREE_SIZE, type TreeHead } from "./tlog.ts";

/** First line of a tree's text (golang.org/x/mod/sumdb/tlog, FormatTree). */
const TREE_PREFIX = "go.sum database tree";

/** A tree head as its database signed it; `note` is the signed note, byte for byte. */
export interface SignedHead extends TreeHead {
  readonly note: Uint8Array;
}

/** The text of a tree head: title, size and root hash, a line each (tlog, FormatTree). */
export function formatTree(tree: TreeHead): string {
  return `${TREE_PREFIX}\n${tree.size}\n${Buffer.from(tree.hash).toString("base64")}\n`;
}

/** A decimal number as Go prints it, below `limit`; undefined for any other text. */
export function parseDecimal(text: string, limit: number): number | undefined {
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(text)) return undefined;
  const number = Number(text);
  return number < limit ? number : undefined;
}

/**
 * Parses the text of a tree head (tlog, ParseTree). As there, further lines are left for the future: they are skipped,
 * and never looked at for anything (CVE-2026-56864).
 * @throws FormatError when it is malformed, or larger than MAX_TREE_SIZE.
 */
export function parseTree(text: string): TreeHead {
  const [prefix, sizeLine, hashLine, ...rest] = text.split("\n", 4);
  const size = parseDecimal(sizeLine ?? "", MAX_TREE_SIZE + 1);
  const hash = decodeBase64(hashLine ?? "");
  if (prefix !== TREE_PREFIX || size === undefined || hash?.length !== HASH_SIZE || rest.length === 0) {
    throw new FormatError(
      "tree head",
      "malformed tree head: it must be a title, a size and a hash, each on a line",
    );
  }
  return { size, hash };
}

/**
 * Opens a signed tree head. Attacker-controlled.
 * @throws FormatError when it is malformed; ProofError `signature` when the key has not signed it.
 */
export function openTreeHead(note: Uint8Array, verifier: Verifier): SignedHead {
  // A copy: what was verified once must not change with a buffer of whoever read it.
  return { ...parseTree(openNote(note, [verifier]).text), note: new Uint8Array(note) };
}
