import { formatModuleVersion } from "../gomod/version.ts";
import type { ErrorClass } from "./errors.ts";
import { type FigureParts, type Figures, OPEN_STATES, type OpenState, readFigures } from "./figures.ts";
import type { Ledger } from "./ports.ts";
import type { Extent, VersionRecord } from "./records.ts";
import { handedInAt, type RequestState, type Tier } from "./requests.ts";

/** Those whose versions are named one by one unless a state is asked for; of the others there may be very many. */
export const NAMED_STATES: readonly OpenState[] = OPEN_STATES.filter(
  (state) => state !== "GONE" && state !== "PENDING",
);

/** How many versions of a state are named unless it is said, and at most. */
export const VERSIONS_NAMED = 20;
export const MOST_VERSIONS_NAMED = 10_000;
/** As many open requests are counted and named. */
const MOST_REQUESTS = 100;

export interface StatusParts extends FigureParts {
  readonly ledger: FigureParts["ledger"] & Pick<Ledger, "inState" | "dueRequests">;
}

export interface StatusOptions {
  /** Whose versions are named. */
  readonly states: readonly OpenState[];
  /** Of each state, the longest wanted first. */
  readonly limit: number;
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

function namedVersion(record: VersionRecord): NamedVersion[] {
  const state = OPEN_STATES.find((open) => open === record.state);
  if (state === undefined) return [];
  const { wanted, held, wantedAt: since, attempts, lastError, rule, due } = record;
  const version = formatModuleVersion(record);
  const { class: type, message: reason } = lastError ?? {};
  return [{ version, state, wanted, held, since, attempts, class: type, reason, rule, due }];
}
