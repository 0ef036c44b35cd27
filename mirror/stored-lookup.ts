import type { ModuleVersion } from "../gomod/version.ts";
import type { ProvenRecord } from "../sumdb/client.ts";
import { formatLookup, parseLookup } from "../sumdb/lookup.ts";
import { sha256Of } from "./body.ts";
import { MirrorError } from "./errors.ts";
import type { Tree } from "./ports.ts";
import { lookupKey } from "./tree-keys.ts";

/** A lookup is id, two lines, and a signed head of a few hundred bytes; cmd/go accepts 1 MB (modfetch/sumdb.go). */
export const LARGEST_LOOKUP = 1_000_000;

/**
 * Stores a proven record as the lookup that clients read: id, text and the note of the head it was proven under, whose
 * tiles are stored already. Where the same record is published under another head, that stays.
 * @throws MirrorError mismatch when another record is already published for this version.
 */
export async function storeLookup(
  tree: Tree,
  database: string,
  version: ModuleVersion,
  { id, text, head }: Pick<ProvenRecord, "id" | "text" | "head">,
): Promise<void> {
  const key = lookupKey(database, version);
  const bytes = formatLookup(id, text, head.note);
  if ((await tree.create(key, bytes, sha256Of(bytes))) === "created") return;
  const stored = await tree.get(key, LARGEST_LOOKUP);
  if (stored === undefined)
    throw new MirrorError("transient", key, `${key}: was there and is gone; try again`);
  const earlier = parseLookup(stored.bytes);
  if (earlier.id === id && earlier.text === text) return;
  const message = `${key}: the published lookup is another record than the proven one; run \`modferry verify\``;
  throw new MirrorError("mismatch", key, message);
}
