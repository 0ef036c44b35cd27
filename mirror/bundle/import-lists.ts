import type { ModulePath } from "../../gomod/module-path.ts";
import type { ModuleVersion, Version } from "../../gomod/version.ts";
import { inParallel } from "../in-parallel.ts";
import type { MirrorParts } from "../parts.ts";
import { ensureList, publish, unpublish } from "../publish.ts";
import { updateRecords } from "../update.ts";
import { BUNDLE_WISH } from "./received-record.ts";
import { listedOf, type ModuleOfBoth } from "./snapshot-files.ts";

type ListParts = Pick<MirrorParts, "tree" | "ledger" | "now" | "report">;

/** Modules worked at a time. */
const MODULES_AT_ONCE = 64;

/**
 * Makes the lists of modules what the later snapshot lists, with what this mirror has listed of its own: what goes is taken
 * off before what comes is added. Dying anywhere, doing it again ends right.
 */
export async function listModules(parts: ListParts, modules: AsyncIterable<ModuleOfBoth>): Promise<void> {
  await inParallel(modules, MODULES_AT_ONCE, async ({ path, before, after }) => {
    const listed = new Set<Version>(listedOf(after));
    const gone = listedOf(before).filter((version) => !listed.has(version));
    if (gone.length > 0) await takeOff(parts, path, gone);
    const records = await parts.ledger.read([...listed].map((version): ModuleVersion => ({ path, version })));
    const add = records.flatMap((record) => (record !== undefined && !record.listed ? [record.version] : []));
    // Which makes a list, too.
    if (add.length > 0) await publish(parts, path, add);
    else if (after.some(({ held }) => held === "whole")) await ensureList(parts, path);
  });
}

/** Of what a bundle brought: what this mirror wants of its own stays. */
async function takeOff(parts: ListParts, path: ModulePath, gone: readonly Version[]): Promise<void> {
  const records = await parts.ledger.read(gone.map((version): ModuleVersion => ({ path, version })));
  const off = records.flatMap((record) => (record?.wish === BUNDLE_WISH ? [record] : []));
  await unpublish(
    parts,
    path,
    off.map(({ version }) => version),
  );
  await updateRecords(parts.ledger, off, (record) =>
    record?.listed ? { ...record, listed: false } : record,
  );
}
