import pLimit from "p-limit";
import type { ModulePath } from "../../gomod/module-path.ts";
import { type Deadline, TIME_TO_CLOSE } from "../deadline.ts";
import type { Ledger } from "../ports.ts";
import type { VersionRecord } from "../records.ts";
import { type ContentParts, checkDeep, checkStored } from "./content-check.ts";
import type { ScrubFinding } from "./finding.ts";
import type { ScrubWork, Unfinished } from "./scrub-work.ts";
import { type LineRuns, SortedLines } from "./sorted-lines.ts";
import { isIn, isInSlice, moduleOrder, type Shard } from "./tree-order.ts";

/** Modules between two looks at the time and the cursor. */
const MODULES_PER_BATCH = 64;
/** Checksums that are asked for at a time: a HEAD each. */
const HEADS_AT_ONCE = 32;

export interface ContentScrubParts extends ContentParts {
  readonly ledger: Pick<Ledger, "records" | "read" | "readModule">;
  readonly runs: LineRuns;
  readonly deadline: Deadline;
}

/**
 * Module by module, in the tree's order: what is stored of each version against the ledger, which is read anew for each
 * module, so that what is written meanwhile is no finding.
 * @param slice of stored checksums: which thirtieth.
 */
export async function contentScrub(
  parts: ContentScrubParts,
  which: { readonly level: "stored" | "deep"; readonly shard: Shard; readonly slice: number | undefined },
  cursor: string,
  work: ScrubWork,
): Promise<Unfinished | undefined> {
  const limit = pLimit(which.level === "deep" ? 2 * parts.zips.threads : HEADS_AT_ONCE);
  const check = which.level === "deep" ? checkDeep : checkStored;
  let batch: { readonly order: string; readonly path: ModulePath }[] = [];
  const run = async () => {
    const last = batch.at(-1);
    if (last === undefined) return;
    const records = (await Promise.all(batch.map(({ path }) => parts.ledger.readModule(path)))).flat();
    const held = records.filter(isHeld);
    const found = await Promise.all(
      held.map((record) =>
        limit(async () => {
          // A batch of large zips takes minutes.
          await work.keepLease();
          return await confirmed(parts, record, check);
        }),
      ),
    );
    for (const findings of found) work.found(findings);
    work.count({ modules: batch.length, versions: held.length });
    batch = [];
    await work.reached(last.order);
  };
  let done: string | undefined;
  for await (const line of (await modulesOf(parts, which.shard, which.slice, cursor)).sorted()) {
    if (line === done) continue;
    done = line;
    const [order = "", path = ""] = line.split("\t");
    batch.push({ order, path: path as ModulePath });
    if (batch.length < MODULES_PER_BATCH) continue;
    await run();
    if (parts.deadline.remaining() < TIME_TO_CLOSE) return { cursor: order };
  }
  await run();
  return undefined;
}

/** What is on its way out is looked at no more. */
export const isHeld = ({ held, state }: VersionRecord): boolean =>
  held !== "nothing" && state !== "REMOVING" && state !== "REMOVED";

/** What was written while it was read is no finding: the record says so. */
async function confirmed(
  parts: ContentScrubParts,
  record: VersionRecord,
  check: typeof checkDeep,
): Promise<readonly ScrubFinding[]> {
  const found = await check(parts, record);
  if (found.length === 0) return found;
  const [now] = await parts.ledger.read([record]);
  if (now === undefined || !isHeld(now)) return [];
  return now.revision === record.revision ? found : await check(parts, now);
}

async function modulesOf(
  { ledger, runs }: ContentScrubParts,
  shard: Shard,
  slice: number | undefined,
  cursor: string,
): Promise<SortedLines> {
  const modules = new SortedLines(runs);
  let last = "";
  for await (const record of ledger.records()) {
    if (record.path === last || !isHeld(record)) continue;
    const order = moduleOrder(record.path);
    if (order <= cursor || !isIn(shard, order) || (slice !== undefined && !isInSlice(slice, order))) continue;
    last = record.path;
    await modules.add(`${order}\t${record.path}`);
  }
  return modules;
}
