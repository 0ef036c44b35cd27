import { type Block, ruleOfBlock } from "./blocks.ts";
import { ERROR_BYTES } from "./failed-record.ts";
import { firstBytes } from "./first-bytes.ts";
import type { MirrorParts } from "./parts.ts";
import { unpublish } from "./publish.ts";
import { noteBefore, quarantine } from "./quarantine.ts";
import { covers, type VersionRecord } from "./records.ts";
import { updateRecords } from "./update.ts";

export type TakeOutParts = Pick<MirrorParts, "tree" | "vault" | "ledger" | "zips" | "now" | "report">;

/**
 * Takes one version out under a block: off the list and `@latest`, then the record, from when on the endpoint answers
 * 403 whatever the tree has, then its zip. A crash anywhere leaves a step undone that doing it again does. A worker that
 * is just storing or listing it is caught afterwards: by its own look at the record, or by the block's second pass,
 * once every unit of work that had begun before it has ended (finishBlocks). What holds no `.mod` yet is left to the gate (mirror/gate.ts),
 * since graphs read that.
 * @returns whether it is taken out by this call.
 */
export async function blockVersion(
  parts: TakeOutParts,
  record: VersionRecord,
  block: Block,
): Promise<boolean> {
  if (blocked(record, block, parts.now()) === record) {
    if (record.state === "BLOCKED") await takeOut(parts, record);
    return false;
  }
  if (record.held === "whole") {
    await noteBefore(parts, record);
    await unpublish(parts, record.path, [record.version]);
  }
  let counted = false;
  const [after] = await updateRecords(
    parts.ledger,
    [record],
    (current) => {
      const next = current && blocked(current, block, parts.now());
      counted = next !== current;
      return next;
    },
    () => ({ event: "blocked", version: { path: record.path, version: record.version }, at: parts.now() }),
  );
  if (after?.state === "BLOCKED") await takeOut(parts, after);
  if (counted) parts.report({ event: "blocked", version: { path: record.path, version: record.version } });
  return counted;
}

/** The record under a block; the same object where there is nothing to take out, or it is out already. */
function blocked(record: VersionRecord, { name, reason }: Block, now: number): VersionRecord {
  if (record.wanted === "mod" && record.held !== "whole") return record;
  if (!covers(record.held, "mod") && record.held !== "whole") return record;
  // Whatever other block has it: the first one's reason stays.
  if (record.state === "BLOCKED") return record;
  const { failingSince: _since, due: _due, ...rest } = record;
  return {
    ...rest,
    state: "BLOCKED",
    held: "mod",
    listed: false,
    rule: ruleOfBlock(name),
    lastError: { class: "denied", message: firstBytes(reason, ERROR_BYTES) },
    attempts: 0,
    wantedAt: now,
  };
}

/** Takes out what is still there of a BLOCKED version. */
export async function takeOut(parts: TakeOutParts, record: VersionRecord): Promise<void> {
  await unpublish(parts, record.path, [record.version]);
  await quarantine(parts, record);
}
