import { findBundles } from "../adapters/local/bundle-source.ts";
import { type OpenedBundle, openBundle } from "../mirror/bundle/opened-bundle.ts";
import { readSigners } from "../mirror/bundle/signers.ts";
import { misuse } from "../mirror/errors.ts";
import type { MirrorParts } from "../mirror/parts.ts";
import { type RebuildTreeParts, type RebuiltTree, rebuildTree } from "../mirror/recovery/rebuild-tree.ts";
import { restoreDecisions } from "../mirror/recovery/restore-decisions.ts";
import { unknownSnapshot } from "../mirror/snapshot/catalog.ts";
import { openSnapshot } from "../mirror/snapshot/open-snapshot.ts";
import { snapshotName } from "../mirror/snapshot/snapshot-name.ts";
import { ALL_TICKS } from "../mirror/tick-hold.ts";
import { chosenSumdbs } from "./chosen-sumdbs.ts";
import { type EmbeddedMirror, openBeside, openEmbedded } from "./embedded.ts";
import type { CliEnvironment } from "./environment.ts";
import { heldTiles } from "./held-tiles.ts";
import { jsonLine } from "./json-line.ts";
import { openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/**
 * `modferry rebuild-tree --from SNAPSHOT`: brings back what the tree lacks of a snapshot, from bundles and from upstream.
 * With bundles alone no upstream is asked: an island has none.
 * @returns the exit status: 1 where something is lost.
 */
export async function rebuildTreeVerb(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  if (options.from === undefined)
    throw misuse("--from", "--from: not given; name the snapshot: --from NAME (`modferry snapshot list`)");
  const name = snapshotName(options.from);
  const { sumdbs } = await chosenSumdbs(options, environment);
  const verifiers = sumdbs.map(({ verifier }) => verifier);
  const { upstream, config, deployed } = options;
  const connects = upstream !== undefined || config !== undefined;
  if (deployed !== undefined && !connects && options.bundles.length === 0)
    throw misuse(
      "--config",
      "--config: not given; say where files come from: --config or --upstream, or --bundles with what came",
    );
  // Where the ledger is lost too, what was decided comes first.
  const how = { mode: "write", lostLedger: true, holds: ALL_TICKS } as const;
  const island = await openMirror(options, environment, how, output);
  const databases = verifiers.map((verifier) => verifier.name);
  await restoreDecisions({ ...island, databases, now: Date.now }).catch(async (error: unknown) => {
    await island.close();
    throw error;
  });
  const run = async (mirror: Stores, connected: Connected) => {
    const snapshot = await openSnapshot(mirror.vault, name);
    if (snapshot === undefined) throw unknownSnapshot(name);
    try {
      const { tree, ledger } = mirror;
      const bundles = await openedBundles(options, ledger);
      const { spools } = island;
      const result = await rebuildTree(
        {
          ...connected,
          tree,
          ledger,
          verifiers,
          bundles,
          spool: (chunks, limit, subject) => spools.spool(chunks, limit, subject),
          now: Date.now,
          found: ({ subject, message }) => {
            if (options.json) output.print(jsonLine({ event: "finding", subject, message }));
            else output.print(oneLine(`${subject}: ${message}`));
          },
          progress: ({ versions, files }) =>
            output.status?.(`${files} files from bundles, ${versions} versions`),
        },
        snapshot,
      );
      if (options.json) output.print(jsonLine({ event: "rebuilt", snapshot: name, ...result }));
      else output.error(lineOf(result));
      return result.lost === 0 ? 0 : 1;
    } finally {
      await snapshot.close();
    }
  };
  const alone = options.bundles.length > 0 && !connects;
  if (alone) return await run(island, { databases: [] }).finally(() => island.close());
  // As many tiles as there were, where the ledger still says it; else as the flag does.
  const held = await heldTiles(island.ledger, databases);
  const own = held === "needed" ? options : { ...options, tiles: held };
  const runConnected = async ({ parts, databases, close }: EmbeddedMirror) =>
    await run(parts, { upstream: parts, databases }).finally(close);
  if (island.deployed) {
    const beside = openBeside(island, own, environment, () => {});
    return await beside.then(runConnected).finally(() => island.close());
  }
  await island.close();
  return await runConnected(await openEmbedded(own, environment, () => {}));
}

type Stores = Pick<MirrorParts, "tree" | "vault" | "ledger">;
type Connected = Pick<RebuildTreeParts, "upstream" | "databases">;

/** Of signers that this mirror trusts, or that the operator names, since a lost ledger has forgotten them. */
async function openedBundles(
  { bundles, bundle }: Options,
  ledger: Stores["ledger"],
): Promise<readonly OpenedBundle[]> {
  if (bundles.length === 0) return [];
  const trusted = [...(await readSigners(ledger)), ...bundle.trust];
  if (trusted.length === 0)
    throw misuse(
      "--trust",
      "--trust: not given, and no signer is known; give the key of the bundles' signer",
    );
  const opened: OpenedBundle[] = [];
  for (const source of await findBundles(bundles)) opened.push(await openBundle(source, trusted));
  return opened.sort((a, b) => a.header.to.until - b.header.to.until);
}

function lineOf({ versions, restored, lost, files, bytes }: RebuiltTree): string {
  const came = files === 0 ? "" : `; ${files} files, ${(bytes / 1e6).toFixed(1)} MB, came from bundles`;
  return `modferry: ${versions} versions of the snapshot: ${restored} brought back from upstream, ${lost} lost${came}. Next: \`modferry scrub\``;
}
