import { formatModuleVersion, type ModuleVersion } from "../../gomod/version.ts";
import type { Verifier } from "../../sumdb/note.ts";
import { parseTilePath, type Tile } from "../../sumdb/tile.ts";
import { openTreeHead } from "../../sumdb/tree-head.ts";
import { blockOf, readBlocks } from "../blocks.ts";
import { sha256Of } from "../body.ts";
import type { OpenedBundle } from "../bundle/opened-bundle.ts";
import { received } from "../bundle/received-record.ts";
import type { ChecksumDatabase } from "../checksum-database.ts";
import { asMirrorError } from "../errors.ts";
import { lostFiles } from "../lost-files.ts";
import type { MirrorParts } from "../parts.ts";
import type { Clock, Ledger, Tree } from "../ports.ts";
import { covers, dependable, type VersionRecord, want } from "../records.ts";
import { refreshVersions } from "../refresh.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { SnapshotEntry } from "../snapshot/snapshot-entry.ts";
import type { SpoolBody } from "../snapshot/spooled-runs.ts";
import { LARGEST_LOOKUP } from "../stored-lookup.ts";
import { supportedKey, tileKey, treeHeadKey } from "../tree-keys.ts";
import { changeOf } from "../update.ts";
import type { Finding } from "../verify-seen.ts";
import { restoreFromBundle } from "./from-bundles.ts";
import { setLists } from "./set-lists.ts";

export interface RebuildTreeParts {
  readonly tree: Tree;
  readonly ledger: Ledger;
  readonly verifiers: readonly Verifier[];
  readonly spool: SpoolBody;
  readonly now: Clock;
  /** Where files come from that no bundle brings; absent on an island. */
  readonly upstream?: Pick<
    MirrorParts,
    "tree" | "vault" | "ledger" | "upstream" | "zips" | "databasesFor" | "now"
  >;
  readonly databases: readonly ChecksumDatabase[];
  /** The oldest first. */
  readonly bundles: readonly OpenedBundle[];
  readonly found: (finding: Finding) => void;
  readonly progress: (counts: {
    readonly files: number;
    readonly bytes: number;
    readonly versions: number;
  }) => void;
}

export interface RebuiltTree {
  readonly versions: number;
  /** Versions of which something was missing, and those that are still not whole. */
  readonly restored: number;
  readonly lost: number;
  /** Files that came from bundles. */
  readonly files: number;
  readonly bytes: number;
}

const EMPTY = new Uint8Array();
/** Of the few that no extent names, so many are proven together. */
const TILES_AT_ONCE = 256;
/** Versions that are looked at together: each that lacks something may hold a zip in memory. */
const VERSIONS_AT_ONCE = 256;

/**
 * Makes the tree have again what a snapshot names: from bundles, byte for byte; then from upstream, each version proven
 * as when it first came; then lists and `@latest`. Records that the ledger has lost too are written as the snapshot has
 * them. Create-only, so it may be stopped and run again; what cannot be had is named.
 */
export async function rebuildTree(parts: RebuildTreeParts, snapshot: Snapshot): Promise<RebuiltTree> {
  const rebuild = new RebuildTree(parts, snapshot);
  await rebuild.heads();
  for (const bundle of parts.bundles) await rebuild.bundle(bundle);
  await rebuild.tiles();
  let batch: SnapshotEntry[] = [];
  for await (const entry of snapshot.entries()) {
    // A module is never cut in two: its list is written once.
    if (batch.length >= VERSIONS_AT_ONCE && batch.at(-1)?.path !== entry.path) {
      await rebuild.versions(batch);
      batch = [];
    }
    batch.push(entry);
  }
  await rebuild.versions(batch);
  return rebuild.counts;
}

class RebuildTree {
  readonly #parts: RebuildTreeParts;
  readonly #snapshot: Snapshot;
  counts: RebuiltTree = { versions: 0, restored: 0, lost: 0, files: 0, bytes: 0 };

  constructor(parts: RebuildTreeParts, snapshot: Snapshot) {
    this.#parts = parts;
    this.#snapshot = snapshot;
  }

  /** The snapshot's heads were published: no smaller one may be, whatever the ledger has lost. */
  async heads(): Promise<void> {
    const { ledger, verifiers } = this.#parts;
    for (const verifier of verifiers) {
      const note = this.#snapshot.header.heads[verifier.name];
      if (note !== undefined) await ledger.addHead(verifier.name, openTreeHead(Buffer.from(note), verifier));
    }
  }

  async bundle(bundle: OpenedBundle): Promise<void> {
    const { tree, spool, ledger } = this.#parts;
    const blocks = await readBlocks(ledger);
    const admits = async (version: ModuleVersion) => {
      const [record] = await ledger.read([version]);
      return record === undefined ? blockOf(blocks, version) === undefined : dependable(record) === "whole";
    };
    const progress = (bytes: number) => {
      this.counts = { ...this.counts, files: this.counts.files + 1, bytes: this.counts.bytes + bytes };
      this.#parts.progress(this.counts);
    };
    await restoreFromBundle({ tree, spool, admits, progress }, this.#snapshot, bundle);
  }

  /** Edges and chains of all heads, then all tiles of the extent; the head's file and `supported` come last. */
  async tiles(): Promise<void> {
    const { databases, ledger, tree, verifiers, found } = this.#parts;
    for (const database of databases) {
      try {
        await database.restoreHeads();
        await database.refill();
      } catch (thrown) {
        found({ subject: database.name, message: asMirrorError(thrown, database.name).message });
      }
    }
    for (const { name } of verifiers) {
      const head = await ledger.readHead(name);
      const stored = await tree.get(treeHeadKey(name), LARGEST_LOOKUP);
      if (head !== undefined && stored === undefined)
        await tree.replace(treeHeadKey(name), head.note, undefined);
      const database = databases.find((one) => one.name === name);
      await database?.complete().catch(() => undefined);
      const lacking = await this.#lackingTiles(name, database);
      if (lacking > 0)
        found({ subject: `sumdb/${name}`, message: `${lacking} tiles of the snapshot are still missing` });
      else if (head !== undefined && database === undefined)
        await tree.create(supportedKey(name), EMPTY, sha256Of(EMPTY));
    }
  }

  /** Brings back what the tree lacks of the snapshot's tiles, also those of heads before its own. @returns how many lack. */
  async #lackingTiles(name: string, database: ChecksumDatabase | undefined): Promise<number> {
    const { tree, found } = this.#parts;
    let lacking: Tile[] = [];
    let lost = 0;
    const restore = async () => {
      try {
        if (database === undefined) lost += lacking.length;
        else await database.restore(lacking);
      } catch (thrown) {
        lost += lacking.length;
        found({ subject: name, message: asMirrorError(thrown, name).message });
      }
      lacking = [];
    };
    for await (const path of this.#snapshot.tiles(name)) {
      const tile = parseTilePath(path);
      const stored = await tree.open(tileKey(name, tile));
      await stored?.close();
      if (stored === undefined) lacking.push(tile);
      if (lacking.length >= TILES_AT_ONCE) await restore();
    }
    if (lacking.length > 0) await restore();
    return lost;
  }

  async versions(entries: readonly SnapshotEntry[]): Promise<void> {
    const { ledger, tree, upstream, found } = this.#parts;
    const records = await this.#recorded(entries);
    const served = records.filter((record) => record.state === "READY" && record.held !== "nothing");
    const before = await lostFiles({ tree, ledger }, served);
    const lacking = served.filter((record) => before.has(formatModuleVersion(record)));
    const why = new Map<string, string>();
    if (upstream !== undefined && lacking.length > 0)
      for (const result of await refreshVersions(upstream, lacking))
        if ("message" in result) why.set(formatModuleVersion(result.version), result.message);
    const after = await lostFiles({ tree, ledger }, lacking);
    for (const record of lacking) {
      const name = formatModuleVersion(record);
      if (!after.has(name)) continue;
      const message = why.get(name) ?? "not in the bundles, and no upstream is configured";
      found({ subject: name, message: `lost: ${message}` });
    }
    await this.#lists(served);
    const { versions, restored, lost } = this.counts;
    this.counts = {
      ...this.counts,
      versions: versions + entries.length,
      restored: restored + lacking.length - after.size,
      lost: lost + after.size,
    };
    this.#parts.progress(this.counts);
  }

  /**
   * What the ledger has; where it has lost it too, what the snapshot says; and what a collection took out comes back,
   * since the operator asks for what there was.
   */
  async #recorded(entries: readonly SnapshotEntry[]): Promise<VersionRecord[]> {
    const { ledger, now } = this.#parts;
    const known = await ledger.read(entries);
    const changes = entries.flatMap((entry, at) => {
      const before = known[at];
      const next = recorded(before, entry, now());
      if (next === before) return [];
      const { path, version } = entry;
      const event = next.listed ? "listed" : before === undefined ? "held" : "revived";
      return [changeOf(before, next, { event, version: { path, version }, at: now() })];
    });
    if (changes.length > 0) await ledger.write(changes);
    return (await ledger.read(entries)).filter((record) => record !== undefined);
  }

  /** A list names what is there; what is lost keeps its place in the ledger, for when it comes back. */
  async #lists(records: readonly VersionRecord[]): Promise<void> {
    const { ledger, tree, found } = this.#parts;
    for (const path of new Set(records.map((record) => record.path))) {
      // What is younger than the snapshot is looked for as well, so that no list names what is missing.
      const listed = (await ledger.readModule(path)).filter(
        (record) => record.listed && record.held === "whole",
      );
      const gone = await lostFiles({ tree, ledger }, listed);
      const there = listed.filter((record) => !gone.has(formatModuleVersion(record)));
      const names = there.map(({ version }) => version);
      try {
        await setLists(tree, path, names);
      } catch (thrown) {
        found({ subject: path, message: asMirrorError(thrown, path).message });
      }
    }
  }
}

function recorded(before: VersionRecord | undefined, entry: SnapshotEntry, now: number): VersionRecord {
  const collected =
    before?.state === "REMOVED" || (before?.state === "READY" && !covers(before.held, entry.held));
  if (before === undefined || collected)
    return { ...received(before, entry, now), wish: before?.wish ?? "rebuild-tree", listed: entry.listed };
  if (before.state !== "REMOVING") return before;
  // While its files are going it is noted to be fetched again once they are gone.
  const wanted = want(before, entry, entry.held, "rebuild-tree", now, true);
  return wanted.state === "READY" ? { ...wanted, listed: entry.listed } : wanted;
}
