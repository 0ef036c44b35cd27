import { formatModuleVersion } from "../gomod/version.ts";
import { completeUntil } from "./complete-until.ts";
import type { ErrorClass } from "./errors.ts";
import { type Pause, readPause } from "./pause.ts";
import type { Clock, Ledger, LedgerItem } from "./ports.ts";
import type { Extent, State, VersionRecord } from "./records.ts";
import { handedInAt, type RequestState, type Tier } from "./requests.ts";
import { parseHostState } from "./throttle.ts";
import { type Tick, tickOf } from "./ticks.ts";

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

/** Those whose versions are named one by one unless a state is asked for; of the others there may be very many. */
export const NAMED_STATES: readonly OpenState[] = OPEN_STATES.filter(
  (state) => state !== "GONE" && state !== "PENDING",
);

/** How many versions of a state are named unless it is said, and at most. */
export const VERSIONS_NAMED = 20;
export const MOST_VERSIONS_NAMED = 10_000;
/** As many open requests are counted and named. */
const MOST_REQUESTS = 100;

export interface StatusParts {
  readonly ledger: Pick<
    Ledger,
    | "countState"
    | "inState"
    | "openWork"
    | "readWatermark"
    | "readHead"
    | "readStop"
    | "items"
    | "readItem"
    | "dueRequests"
  >;
  readonly now: Clock;
  /** The checksum databases and the feeds that this mirror may have, by name; those that it has nothing of are left out. */
  readonly databases: readonly string[];
  readonly feeds: readonly string[];
}

export interface StatusOptions {
  /** Whose versions are named. */
  readonly states: readonly OpenState[];
  /** Of each state, the longest wanted first. */
  readonly limit: number;
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
}

export interface FeedStatus {
  readonly feed: string;
  /** Up to which of its stamps the feed was read. */
  readonly watermark: number;
  /** Up to where nothing of it is at work any more. */
  readonly completeUntil: number;
  /** How far that is behind the clock, in seconds. */
  readonly freshness: number;
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

export interface NamedVersion {
  readonly version: string;
  readonly state: OpenState;
  readonly wanted: Extent;
  readonly held: Extent | "nothing";
  readonly since: number;
  readonly attempts: number;
  readonly class: ErrorClass | undefined;
  readonly reason: string | undefined;
  readonly rule: string | undefined;
  readonly due: number | undefined;
}

export interface OpenRequest {
  readonly request: string;
  readonly state: RequestState;
  readonly tier: Tier;
  readonly since: number;
  readonly total: number;
  readonly missing: number;
  readonly error: string | undefined;
  readonly due: number | undefined;
}

export interface Status extends Figures {
  readonly versions: readonly NamedVersion[];
  /** At most MOST_REQUESTS, the soonest due first. */
  readonly requests: readonly OpenRequest[];
}

/**
 * What the metrics show: one call for each state, two for each feed and database, one for each kind of item. The counts
 * come from an index that may lag.
 */
export async function readFigures(parts: StatusParts): Promise<Figures> {
  const { ledger, now } = parts;
  const at = now();
  const [states, feeds, databases, upstreams, ticks, pause] = await Promise.all([
    Promise.all(OPEN_STATES.map((state) => stateStatus(ledger, state))),
    Promise.all(parts.feeds.map((feed) => feedStatus(ledger, feed, at))),
    Promise.all(parts.databases.map((database) => databaseStatus(ledger, database))),
    itemsOf(ledger, "upstream", upstreamStatus),
    itemsOf(ledger, "control", tickOf),
    readPause(ledger, at),
  ]);
  return {
    at,
    feeds: feeds.filter((feed) => feed !== undefined),
    ticks,
    states,
    databases: databases.filter(({ size, stopped }) => size > 0 || stopped !== undefined),
    upstreams,
    pause,
  };
}

/** The same figures, with the versions of some states and the open requests one by one. */
export async function readStatus(parts: StatusParts, { states, limit }: StatusOptions): Promise<Status> {
  const [figures, named, requests] = await Promise.all([
    readFigures(parts),
    Promise.all(states.map((state) => parts.ledger.inState(state, { limit }))),
    parts.ledger.dueRequests(Number.MAX_SAFE_INTEGER, MOST_REQUESTS),
  ]);
  return {
    ...figures,
    versions: named.flatMap((records) => records.flatMap(namedVersion)),
    requests: requests.map((record) => ({
      request: `${record.name}/${record.time}`,
      state: record.state,
      tier: record.tier,
      since: handedInAt(record),
      total: record.total,
      missing: record.missing,
      error: record.error,
      due: record.due,
    })),
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

async function stateStatus(ledger: StatusParts["ledger"], state: OpenState): Promise<StateStatus> {
  const { count, oldest } = await ledger.countState(state);
  return { state, versions: count, oldest };
}

async function feedStatus(
  ledger: StatusParts["ledger"],
  feed: string,
  at: number,
): Promise<FeedStatus | undefined> {
  const [stored, complete] = await Promise.all([ledger.readWatermark(feed), completeUntil(ledger, feed)]);
  if (stored === undefined || complete === undefined) return undefined;
  const until = Date.parse(complete.until);
  return {
    feed,
    watermark: Date.parse(stored.timestamp),
    completeUntil: until,
    freshness: Math.max(0, (at - until) / 1000),
  };
}

async function databaseStatus(ledger: StatusParts["ledger"], database: string): Promise<DatabaseStatus> {
  const [head, stop] = await Promise.all([ledger.readHead(database), ledger.readStop(database)]);
  return { database, size: head?.size ?? 0, stopped: stop && { at: stop.at, evidence: stop.evidence } };
}

/** Those of a kind of the ledger's items that `read` knows. */
async function itemsOf<T>(
  ledger: StatusParts["ledger"],
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

function upstreamStatus({ name: host, value }: LedgerItem): UpstreamStatus {
  const { stopped, notBefore } = parseHostState(value);
  return {
    host,
    stopped: Object.entries(stopped).map(([path, { at, reason }]) => ({ path, at, reason })),
    notBefore: notBefore > 0 ? notBefore : undefined,
  };
}

function namedVersion(record: VersionRecord): NamedVersion[] {
  const state = OPEN_STATES.find((open) => open === record.state);
  if (state === undefined) return [];
  const { wanted, held, wantedAt: since, attempts, lastError, rule, due } = record;
  const version = formatModuleVersion(record);
  const { class: type, message: reason } = lastError ?? {};
  return [{ version, state, wanted, held, since, attempts, class: type, reason, rule, due }];
}
