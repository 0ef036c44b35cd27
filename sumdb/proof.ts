import { ProofError } from "./proof-error.ts";
import {
  type Hash,
  type HashReader,
  hashesEqual,
  joinSubtrees,
  nodeHash,
  powerBelow,
  subtreeIndexes,
  type TreeHead,
} from "./tlog.ts";

/** An audit path: proves that a tree holds a record (RFC 6962, section 2.1.1). Lowest hash first. */
export type RecordProof = readonly Hash[];
/** A consistency proof: proves that a tree begins with an older one (RFC 6962, section 2.1.2). */
export type TreeProof = readonly Hash[];

/** A subtree by its records, from `low` up to, not including, `high`. */
type Range = readonly [low: number, high: number];

/**
 * The proof that a tree of `size` records holds record `id` (tlog, ProveRecord).
 * @throws RangeError unless 0 ≤ id < size.
 */
export async function proveRecord(size: number, id: number, reader: HashReader): Promise<RecordProof> {
  if (!isRecord(size, id)) throw new RangeError(`no record ${id} in a tree of ${size}`);
  return await readSubtrees(recordProofRanges(0, size, id), reader);
}

/** The subtrees beside the way from record `id` to the root of [low, high), lowest first. */
function recordProofRanges(low: number, high: number, id: number): Range[] {
  if (low + 1 === high) return [];
  const middle = low + powerBelow(high - low).power;
  return id < middle
    ? [...recordProofRanges(low, middle, id), [middle, high]]
    : [...recordProofRanges(middle, high, id), [low, middle]];
}

/**
 * The proof that the tree of `size` records begins with the one of `oldSize` (tlog, ProveTree).
 * @throws RangeError unless 1 ≤ oldSize ≤ size.
 */
export async function proveTree(size: number, oldSize: number, reader: HashReader): Promise<TreeProof> {
  if (!isPrefix(size, oldSize)) throw new RangeError(`no tree of ${oldSize} in a tree of ${size}`);
  return await readSubtrees(treeProofRanges(0, size, oldSize), reader);
}

function treeProofRanges(low: number, high: number, oldSize: number): Range[] {
  // Where both trees agree: the verifier knows the old tree's own hash, if this is all of it.
  if (oldSize === high) return low === 0 ? [] : [[low, high]];
  const middle = low + powerBelow(high - low).power;
  return oldSize <= middle
    ? [...treeProofRanges(low, middle, oldSize), [middle, high]]
    : [...treeProofRanges(middle, high, oldSize), [low, middle]];
}

/** The hash of each range, all read in one call, in rising order of indexes as readers like it. */
async function readSubtrees(ranges: readonly Range[], reader: HashReader): Promise<Hash[]> {
  if (ranges.length === 0) return [];
  const wanted = [...new Set(ranges.flatMap(([low, high]) => subtreeIndexes(low, high)))].sort(
    (a, b) => a - b,
  );
  const hashes = await reader(wanted);
  const byIndex = new Map(wanted.map((index, i) => [index, hashes[i]]));
  return ranges.map(([low, high]) =>
    joinSubtrees(
      subtreeIndexes(low, high).map((index) => {
        const hash = byIndex.get(index);
        if (hash === undefined) throw new RangeError(`the hash reader gave no hash ${index}`);
        return hash;
      }),
    ),
  );
}

/**
 * Checks that `tree` holds, as record `id`, one with this leaf hash (tlog, CheckRecord). Attacker-controlled proof.
 * @throws ProofError `proof` when it does not.
 */
export function checkRecord(proof: RecordProof, tree: TreeHead, id: number, leaf: Hash): void {
  if (!isRecord(tree.size, id)) throw invalid(`no record ${id} in a tree of ${tree.size}`);
  const root = runRecordProof(proof, 0, tree.size, id, leaf);
  if (!hashesEqual(root, tree.hash))
    throw invalid(`it does not lead from record ${id} to the tree of ${tree.size}`);
}

function runRecordProof(proof: RecordProof, low: number, high: number, id: number, leaf: Hash): Hash {
  const beside = proof.at(-1);
  if (low + 1 === high) {
    if (beside !== undefined) throw invalid("it is too long");
    return leaf;
  }
  if (beside === undefined) throw invalid("it is too short");
  const below = proof.slice(0, -1);
  const middle = low + powerBelow(high - low).power;
  return id < middle
    ? nodeHash(runRecordProof(below, low, middle, id, leaf), beside)
    : nodeHash(beside, runRecordProof(below, middle, high, id, leaf));
}

/**
 * Checks that `tree` begins with the tree `old` (tlog, CheckTree). Attacker-controlled proof.
 * @throws ProofError `proof` when it does not.
 */
export function checkTree(proof: TreeProof, tree: TreeHead, old: TreeHead): void {
  if (!isPrefix(tree.size, old.size)) throw invalid(`no tree of ${old.size} in a tree of ${tree.size}`);
  const roots = runTreeProof(proof, 0, tree.size, old);
  if (!hashesEqual(roots.now, tree.hash) || !hashesEqual(roots.before, old.hash)) {
    throw invalid(`it does not lead from the tree of ${old.size} to the one of ${tree.size}`);
  }
}

/** What the proof makes of the subtree [low, high): its hash in the old tree, and now. */
function runTreeProof(
  proof: TreeProof,
  low: number,
  high: number,
  old: TreeHead,
): { before: Hash; now: Hash } {
  const last = proof.at(-1);
  if (old.size === high && low === 0) {
    if (last !== undefined) throw invalid("it is too long");
    return { before: old.hash, now: old.hash };
  }
  if (last === undefined) throw invalid("it is too short");
  if (old.size === high) {
    if (proof.length > 1) throw invalid("it is too long");
    return { before: last, now: last };
  }
  const below = proof.slice(0, -1);
  const middle = low + powerBelow(high - low).power;
  if (old.size <= middle) {
    const left = runTreeProof(below, low, middle, old);
    return { before: left.before, now: nodeHash(left.now, last) };
  }
  const right = runTreeProof(below, middle, high, old);
  return { before: nodeHash(last, right.before), now: nodeHash(last, right.now) };
}

const isRecord = (size: number, id: number) =>
  Number.isSafeInteger(id) && Number.isSafeInteger(size) && 0 <= id && id < size;
const isPrefix = (size: number, old: number) =>
  Number.isSafeInteger(old) && Number.isSafeInteger(size) && 1 <= old && old <= size;
const invalid = (why: string) => new ProofError("proof", "tree", `invalid transparency proof: ${why}`);
