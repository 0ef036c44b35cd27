import { zipHasher } from "../../../adapters/local/zip-checker.ts";
import { sha256Of } from "../../../mirror/body.ts";
import type { Tree } from "../../../mirror/ports.ts";
import type { SettledFinding } from "../../../mirror/scrub/finding.ts";
import { mend } from "../../../mirror/scrub/mend.ts";
import { type ScrubLevel, type ScrubParts, type ScrubResult, scrub } from "../../../mirror/scrub/scrub.ts";
import type { LineRuns } from "../../../mirror/scrub/sorted-lines.ts";
import { type Shard, WHOLE } from "../../../mirror/scrub/tree-order.ts";
import type { TreeKey } from "../../../mirror/tree-keys.ts";
import type { MadeMirror } from "../made-mirror.ts";
import type { MadeUpstream } from "../made-upstream.ts";

export const memoryRuns: LineRuns = {
  store: async (lines) =>
    async function* () {
      yield* lines;
    },
};

export const hashHere = zipHasher;

export interface Scrubbed extends ScrubResult {
  readonly findings: readonly SettledFinding[];
  /** `kind subject`, sorted. */
  readonly names: readonly string[];
}

/** One scrub of a made mirror. */
export async function scrubbed(
  mirror: MadeMirror,
  upstream: MadeUpstream,
  level: ScrubLevel,
  options: Partial<ScrubParts> & { shard?: Shard; mends?: "upstream" | "island"; alone?: boolean } = {},
): Promise<Scrubbed> {
  const { shard = WHOLE, mends, alone = true, ...more } = options;
  const findings: SettledFinding[] = [];
  const { tree, ledger, vault, clock } = mirror;
  const verifiers = [upstream.database.verifier];
  const parts = { tree, ledger, alone, databases: mirror.parts.databases, verifiers };
  const result = await scrub(
    {
      tree,
      ledger,
      vault,
      verifiers,
      zips: hashHere,
      runs: memoryRuns,
      now: clock.now,
      owner: "test",
      report: (finding) => void findings.push(finding),
      progress: () => {},
      ...(mends === "upstream" && { mend: (found) => mend({ ...parts, upstream: mirror.parts }, found) }),
      ...(mends === "island" && { mend: (found) => mend({ ...parts, databases: [] }, found) }),
      ...more,
    },
    level,
    shard,
  );
  if (result === undefined) throw new Error("another scrub is at work");
  const names = findings.map(({ kind, subject }) => `${kind} ${subject}`).sort();
  return { ...result, findings, names };
}

/** Takes an object away, as a disk or a person would. @returns what it was. */
export async function drop(tree: Tree, key: string): Promise<Uint8Array> {
  const found = await tree.get(key as TreeKey, 1 << 24);
  if (found === undefined) throw new Error(`${key}: not there`);
  await tree.remove(key as TreeKey, found.etag);
  return found.bytes;
}

/** The same size, one bit wrong. */
export async function flipBit(tree: Tree, key: string, at?: number): Promise<void> {
  const wrong = Uint8Array.from(await drop(tree, key));
  const place = at ?? wrong.length >> 1;
  wrong[place] = (wrong[place] ?? 0) ^ 1;
  await plant(tree, key, wrong);
}

export async function plant(tree: Tree, key: string, bytes: Uint8Array | string): Promise<void> {
  const body = Buffer.from(bytes);
  await tree.create(key as TreeKey, body, sha256Of(body));
}
