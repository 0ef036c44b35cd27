import type { Body } from "../body.ts";
import type { Ledger, Tree, Vault } from "../ports.ts";
import { BlockWriter } from "./block-writer.ts";
import { printIndex } from "./open-snapshot.ts";
import {
  hashOfContent,
  printHeader,
  SNAPSHOT_FORMAT,
  type SnapshotBlock,
  type SnapshotFile,
  type SnapshotHeader,
} from "./snapshot-header.ts";
import {
  ENTRIES_FILE,
  HEADER_FILE,
  INDEX_FILE,
  type SnapshotName,
  snapshotKey,
  snapshotNameOf,
  tilesFile,
} from "./snapshot-name.ts";
import { LARGEST_SPOOL, type SpoolBody } from "./spooled-runs.ts";
import { disposeOf, storeBody } from "./stored-body.ts";
import { PackedLines, tilePaths } from "./tile-paths.ts";
import type { ArchivedVulndb } from "./vulndb-archive.ts";

export interface WriteParts {
  readonly tree: Pick<Tree, "keys" | "get">;
  readonly vault: Vault;
  readonly ledger: Pick<Ledger, "readHead">;
  /** Where what is being made waits until its hash is known. */
  readonly spool: SpoolBody;
}

/** What a snapshot holds beside its entries, heads and tiles. */
export interface SnapshotSetting {
  readonly until: number;
  readonly previous?: SnapshotName;
  readonly blocks: readonly SnapshotBlock[];
  readonly vulndb?: ArchivedVulndb;
}

/** A snapshot that is made and not stored yet. */
export interface PreparedSnapshot {
  readonly header: SnapshotHeader;
  readonly bodies: ReadonlyMap<string, Body>;
  dispose(): Promise<void>;
}

/**
 * Makes a snapshot of sorted lines, outside of the vault: its name is known only at its end. Heads are read after the
 * lines, so that they prove every record of them, and tiles are listed after the heads, so that all that prove them are
 * among them.
 */
export async function prepareSnapshot(
  parts: WriteParts,
  lines: AsyncIterable<readonly string[]>,
  setting: SnapshotSetting,
): Promise<PreparedSnapshot> {
  const bodies = new Map<string, Body>();
  const dispose = async () => {
    for (const body of bodies.values()) await disposeOf(body);
  };
  try {
    const writer = new BlockWriter();
    bodies.set(ENTRIES_FILE, await parts.spool(writer.frames(lines), LARGEST_SPOOL, ENTRIES_FILE));
    const { places, sha256: entries, counts, databases } = writer.finish();
    bodies.set(INDEX_FILE, await printIndex(places));
    const heads: Record<string, string> = {};
    const tiles: Record<string, string> = {};
    const hashes: Record<string, SnapshotFile["sha256"]> = {};
    for (const database of databases) {
      const head = await parts.ledger.readHead(database);
      if (head === undefined) continue;
      heads[database] = new TextDecoder().decode(head.note);
      const file = tilesFile(database);
      const packed = new PackedLines();
      bodies.set(
        file,
        await parts.spool(packed.chunks(tilePaths(parts.tree, database)), LARGEST_SPOOL, file),
      );
      tiles[database] = file;
      hashes[database] = packed.sha256();
    }
    const { until, previous, blocks, vulndb } = setting;
    const content = { heads, blocks, content: { entries, tiles: hashes }, ...vulndb };
    const hash = hashOfContent(content);
    const header: SnapshotHeader = {
      format: SNAPSHOT_FORMAT,
      name: snapshotNameOf(until, hash),
      hash,
      until,
      ...(previous === undefined ? {} : { previous }),
      counts,
      tiles,
      ...content,
      files: {},
    };
    return { header, bodies, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/**
 * Stores a prepared snapshot; its header last, which announces it. A crash before that leaves objects that no header
 * names, which nobody reads and garbage collection removes.
 * @param mayAnnounce asked right before: false when another one has taken over.
 * @returns undefined when it may not.
 */
export async function announce(
  vault: Vault,
  { header, bodies }: PreparedSnapshot,
  mayAnnounce: () => Promise<boolean>,
): Promise<SnapshotHeader | undefined> {
  const files: Record<string, SnapshotFile> = {};
  for (const [file, body] of bodies)
    files[file] = await storeBody(vault, snapshotKey(header.name, file), body);
  const announced = { ...header, files };
  if (!(await mayAnnounce())) return undefined;
  await storeBody(vault, snapshotKey(header.name, HEADER_FILE), printHeader(announced));
  return announced;
}
