import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { acceptRequest } from "./accept.ts";
import { asMirrorError } from "./errors.ts";
import { handIn } from "./inbox.ts";
import type { MirrorParts } from "./parts.ts";
import { want } from "./records.ts";
import { handedInAt } from "./requests.ts";
import { listedVersions } from "./resolve-latest.ts";
import { updateRecords } from "./update.ts";

/** The feed that asks `@v/list` of every configured module. */
export const POLL_FEED = "poll";
/** The wish in the records of its roots: no request's name has a space, so no graph's record has it by chance. */
const ROOT_WISH = "poll feed";
/** New versions of one tick that go into one request, so that its resolution stays one unit of work. */
const ROOTS_PER_REQUEST = 50;
/** A tick's lease: longer than a function may run, so that two ticks never overlap. */
export const TICK_LEASE = 900_000;

/**
 * One tick of the poll feed: asks each module's `@v/list`, hands in what is new as roots, each closed alone, then writes
 * their records, and only then moves the watermark. A module that fails is reported and never holds the others; its
 * versions are found by the next tick, for each tick reads whole lists. Dying anywhere, or running twice, hands in the
 * same versions once more and changes nothing else.
 * @returns how many versions are new, and the modules that could not be asked.
 */
export async function plan(
  parts: MirrorParts,
  modules: readonly ModulePath[],
  owner: string,
): Promise<{ found: number; failed: { module: ModulePath; message: string }[]; skipped: boolean }> {
  const now = parts.now();
  if (!(await parts.ledger.takeLease("plan", owner, now, now + TICK_LEASE)))
    return { found: 0, failed: [], skipped: true };
  try {
    const failed: { module: ModulePath; message: string }[] = [];
    const found: ModuleVersion[] = [];
    for (const module of modules) {
      try {
        found.push(...(await newVersions(parts, module)));
      } catch (thrown) {
        failed.push({ module, message: asMirrorError(thrown, module).message });
      }
    }
    for (let at = 0; at < found.length; at += ROOTS_PER_REQUEST)
      await order(parts, found.slice(at, at + ROOTS_PER_REQUEST));
    await moveWatermark(parts, now);
    return { found: found.length, failed, skipped: false };
  } finally {
    await parts.ledger.releaseLease("plan", owner);
  }
}

async function newVersions(parts: MirrorParts, module: ModulePath): Promise<ModuleVersion[]> {
  const listed = (await listedVersions(parts.upstream, module)).map((version) => ({ path: module, version }));
  const records = await parts.ledger.read(listed);
  return listed.filter((_, at) => {
    const record = records[at];
    // Perhaps known only as what some graph needs: that makes it no root, so it would never be listed.
    const handedIn = record?.wanted === "whole" && (record.listed || record.wish === ROOT_WISH);
    return !handedIn;
  });
}

async function order(parts: MirrorParts, roots: readonly ModuleVersion[]): Promise<void> {
  const request = await handIn(parts, POLL_FEED, {
    format: 1,
    tier: "tidy",
    files: {},
    exact: [],
    wishes: roots.map(formatModuleVersion),
    together: false,
  });
  await acceptRequest(parts, request);
  // Last: a record that names the feed is what keeps the next tick from handing it in again.
  await updateRecords(parts.ledger, roots, (record, version) => {
    const provable = parts.databaseFor(version.path) !== undefined;
    const next = want(record, version, "whole", ROOT_WISH, parts.now(), provable, handedInAt(request));
    return next.wish === ROOT_WISH ? next : { ...next, wish: ROOT_WISH };
  });
}

async function moveWatermark(parts: MirrorParts, now: number): Promise<void> {
  const current = await parts.ledger.readWatermark(POLL_FEED);
  await parts.ledger.moveWatermark({
    feed: POLL_FEED,
    timestamp: new Date(now).toISOString(),
    revision: current?.revision ?? 0,
  });
}
