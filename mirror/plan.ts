import pLimit from "p-limit";
import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion, type Version } from "../gomod/version.ts";
import { acceptRequest } from "./accept.ts";
import { TIME_TO_CLOSE } from "./deadline.ts";
import { asMirrorError } from "./errors.ts";
import { handIn } from "./inbox.ts";
import { POLL_FEED, type RequestKey } from "./orders.ts";
import { type Deadline, type MirrorParts, noDeadline } from "./parts.ts";
import type { Watermark } from "./ports.ts";
import { want } from "./records.ts";
import { handedInAt } from "./requests.ts";
import { listedVersions } from "./resolve-latest.ts";
import { updateRecords } from "./update.ts";
import { withinTime } from "./within-time.ts";

/** The wish in the records of its roots: no request's name has a space, so no graph's record has it by chance. */
const ROOT_WISH = "poll feed";
/** New versions of one tick that go into one request, so that its resolution stays one unit of work. */
const ROOTS_PER_REQUEST = 50;
/** The watermark of a feed that was never read to its end. */
const NEVER = "1970-01-01T00:00:00.000Z";
/** Modules that are asked at a time: one that hangs holds none of the others. */
const MODULES_AT_ONCE = 8;
/** A tick's lease, in ms: just above the 300 s that a function may run, so that a killed tick holds up one other. */
export const TICK_LEASE = 330_000;

export interface PlanOptions {
  readonly deadline?: Deadline;
  /** Where an object in the inbox triggers by itself, nothing is left to do; else acceptRequest. */
  readonly accept?: (parts: MirrorParts, request: RequestKey) => Promise<void>;
}

export interface Planned {
  /** New versions handed in. */
  readonly found: number;
  readonly failed: { readonly module: ModulePath; readonly message: string }[];
  /** Modules for which there was no time; the next tick begins with them. */
  readonly unreached: number;
  /** Another tick is under way. */
  readonly skipped: boolean;
}

/**
 * One tick of the poll feed: asks each module's `@v/list`, some at a time, and hands in what is new as roots, each
 * closed alone, then writes their records; at last it moves the watermark, whose cursor says where the next tick begins.
 * A module that fails is reported and never holds the others; its versions are found by the next tick, for each tick
 * reads whole lists. Dying anywhere, or running twice, hands in the same versions once more and changes nothing else.
 */
export async function plan(
  parts: MirrorParts,
  modules: readonly ModulePath[],
  owner: string,
  { deadline = noDeadline, accept = acceptRequest }: PlanOptions = {},
): Promise<Planned> {
  const now = parts.now();
  if (!(await parts.ledger.takeLease("plan", owner, now, now + TICK_LEASE)))
    return { found: 0, failed: [], unreached: 0, skipped: true };
  try {
    const watermark = await parts.ledger.readWatermark(POLL_FEED);
    const limit = pLimit(MODULES_AT_ONCE);
    const failed: { module: ModulePath; message: string }[] = [];
    const unreached: ModulePath[] = [];
    let found = 0;
    const poll = async (module: ModulePath) => {
      if (deadline.remaining() < TIME_TO_CLOSE) {
        unreached.push(module);
        return;
      }
      let listed: readonly Version[];
      try {
        listed = await withinTime(listedVersions(parts.upstream, module), deadline, module);
      } catch (thrown) {
        failed.push({ module, message: asMirrorError(thrown, module).message });
        return;
      }
      const versions = await newVersions(parts, module, listed);
      for (let at = 0; at < versions.length; at += ROOTS_PER_REQUEST)
        await order(parts, versions.slice(at, at + ROOTS_PER_REQUEST), accept);
      found += versions.length;
    };
    const polls = await Promise.allSettled(
      startingAt(modules, watermark?.cursor).map((module) => limit(() => poll(module))),
    );
    // A store that does not answer is no module's fault: the watermark stays where all below it is recorded.
    for (const result of polls) if (result.status === "rejected") throw result.reason;
    await moveWatermark(parts, now, watermark, unreached[0]);
    return { found, failed, unreached: unreached.length, skipped: false };
  } finally {
    await parts.ledger.releaseLease("plan", owner);
  }
}

/** All modules, beginning with the one that the last tick did not reach. */
function startingAt(modules: readonly ModulePath[], cursor: string | undefined): readonly ModulePath[] {
  const first = Math.max(
    0,
    modules.findIndex((module) => String(module) === cursor),
  );
  return [...modules.slice(first), ...modules.slice(0, first)];
}

async function newVersions(
  parts: MirrorParts,
  module: ModulePath,
  versions: readonly Version[],
): Promise<ModuleVersion[]> {
  const listed = versions.map((version) => ({ path: module, version }));
  const records = await parts.ledger.read(listed);
  return listed.filter((_, at) => {
    const record = records[at];
    // Perhaps known only as what some graph needs: that makes it no root, so it would never be listed.
    const handedIn = record?.wanted === "whole" && (record.listed || record.wish === ROOT_WISH);
    return !handedIn;
  });
}

async function order(
  parts: MirrorParts,
  roots: readonly ModuleVersion[],
  accept: NonNullable<PlanOptions["accept"]>,
): Promise<void> {
  const request = await handIn(parts, POLL_FEED, {
    format: 1,
    tier: "tidy",
    files: {},
    exact: [],
    wishes: roots.map(formatModuleVersion),
    together: false,
    graph: "pruned",
    recorded: [],
  });
  await accept(parts, request);
  // Last: a record that names the feed is what keeps the next tick from handing it in again.
  await updateRecords(parts.ledger, roots, (record, version) => {
    const provable = parts.databasesFor(version.path).length > 0;
    const next = want(record, version, "whole", ROOT_WISH, parts.now(), provable, handedInAt(request));
    return next.wish === ROOT_WISH ? next : { ...next, wish: ROOT_WISH };
  });
}

/** The stamp is that of the last tick which reached every module. */
async function moveWatermark(
  parts: MirrorParts,
  now: number,
  previous: Watermark | undefined,
  cursor: string | undefined,
): Promise<void> {
  const timestamp = cursor === undefined ? new Date(now).toISOString() : (previous?.timestamp ?? NEVER);
  await parts.ledger.moveWatermark({
    feed: POLL_FEED,
    timestamp,
    ...(cursor === undefined ? {} : { cursor }),
    revision: previous?.revision ?? 0,
  });
}
