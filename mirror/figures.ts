import { type Block, parseBlock } from "./blocks.ts";
import { completeUntil } from "./complete-until.ts";
import { parseCursor } from "./feed-cursor.ts";
import type { LedgerItem } from "./ledger-entries.ts";
import { type Pause, readPause } from "./pause.ts";
import type { Clock, Ledger } from "./ports.ts";
import type { State } from "./records.ts";
import { type ChecksumJobStatus, checksumJobStatus } from "./scrub/checksum-order.ts";
import { parseHostState } from "./throttle.ts";
import { type Tick, tickOf } from "./ticks.ts";
import { parseItemName } from "./upstream-state.ts";
import { stoppedUpstream } from "./upstream-stop.ts";

/** Every state but READY: in the order in which they call for a person. */
export const OPEN_STATES = [
  "CONFLICT",
  "BROKEN",
  "BLOCKED",
  "FAILED",
  "WITHHELD",
  "DENIED",
  "HELD",
  "GONE",
  "PENDING",
] as const satisfies readonly Exclude<State, "READY">[];
export type OpenState = (typeof OPEN_STATES)[number];

export interface FigureParts {
  readonly ledger: Pick<
    Ledger,
    "countState" | "openWork" | "readWatermark" | "readHead" | "readStop" | "items" | "readItem"
  >;
  readonly now: Clock;
  /** The checksum databases and the feeds that this mirror may have, by name; those that it has nothing of are left out. */
  readonly databases: readonly string[];
  readonly feeds: readonly string[];
}

/** Figures alone; times in ms since the epoch, so that every reader shows them its own way. */
export interface Figures {
  readonly at: number;
  readonly feeds: readonly FeedStatus[];
  readonly ticks: readonly Tick[];
  readonly states: readonly StateStatus[];
  readonly databases: readonly DatabaseStatus[];
  readonly upstreams: readonly UpstreamStatus[];
  readonly pause: Pause | undefined;
  /** What operators have taken out, as long as it is, the first one first; at most MOST_BLOCKS. */
  readonly blocks: readonly BlockStatus[];
  /** What was last heard of jobs by which S3 hashes the tree's files; absent where none was ever ordered. */
  readonly checksumJobs?: readonly ChecksumJobStatus[];
}

/** As many blocks are named: a mirror has a few. */
const MOST_BLOCKS = 1_000;

export interface BlockStatus {
  /** `module@version`, or a pattern of module paths. */
  readonly name: string;
  readonly reason: string;
  readonly by: string;
  readonly since: number;
  /** When a pass began that took out all that it names; undefined where none has come to its end yet. */
  readonly applied: number | undefined;
}

export interface FeedStatus {
  readonly feed: string;
  /** Up to which of its stamps the feed was read. */
  readonly watermark: number;
  /** Up to where nothing of it is at work any more. */
  readonly completeUntil: number;
  /** How far that is behind the clock, in seconds. */
  readonly freshness: number;
  /** Of the poll feed: modules whose lists cannot be had. */
  readonly failing?: number;
}

export interface StateStatus {
  readonly state: OpenState;
  readonly versions: number;
  /** When the longest wanted of them was wanted. */
  readonly oldest: number | undefined;
}

export interface DatabaseStatus {
  readonly database: string;
  /** Of the newest published head; 0 before the first. */
  readonly size: number;
  readonly stopped: { readonly at: number; readonly evidence: string } | undefined;
}

export interface UpstreamStatus {
  readonly host: string;
  /** Its upstreams, by their paths, of which nothing is asked, since when and why. */
  readonly stopped: readonly { readonly path: string; readonly at: number; readonly reason: string }[];
  /** Until when all workers leave it alone. */
  readonly notBefore: number | undefined;
}

/**
 * What the metrics show: one call for each state, four for each feed, two for each database, one for each kind of item. The counts
 * come from an index that may lag.
 */
export async function readFigures(parts: FigureParts): Promise<Figures> {
  const { ledger, now } = parts;
  const at = now();
  const [states, feeds, databases, upstreams, controls, pause, blocks] = await Promise.all([
    Promise.all(OPEN_STATES.map((state) => stateStatus(ledger, state))),
    Promise.all(parts.feeds.map((feed) => feedStatus(ledger, feed, at))),
    Promise.all(parts.databases.map((database) => databaseStatus(ledger, database))),
    upstreamsOf(ledger),
    itemsOf(ledger, "control", (item) => tickOf(item) ?? checksumJobStatus(item)),
    readPause(ledger, at),
    itemsOf(ledger, "block", blockStatus),
  ]);
  const checksumJobs = controls.filter((control) => "job" in control);
  return {
    at,
    feeds: feeds.filter((feed) => feed !== undefined),
    ticks: controls.filter((control) => "took" in control),
    states,
    databases: databases.filter(({ size, stopped }) => size > 0 || stopped !== undefined),
    upstreams,
    pause,
    blocks: blocks.sort((a, b) => a.since - b.since).slice(0, MOST_BLOCKS),
    ...(checksumJobs.length > 0 && { checksumJobs }),
  };
}

/** Whether something is wrong that only a person can put right. */
export function needsPerson({ states, databases, upstreams }: Figures): boolean {
  return (
    states.some(({ state, versions }) => state === "CONFLICT" && versions > 0) ||
    databases.some(({ stopped }) => stopped !== undefined) ||
    upstreams.some(({ stopped }) => stopped.length > 0)
  );
}

/** Undefined of one that was lifted. */
function blockStatus(item: LedgerItem): BlockStatus | undefined {
  const { name, reason, by, at: since, applied, lifted }: Block = parseBlock(item);
  return lifted === undefined ? { name, reason, by, since, applied } : undefined;
}

async function stateStatus(ledger: FigureParts["ledger"], state: OpenState): Promise<StateStatus> {
  const { count, oldest } = await ledger.countState(state);
  return { state, versions: count, oldest };
}

async function feedStatus(
  ledger: FigureParts["ledger"],
  feed: string,
  at: number,
): Promise<FeedStatus | undefined> {
  const [stored, complete] = await Promise.all([ledger.readWatermark(feed), completeUntil(ledger, feed, at)]);
  if (stored === undefined || complete === undefined) return undefined;
  const until = Date.parse(complete.until);
  const { failing } = parseCursor(stored.cursor);
  return {
    feed,
    watermark: Date.parse(stored.timestamp),
    completeUntil: until,
    freshness: Math.max(0, (at - until) / 1000),
    ...(failing === undefined ? {} : { failing }),
  };
}

async function databaseStatus(ledger: FigureParts["ledger"], database: string): Promise<DatabaseStatus> {
  const [head, stop] = await Promise.all([ledger.readHead(database), ledger.readStop(database)]);
  return { database, size: head?.size ?? 0, stopped: stop && { at: stop.at, evidence: stop.evidence } };
}

/** Those of a kind of the ledger's items that `read` knows. */
async function itemsOf<T>(
  ledger: FigureParts["ledger"],
  kind: LedgerItem["kind"],
  read: (item: LedgerItem) => T | undefined,
): Promise<T[]> {
  const known: T[] = [];
  for await (const item of ledger.items(kind)) {
    const one = read(item);
    if (one !== undefined) known.push(one);
  }
  return known;
}

/** By host: its own item, and those of its upstreams. */
async function upstreamsOf(ledger: FigureParts["ledger"]): Promise<UpstreamStatus[]> {
  const hosts = new Map<
    string,
    { stopped: UpstreamStatus["stopped"][number][]; notBefore: number | undefined }
  >();
  for await (const item of ledger.items("upstream")) {
    const { host, path } = parseItemName(item.name);
    const known = hosts.get(host) ?? { stopped: [], notBefore: undefined };
    hosts.set(host, known);
    const { notBefore } = parseHostState(item.value);
    if (path === undefined && notBefore > 0) known.notBefore = notBefore;
    const stop = stoppedUpstream(item);
    if (stop !== undefined) known.stopped.push({ path: stop.path, at: stop.at, reason: stop.reason });
  }
  return [...hosts].map(([host, known]) => ({ host, ...known }));
}
