import { hash } from "node:crypto";

/** The hashes of a transparency log (RFC 6962), stored in the order of golang.org/x/mod/sumdb/tlog. */
export const HASH_SIZE = 32;

/**
 * Largest tree that is dealt with. A tree of n records stores nearly 2n hashes, whose indexes have to be safe
 * integers: so 2^52, a hundred million times today's public database.
 */
export const MAX_TREE_SIZE = 2 ** 52;

/** SHA-256, 32 bytes. */
export type Hash = Uint8Array;

/** A tree: how many records it has, and its root hash. */
export interface TreeHead {
  readonly size: number;
  readonly hash: Hash;
}

/** Reads hashes by stored hash index: as many as asked, in the order asked, or it throws. */
export type HashReader = (indexes: readonly number[]) => Promise<readonly Hash[]>;

/** The hash of a tree without records (RFC 6962, section 2.1). */
export const EMPTY_TREE_HASH: Hash = hash("sha256", "", "buffer");

export function hashesEqual(a: Hash, b: Hash): boolean {
  return Buffer.compare(a, b) === 0;
}

/** The leaf of a record's text: SHA-256(0x00, text) (tlog, RecordHash). */
export function recordHash(text: Uint8Array): Hash {
  return hash("sha256", Buffer.concat([Buffer.of(0), text]), "buffer");
}

/** An inner node: SHA-256(0x01, left, right) (tlog, NodeHash). */
export function nodeHash(left: Hash, right: Hash): Hash {
  const input = new Uint8Array(1 + 2 * HASH_SIZE);
  input[0] = 1;
  input.set(left, 1);
  input.set(right, 1 + HASH_SIZE);
  return hash("sha256", input, "buffer");
}

/** What nodeHash hashes; its callers are synchronous. */
const PAIR = new Uint8Array(1 + 2 * HASH_SIZE);
PAIR[0] = 1;

/** As nodeHash of two hashes that lie side by side, as a string of bytes (latin1). */
export function pairHash(pair: Uint8Array): string {
  PAIR.set(pair, 1);
  return hash("sha256", PAIR, "binary");
}

/**
 * Where the `n`th hash of `level` is stored: each hash follows the last one it is made of (tlog, StoredHashIndex).
 * Divisions of floats, not shifts: indexes go beyond 32 bits.
 */
export function storedHashIndex(level: number, n: number): number {
  let leaf = n;
  for (let l = 0; l < level; l++) leaf = 2 * leaf + 1;
  let index = level;
  for (; leaf > 0; leaf = Math.floor(leaf / 2)) index += leaf;
  if (!Number.isSafeInteger(index)) throw new RangeError(`no tree has a hash ${n} on level ${level}`);
  return index;
}

/** The inverse of storedHashIndex (tlog, SplitStoredHashIndex). */
export function splitStoredHashIndex(index: number): { level: number; n: number } {
  // storedHashIndex(0, n) < 2n, and not by much: the record that brought this hash is at index/2 or little above.
  let n = Math.floor(index / 2);
  let first = storedHashIndex(0, n);
  for (;;) {
    // Record n brings its own hash, and one for each subtree that it completes.
    const next = first + 1 + trailingZeros(n + 1);
    if (next > index) break;
    n++;
    first = next;
  }
  const level = index - first;
  return { level, n: Math.floor(n / 2 ** level) };
}

function trailingZeros(n: number): number {
  let zeros = 0;
  for (let rest = n; rest % 2 === 0; rest /= 2) zeros++;
  return zeros;
}

/** The largest power of two below `n`, for n ≥ 2, and its logarithm (tlog, maxpow2). */
export function powerBelow(n: number): { power: number; level: number } {
  let level = 0;
  while (2 ** (level + 1) < n) level++;
  return { power: 2 ** level, level };
}

/** The stored hashes that make up the records from `low` up to, not including, `high` (tlog, subTreeIndex). */
export function subtreeIndexes(low: number, high: number): number[] {
  const indexes: number[] = [];
  for (let next = low; next < high; ) {
    const { power, level } = powerBelow(high - next + 1);
    indexes.push(storedHashIndex(level, next / power));
    next += power;
  }
  return indexes;
}

/** The hash of the subtree whose subtreeIndexes have these hashes, of which there is at least one (tlog, subTreeHash). */
export function joinSubtrees(hashes: readonly Hash[]): Hash {
  return hashes.reduceRight((right, left) => nodeHash(left, right));
}

/**
 * The root hash of the first `size` records, with one call of `reader` for at most 1 + log2(size) hashes
 * (tlog, TreeHash).
 */
export async function treeHash(size: number, reader: HashReader): Promise<Hash> {
  if (size === 0) return EMPTY_TREE_HASH;
  return joinSubtrees(await reader(subtreeIndexes(0, size)));
}
