import { parseInfo } from "../../gomod/info.ts";
import { parseVersionList } from "../../gomod/list-file.ts";
import type { ModulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion, type Version } from "../../gomod/version.ts";
import { parseLookup } from "../../sumdb/lookup.ts";
import type { Verifier } from "../../sumdb/note.ts";
import { OfflineClient } from "../../sumdb/offline-client.ts";
import { FULL_TILE_SIZE, type Tile } from "../../sumdb/tile.ts";
import { openTreeHead } from "../../sumdb/tree-head.ts";
import { applyBlock, type BlockParts } from "../block.ts";
import { blockOf, forgetBlocks } from "../blocks.ts";
import { asMirrorError } from "../errors.ts";
import { keepEvidence } from "../evidence.ts";
import type { JournalEntry } from "../ledger-entries.ts";
import { LARGEST_LIST } from "../publish.ts";
import type { ZipHasher } from "../scrub/content-check.ts";
import { LARGEST_INFO } from "../store-files.ts";
import { LARGEST_LOOKUP } from "../stored-lookup.ts";
import { latestKey, listKey, lookupKey, parseTreeKey, tileKey } from "../tree-keys.ts";
import { changeOf } from "../update.ts";
import type { Finding } from "../verify-seen.ts";
import { type ModuleGroup, moduleGroups } from "./module-groups.ts";
import { rebuildHead } from "./rebuild-heads.ts";
import { type Rebuilt, rebuiltRecord, type TreeProof } from "./rebuilt-record.ts";
import { type RestoredDecisions, restoreDecisions } from "./restore-decisions.ts";

export type RebuildLedgerParts = Omit<BlockParts, "zips"> & {
  readonly zips: BlockParts["zips"];
  readonly hasher: ZipHasher;
  readonly verifiers: readonly Verifier[];
  /** Names of the checksum databases that must have a module. */
  readonly covering: (path: ModulePath) => readonly string[];
  /** Told of what could not be taken in as it was. */
  readonly found: (finding: Finding) => void;
  readonly progress: (counts: RebuildCounts) => void;
};

export interface RebuildCounts {
  readonly modules: number;
  /** Versions that were taken in, and those that the ledger knew. */
  readonly rebuilt: number;
  readonly known: number;
}

export interface RebuiltLedger extends RebuildCounts {
  readonly findings: number;
  readonly heads: number;
  readonly decisions: RestoredDecisions;
}

/** Modules that are read side by side. */
const MODULES_AT_ONCE = 8;

/**
 * Takes into the ledger what the tree holds and it does not know: decisions first, so that nothing is served that was
 * taken out; heads and tiles; then module by module every version, read, hashed and proven by its lookups. What the
 * ledger knows stays as it is, so that running it again goes on where it was stopped, and a table that was restored to
 * an earlier moment is made whole.
 */
export async function rebuildLedger(parts: RebuildLedgerParts): Promise<RebuiltLedger> {
  const databases = parts.verifiers.map(({ name }) => name);
  const decisions = await restoreDecisions({ ...parts, databases });
  forgetBlocks(parts.ledger);
  for (const key of decisions.unreadable)
    parts.found({ subject: key, message: "cannot be read; what it decided is not in force" });
  const rebuild = new Rebuild(parts, decisions);
  await rebuild.heads();
  let batch: ModuleGroup[] = [];
  const run = async () => {
    await Promise.all(batch.map((group) => rebuild.module(group)));
    batch = [];
    parts.progress(rebuild.counts);
  };
  for await (const group of moduleGroups(parts.tree)) {
    batch.push(group);
    if (batch.length >= MODULES_AT_ONCE) await run();
  }
  await run();
  // What was decided and had not come to its end when the ledger was lost.
  for (const block of decisions.blocks) await applyBlock(parts, block);
  return { ...rebuild.counts, findings: rebuild.findings, heads: rebuild.headCount, decisions };
}

class Rebuild {
  readonly #parts: RebuildLedgerParts;
  readonly #decisions: RestoredDecisions;
  readonly #clients = new Map<string, { readonly client: OfflineClient; readonly verifier: Verifier }>();
  /** Sizes of the heads that are in the ledger, by database. */
  readonly #heads = new Map<string, Set<number>>();
  counts: RebuildCounts = { modules: 0, rebuilt: 0, known: 0 };
  findings = 0;

  constructor(parts: RebuildLedgerParts, decisions: RestoredDecisions) {
    this.#parts = parts;
    this.#decisions = decisions;
  }

  get headCount(): number {
    return [...this.#heads.values()].reduce((sum, sizes) => sum + sizes.size, 0);
  }

  async heads(): Promise<void> {
    const { tree, ledger, verifiers } = this.#parts;
    for (const verifier of verifiers) {
      const { name } = verifier;
      const { head } = await rebuildHead({ tree, ledger }, verifier);
      const sizes = new Set<number>();
      for await (const { size } of ledger.heads(name)) sizes.add(size);
      this.#heads.set(name, sizes);
      const files = {
        read: async (tile: Tile) => (await tree.get(tileKey(name, tile), FULL_TILE_SIZE))?.bytes,
        lookup: async (version: ModuleVersion) =>
          (await tree.get(lookupKey(name, version), LARGEST_LOOKUP))?.bytes,
      };
      const latest = head === undefined ? {} : { latest: head.note };
      this.#clients.set(name, { verifier, client: new OfflineClient({ verifier, tree: files, ...latest }) });
    }
  }

  async module({ path, keys }: ModuleGroup): Promise<void> {
    const { ledger } = this.#parts;
    const named = await this.#named(path, keys);
    const known = new Set<Version>((await ledger.readModule(path)).map(({ version }) => version));
    const versions = new Set<Version>(named);
    for (const key of keys) {
      const entry = parseTreeKey(key);
      if (entry !== undefined && "version" in entry) versions.add(entry.version.version);
    }
    const unknown = [...versions].filter((version) => !known.has(version));
    for (const version of unknown) await this.#version({ path, version }, keys, named.has(version));
    const { modules, rebuilt, known: before } = this.counts;
    this.counts = {
      modules: modules + 1,
      rebuilt: rebuilt + unknown.length,
      known: before + versions.size - unknown.length,
    };
  }

  /** What the module's list and `@latest` name; one that does not read names nothing, and is made anew by a scrub. */
  async #named(path: ModulePath, keys: ReadonlySet<string>): Promise<ReadonlySet<Version>> {
    const { tree } = this.#parts;
    const named = new Set<Version>();
    for (const [key, limit, read] of [
      [listKey(path), LARGEST_LIST, (bytes: Uint8Array) => parseVersionList(bytes).versions],
      [latestKey(path), LARGEST_INFO, (bytes: Uint8Array) => [parseInfo(bytes).version]],
    ] as const) {
      try {
        const stored = keys.has(key) ? await tree.get(key, limit) : undefined;
        for (const version of stored === undefined ? [] : read(stored.bytes)) named.add(version);
      } catch (thrown) {
        this.#found(key, `${asMirrorError(thrown, key).message}; \`modferry scrub\` makes it anew`);
      }
    }
    return named;
  }

  async #version(version: ModuleVersion, has: ReadonlySet<string>, named: boolean): Promise<void> {
    const { ledger, vault, tree, now } = this.#parts;
    const covering = this.#parts.covering(version.path);
    const proofs = await this.#proofs(version, covering);
    const block = blockOf(this.#decisions.blocks, version);
    const covered = covering.length > 0;
    const rebuilt = await rebuiltRecord(
      { tree, zips: this.#parts.hasher, now },
      { version, has, named, proofs, covered, block },
    );
    for (const { key, etag, problem } of rebuilt.unfit) {
      await keepEvidence(vault, problem);
      await tree.remove(key, etag);
    }
    if (rebuilt.problem !== undefined) this.#found(formatModuleVersion(version), rebuilt.problem);
    // `changed`: somebody else has written it meanwhile, and knows more.
    await ledger.write([changeOf(undefined, rebuilt.record, entryOf(rebuilt, now()))]);
  }

  /** Of all databases whose key is known; each lookup also brings the head that it was published under. */
  async #proofs(version: ModuleVersion, covering: readonly string[]): Promise<readonly TreeProof[]> {
    const { tree, ledger } = this.#parts;
    const proofs: TreeProof[] = [];
    for (const database of covering) {
      const known = this.#clients.get(database);
      const stored = known && (await tree.get(lookupKey(database, version), LARGEST_LOOKUP));
      if (known === undefined || stored === undefined) continue;
      try {
        const { id, goMod, zip } = await known.client.lookup(version);
        const head = openTreeHead(parseLookup(stored.bytes).treeNote, known.verifier);
        const sizes = this.#heads.get(database);
        if (sizes?.has(head.size) === false) {
          sizes.add(head.size);
          await ledger.addHead(database, head);
        }
        proofs.push({ database, id, modH1: goMod, zipH1: zip });
      } catch (thrown) {
        const key = lookupKey(database, version);
        const error = asMirrorError(thrown, key);
        if (error.class === "transient") throw error;
        this.#found(key, `${error.message}; \`modferry scrub --deep\` brings it back`);
      }
    }
    return proofs;
  }

  #found(subject: string, message: string): void {
    this.findings++;
    this.#parts.found({ subject, message });
  }
}

/** So that the next snapshot, and mirrors downstream, see it. */
function entryOf({ record }: Rebuilt, at: number): JournalEntry | undefined {
  if (record.held === "nothing") return undefined;
  const { path, version } = record;
  return { event: record.listed ? "listed" : "held", version: { path, version }, at };
}
