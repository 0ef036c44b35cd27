import type { GoSum } from "../gomod/go-sum.ts";
import { formatModuleVersion } from "../gomod/version.ts";
import { type ClosureFile, type Need, readClosure } from "./closure-file.ts";
import { type ErrorClass, MirrorError } from "./errors.ts";
import { readRequestBody } from "./inbox.ts";
import type { RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { covers, dependable, type VersionRecord } from "./records.ts";
import { parseWishes } from "./wishes.ts";

/** Something a request asked for that is not served, and why. */
export interface Missing {
  /** `module@version`, or the wish. */
  readonly subject: string;
  /** The record's state, or the class of what went wrong. */
  readonly state: string;
  /** The class of the last error, where `state` is a record's and there was one. */
  readonly class?: ErrorClass;
  readonly message: string;
  /** When it is tried again, ms since the epoch; absent when only a person can help. */
  readonly due?: number;
}

/** The records of a closure, by `module@version`. */
export type Records = ReadonlyMap<string, VersionRecord>;
type ReadParts = Pick<MirrorParts, "vault" | "ledger">;

/** What a resolved request lacks as of now; only reads. @throws MirrorError malformed when it was never resolved. */
export async function missingOf(parts: ReadParts, request: RequestKey): Promise<Missing[]> {
  const closure = await readClosure(parts.vault, request);
  return await missingIn(parts, request, closure, await recordsOf(parts, closure.needs));
}

/** As missingOf, for a closure and its records. */
export async function missingIn(
  parts: ReadParts,
  request: RequestKey,
  closure: ClosureFile,
  records: Records,
): Promise<Missing[]> {
  return [
    ...closure.needs.flatMap((need) => missingNeed(need, records)),
    ...lateGoMods(closure, records),
    ...closure.unresolved.map(({ subject, class: state, message }) => ({ subject, state, message })),
    ...(await disagreements(parts, request, records)),
  ];
}

export async function recordsOf(parts: ReadParts, needs: readonly Need[]): Promise<Records> {
  const read = await parts.ledger.read(needs.map((need) => need.version));
  return new Map(
    read.flatMap((record) => (record === undefined ? [] : [[formatModuleVersion(record), record]])),
  );
}

/** Whether a request may be built upon it. */
export function isHeld({ version, extent }: Need, records: Records): boolean {
  const record = records.get(formatModuleVersion(version));
  return record !== undefined && covers(dependable(record), extent);
}

function missingNeed(need: Need, records: Records): Missing[] {
  if (isHeld(need, records)) return [];
  const subject = formatModuleVersion(need.version);
  const record = records.get(subject);
  if (record === undefined) return [{ subject, state: "PENDING", message: "not recorded yet" }];
  if (isRefusedBeyond(need, record)) return [];
  const message = record.lastError?.message ?? "not fetched yet";
  return [
    {
      subject,
      state: record.state,
      ...(record.lastError === undefined ? {} : { class: record.lastError.class }),
      message,
      ...(record.due === undefined ? {} : { due: record.due }),
    },
  ];
}

const REFUSED_FOR_GOOD: readonly VersionRecord["state"][] = ["WITHHELD", "GONE", "DENIED", "BLOCKED"];

/**
 * Whether upstream lacks what only upgrades lead to, or upstream, the policy or a block refuses it: then it is not
 * listed, and nobody misses it. What is merely too young is missed: it comes.
 */
function isRefusedBeyond({ own }: Need, { state, held }: VersionRecord): boolean {
  if (own === undefined || !REFUSED_FOR_GOOD.includes(state)) return false;
  return own === "nothing" || covers(held, own);
}

/** The graph was loaded without these, and they are held now: what only they require has still to be found. */
export function lateGoMods(closure: ClosureFile, records: Records): Missing[] {
  return closure.unloaded
    .filter((version) => isHeld({ version, extent: "mod" }, records))
    .map((version) => ({
      subject: formatModuleVersion(version),
      state: "PENDING",
      message: "its go.mod came after the module graph was loaded; the graph is loaded again",
    }));
}

/** A request's go.sum that differs from what is proven fails the request, never the version. */
async function disagreements(parts: ReadParts, request: RequestKey, records: Records): Promise<Missing[]> {
  const sums = await goSums(parts, request);
  return sums.flatMap((sum) => [...records.values()].flatMap((record) => disagreement(sum, record)));
}

/** A request whose object has left the inbox since has no go.sum to be compared any more. */
async function goSums(parts: ReadParts, request: RequestKey): Promise<readonly GoSum[]> {
  try {
    return parseWishes(await readRequestBody(parts, request)).allSums;
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.class === "misuse") return [];
    throw thrown;
  }
}

function disagreement(sum: GoSum, record: VersionRecord): Missing[] {
  return (["mod", "zip"] as const).flatMap((kind) => {
    const actual = kind === "mod" ? record.modH1 : record.zipH1;
    const expected = sum.hashes(record.path, record.version, kind);
    if (actual === undefined || expected.length === 0 || expected.includes(actual)) return [];
    const subject = formatModuleVersion(record);
    const line = kind === "mod" ? `${record.version}/go.mod` : record.version;
    return [
      {
        subject,
        state: "mismatch",
        message: `${subject}: go.sum says ${expected[0]} for ${record.path} ${line}, proven is ${actual}; correct go.sum`,
      },
    ];
  });
}
