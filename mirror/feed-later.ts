import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import { z } from "zod";
import { formatModuleVersion, parseModuleVersion } from "../gomod/version.ts";
import type { FeedTick } from "./feed.ts";
import { handInRoots, noteRoots, type Root } from "./feed-roots.ts";
import { selectRoots } from "./feed-selection.ts";
import type { Vault } from "./ports.ts";
import { covers, type VersionRecord } from "./records.ts";
import { changedEntry } from "./snapshot/entry-change.ts";
import { follow } from "./subscription.ts";
import { updateRecords } from "./update.ts";

/** Unpacked: some hundred thousand roots. */
const LARGEST = 64 * 1024 * 1024;

const shape = z.strictObject({
  format: z.literal(1),
  roots: z.array(z.tuple([z.string(), z.string(), follow])),
});

const keyOf = (feed: string): string => `feeds/later/${feed}.json.zst`;

/**
 * Keeps roots of which nobody can say yet whether they are retracted: as recorded as any other, so that their feed waits
 * for them, but not handed in. A crash in between leaves them to be recorded by the next tick, or to be looked at once more.
 */
export async function keepForLater({ parts }: FeedTick, feed: string, roots: readonly Root[]): Promise<void> {
  if (roots.length === 0) return;
  const known = await readLater(parts.vault, feed);
  const all = new Map([...known, ...roots].map((root) => [formatModuleVersion(root.version), root]));
  await writeLater(parts.vault, feed, [...all.values()]);
  await noteRoots(parts, roots, feed, parts.now());
}

/**
 * Looks again at what is kept: what is retracted is given up, the rest handed in, as far as the go.mod that says so is held
 * by now or will not be. @returns how many are handed in, and how many left.
 */
export async function handInLater(
  tick: FeedTick,
  feed: string,
  name: string,
): Promise<{ readonly found: number; readonly left: number }> {
  const { parts, subscriptions, accept } = tick;
  const kept = await readLater(parts.vault, feed);
  if (kept.length === 0) return { found: 0, left: 0 };
  const { roots, later } = await selectRoots(parts, subscriptions, kept);
  const wanted = new Set([...roots, ...later].map(({ version }) => formatModuleVersion(version)));
  await handInRoots(parts, roots, [], { feed, name, accept });
  const over = kept
    .map(({ version }) => version)
    .filter((version) => !wanted.has(formatModuleVersion(version)));
  const giveUp = (record: VersionRecord | undefined) => record && givenUp(record, feed);
  await updateRecords(parts.ledger, over, giveUp, changedEntry(parts.now));
  await writeLater(parts.vault, feed, later);
  return { found: roots.length, left: later.length };
}

/** The record of what no feed wants any more: as if it had never been named, but for what is held of it. */
function givenUp(record: VersionRecord, feed: string): VersionRecord {
  if (record.feed !== feed || record.listed || record.state === "BLOCKED") return record;
  const { feed: _feed, feedTime: _time, awaited: _awaited, wish, due, ...rest } = record;
  const kept = { ...rest, wish: feed };
  if (record.state !== "PENDING" && record.state !== "FAILED")
    return { ...kept, ...(due !== undefined && { due }) };
  if (record.held === "nothing") return { ...kept, state: "REMOVED" };
  return { ...kept, wanted: covers(record.held, "whole") ? "whole" : "mod", state: "READY" };
}

async function writeLater(vault: Vault, feed: string, roots: readonly Root[]): Promise<void> {
  const lines = roots.map(({ version, stamp, follow }) => [formatModuleVersion(version), stamp, follow]);
  await vault.put(keyOf(feed), await promisify(zstdCompress)(JSON.stringify({ format: 1, roots: lines })));
}

/** A damaged one is as good as none: what it named is recorded, and fetched by itself. */
async function readLater(vault: Vault, feed: string): Promise<Root[]> {
  const bytes = await vault.get(keyOf(feed), LARGEST);
  if (bytes === undefined) return [];
  try {
    const text = await promisify(zstdDecompress)(bytes, { maxOutputLength: LARGEST });
    const { roots } = shape.parse(JSON.parse(text.toString("utf8")));
    return roots.map(([name, stamp, follow]) => ({ version: parseModuleVersion(name), stamp, follow }));
  } catch {
    return [];
  }
}
