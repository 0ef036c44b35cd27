import { formatModuleVersion } from "../gomod/version.ts";
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
 * The first part of taking versions out under a block: off their lists and `@latest`, then the records, from when on the
 * endpoint answers 403 whatever the tree has. Their zips stay until nothing listed needs them any more (mirror/block.ts).
 * A crash anywhere leaves a step undone that doing it again does. A worker that is just storing or listing one is caught
 * afterwards: by its own look at the record, or by the block's second pass, once every unit of work that had begun before
 * it has ended (finishBlocks). What holds no `.mod` yet is left to the gate (mirror/gate.ts), since graphs read that.
 * @returns how many are BLOCKED by this call.
 */
export async function refuseVersions(
  parts: TakeOutParts,
  records: readonly VersionRecord[],
  block: Block,
): Promise<number> {
  // What was read along with many others may be another by now.
  const known = (await parts.ledger.read(records)).filter((record) => record !== undefined);
  const open = known.filter((record) => blocked(record, block, parts.now()) !== record);
  const whole = open.filter(({ held }) => held === "whole");
  await Promise.all(whole.map((record) => noteBefore(parts, record)));
  // Also what is out already: a publisher that died right after it had written the list leaves that.
  await unpublishAll(parts, [...whole, ...known.filter(isOut)]);
  const counted = new Set<string>();
  await updateRecords(
    parts.ledger,
    open,
    (current, version) => {
      const next = current && blocked(current, block, parts.now());
      counted[next === current ? "delete" : "add"](formatModuleVersion(version));
      return next;
    },
    ({ path, version }) => ({ event: "blocked", version: { path, version }, at: parts.now() }),
  );
  for (const { path, version } of open)
    if (counted.has(formatModuleVersion({ path, version })))
      parts.report({ event: "blocked", version: { path, version } });
  return counted.size;
}

const isOut = ({ state }: VersionRecord): boolean => state === "BLOCKED";

async function unpublishAll(parts: TakeOutParts, records: readonly VersionRecord[]): Promise<void> {
  for (const [path, some] of Map.groupBy(records, (record) => record.path))
    await unpublish(
      parts,
      path,
      some.map(({ version }) => version),
    );
}

/** The record under a block; the same object where there is nothing to take out, or it is out already. */
function blocked(record: VersionRecord, { name, reason }: Block, now: number): VersionRecord {
  if (record.wanted === "mod" && record.held !== "whole") return record;
  if (!covers(record.held, "mod") && record.held !== "whole") return record;
  // Whatever other block has it: the first one's reason stays. What is being deleted goes anyway.
  if (record.state === "BLOCKED" || record.removal?.deleting !== undefined) return record;
  const { failingSince: _since, due: _due, removal: _removal, ...rest } = record;
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

/** Zips up to this size are moved side by side: one is in memory as a whole meanwhile. */
const SMALL_ZIP = 16 * 1024 * 1024;

/**
 * The second part: takes out what is still there of BLOCKED versions.
 * @param alsoUnnoted and, of what the gate keeps out, the zip that a worker stored and did not note, for it died, or never
 * heard that it was stored. Only once every unit of work has ended that had begun before the block: it might be noting it.
 */
export async function takeOut(
  parts: TakeOutParts,
  records: readonly VersionRecord[],
  alsoUnnoted = false,
): Promise<void> {
  const isUnnoted = ({ wanted, held, removal }: VersionRecord) =>
    wanted === "whole" && held !== "whole" && removal === undefined;
  await unpublishAll(parts, records.filter(isOut));
  const out = records.filter((record) => isOut(record) || (alsoUnnoted && isUnnoted(record)));
  const isSmall = ({ zipSize = Number.POSITIVE_INFINITY }: VersionRecord) => zipSize <= SMALL_ZIP;
  await Promise.all(out.filter(isSmall).map((record) => quarantine(parts, record)));
  for (const record of out) if (!isSmall(record)) await quarantine(parts, record);
}
