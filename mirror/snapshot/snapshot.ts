import type { ModulePath } from "../../gomod/module-path.ts";
import type { SnapshotEntry } from "./snapshot-entry.ts";
import type { SnapshotHeader } from "./snapshot-header.ts";

export type { SnapshotEntry } from "./snapshot-entry.ts";
export type { SnapshotBlock, SnapshotFile, SnapshotHeader } from "./snapshot-header.ts";

/** An opened snapshot. Every method throws MirrorError malformed where an object is damaged or missing. */
export interface Snapshot {
  readonly header: SnapshotHeader;
  /** All entries by module path, then version, each by bytes; streamed. */
  entries(): AsyncIterable<SnapshotEntry>;
  /** The same as the lines of NDJSON that they are stored as, some at a time, unparsed. */
  lines(): AsyncIterable<readonly string[]>;
  /** One module's entries; two range reads the first time. */
  module(path: ModulePath): Promise<readonly SnapshotEntry[]>;
  /** Paths of tiles that the tree held, `tile/8/…`, sorted by bytes. */
  tiles(database: string): AsyncIterable<string>;
  /** Gives back what it holds open; safe to call twice. */
  close(): Promise<void>;
}
