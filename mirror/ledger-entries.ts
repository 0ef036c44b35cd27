import type { ModuleVersion } from "../gomod/version.ts";
import type { Sha256 } from "./body.ts";
import type { FeedWindow, VersionRecord } from "./records.ts";

/**
 * What has happened to a version. `held`: it became whole; `removed`: collected, its files are to go; `revived`: wanted
 * again before they went; `changed`: a snapshot has it otherwise now (mirror/snapshot/entry-change.ts), by a go.mod that
 * came, a further proof, a conflict, lost files, or its place in the list.
 */
export type JournalEvent = "held" | "listed" | "blocked" | "unblocked" | "removed" | "revived" | "changed";

/** One line of the journal: what a mirror downstream, or a snapshot, has to know. */
export interface JournalEntry {
  readonly event: JournalEvent;
  readonly version: ModuleVersion;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** A conditional write: stored with `revision + 1` only if the ledger still holds `record.revision`. */
export interface RecordChange {
  readonly record: VersionRecord;
  /** Written in the same transaction. */
  readonly journal?: JournalEntry;
  /** What the write changes in the count of open work of feeds; counted in the same transaction. */
  readonly work?: readonly WorkChange[];
}

/** One record of a feed's window is at work now (1), or no more (-1). */
export interface WorkChange extends FeedWindow {
  readonly change: 1 | -1;
}

/** A window of a feed in which records are still at work. */
export interface OpenWork {
  /** The UTC hour of the feed's own stamps, `2026-01-31T23`. */
  readonly window: string;
  readonly open: number;
}

/**
 * A small item beside the records: `upstream`, what all workers know of a host; `control`, what an operator has set;
 * `block`, a pattern that is taken out; `snapshot`, one that has expired; `pin`, who keeps a snapshot; `bundle`, one that
 * went out or came in; `signer`, whose bundles are trusted.
 */
export interface LedgerItem {
  readonly kind: "upstream" | "control" | "block" | "snapshot" | "pin" | "bundle" | "signer";
  readonly name: string;
  /** Counts the writes; 0 is an item that was never stored. */
  readonly revision: number;
  /** JSON, below LARGEST_ITEM bytes. */
  readonly value: Readonly<Record<string, unknown>>;
}

/** How large a LedgerItem's value may be as JSON: such an item costs two write units of DynamoDB at most. */
export const LARGEST_ITEM = 1_900;

/** How many records are in a state. */
export interface StateCount {
  readonly count: number;
  /** The earliest `wantedAt` among them, in ms since the epoch. */
  readonly oldest?: number;
}

/** A feed's watermark: moved only after all up to it is durably recorded. */
export interface Watermark {
  readonly feed: string;
  /** The feed's own stamp, verbatim. */
  readonly timestamp: string;
  readonly cursor?: string;
  /** 0 is a watermark that was never stored. */
  readonly revision: number;
}

/** Why nothing more of a checksum database is published: it signed two trees of which neither contains the other. */
export interface Stop {
  readonly database: string;
  /** When it was found, in ms since the epoch. */
  readonly at: number;
  /** Of the report, which lies in the vault under `evidence/fork/` (sumdb/fork-report.ts says how to check it). */
  readonly evidence: Sha256;
}
