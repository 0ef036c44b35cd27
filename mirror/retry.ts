import { FormatError } from "../gomod/format-error.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import { arePathPatterns, matchPrefixPatterns } from "../gomod/path-pattern.ts";
import { formatModuleVersion, parseModuleVersion } from "../gomod/version.ts";
import { misuse } from "./errors.ts";
import type { MirrorParts } from "./parts.ts";
import { isFirstSight, type State, type VersionRecord } from "./records.ts";
import { updateRecords, updateRequest } from "./update.ts";

/** What waits for a time of its own; HELD and DENIED wait for the policy, BLOCKED for a person. */
const RETRIED: readonly State[] = ["FAILED", "BROKEN", "WITHHELD", "GONE", "CONFLICT"];
/** Records of one page, and requests at a time. */
const PAGE = 500;
const MOST_REQUESTS = 1_000;

export interface RetryParts extends Pick<MirrorParts, "ledger" | "now"> {
  /** Whether a checksum database covers a path. */
  readonly provable: (path: ModulePath) => boolean;
  /** Whether that is what the mirror's configuration says, or an operator's flags, and not a default. */
  readonly knowsCoverage: boolean;
}

/** How many versions and requests are due now, and how many CONFLICTs wait for a person still. */
export interface Retried {
  readonly versions: number;
  readonly requests: number;
  readonly conflicts: number;
}

/**
 * Makes due now what waits after a failure, for reconcile's next tick; their attempts and reasons stay until then. A
 * CONFLICT only where a checksum database covers its path: that proves anew every byte, where without one two sights
 * differ and a person decides (resolve-conflict.ts). What was taken in without a database is one of these, unless the
 * caller knows better. Requests with something missing are looked at again too, so that they are served as soon
 * as it is there. Running it again, or dying anywhere, changes nothing else: what is due is due.
 * @param pattern `module@version`, or a pattern of module paths as GOPRIVATE has them; undefined: all.
 * @throws MirrorError misuse where it is neither.
 */
export async function retry(
  { ledger, now, provable, knowsCoverage }: RetryParts,
  pattern?: string,
): Promise<Retried> {
  const isProvable = (record: VersionRecord) =>
    provable(record.path) && (knowsCoverage || !isFirstSight(record));
  const isMeant = pattern === undefined ? () => true : meantBy(pattern);
  let versions = 0;
  let conflicts = 0;
  for (const state of RETRIED) {
    let after: VersionRecord | undefined;
    for (;;) {
      const page = await ledger.inState(state, { limit: PAGE, ...(after === undefined ? {} : { after }) });
      const meant = page.filter(isMeant);
      const dueNow = meant.filter((record) => state !== "CONFLICT" || isProvable(record));
      conflicts += meant.length - dueNow.length;
      await updateRecords(ledger, dueNow, (record) =>
        record?.state === state ? madeDue(record, now()) : undefined,
      );
      versions += dueNow.length;
      after = page.at(-1);
      // An index may lag, and then a page is short without being the last.
      if (page.length === 0) break;
    }
  }
  return { versions, requests: await lookAgain(ledger, now()), conflicts };
}

/** Only what is PENDING is worked on, and nothing revives a CONFLICT by itself. */
function madeDue(record: VersionRecord, now: number): VersionRecord {
  return record.state === "CONFLICT" ? { ...record, state: "PENDING", due: now } : { ...record, due: now };
}

async function lookAgain(ledger: MirrorParts["ledger"], now: number): Promise<number> {
  let requests = 0;
  for (const { name, time, state } of await ledger.dueRequests(Number.MAX_SAFE_INTEGER, MOST_REQUESTS)) {
    if (state !== "INCOMPLETE") continue;
    await updateRequest(ledger, { name, time }, (record) =>
      record?.state === "INCOMPLETE" ? { ...record, due: now } : undefined,
    );
    requests++;
  }
  return requests;
}

function meantBy(pattern: string): (record: VersionRecord) => boolean {
  if (!pattern.includes("@")) {
    if (arePathPatterns(pattern)) return ({ path }) => matchPrefixPatterns(pattern, path);
    throw misuse(
      pattern,
      `${pattern}: give module@version, or a pattern of module paths such as example.com/a or *.example.com`,
    );
  }
  try {
    const wanted = formatModuleVersion(parseModuleVersion(pattern));
    return (record) => formatModuleVersion(record) === wanted;
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw misuse(pattern, cause.message, cause);
  }
}
