import type { GoSum } from "../gomod/go-sum.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, type Version } from "../gomod/version.ts";
import { type ClosureFile, type Need, readClosure } from "./closure-file.ts";
import type { ErrorClass } from "./errors.ts";
import { readRequestBody } from "./inbox.ts";
import type { RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { publish } from "./publish.ts";
import { covers, FIRST_WAIT, type VersionRecord } from "./records.ts";
import { updateRequest } from "./update.ts";
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

/** How many lists are published at a time. */
const LISTS_AT_ONCE = 16;

/**
 * Looks how far a request has come: lists every root whose closure is held, and notes the request as DONE, or as
 * INCOMPLETE and due again when the first missing version is. May run at any time, twice, or at once.
 */
export async function settle(parts: MirrorParts, request: RequestKey): Promise<Missing[]> {
  const closure = await readClosure(parts.vault, request);
  const records = await recordsOf(parts, closure.needs);
  await listRoots(parts, closure, records);
  const missing = await missingIn(parts, request, closure, records);
  const due = soonest(parts, closure, missing);
  await updateRequest(parts.ledger, request, (record) => {
    if (record === undefined) return undefined;
    const { due: _due, ...rest } = record;
    const state = missing.length === 0 ? "DONE" : "INCOMPLETE";
    return {
      ...rest,
      state,
      total: closure.needs.length,
      missing: missing.length,
      ...(due === undefined ? {} : { due }),
    };
  });
  parts.report({ event: "settled", request, total: closure.needs.length, missing: missing.length });
  return missing;
}

type Records = ReadonlyMap<string, VersionRecord>;
type ReadParts = Pick<MirrorParts, "vault" | "ledger">;

/** What a resolved request lacks as of now; only reads. @throws MirrorError malformed when it was never resolved. */
export async function missingOf(parts: ReadParts, request: RequestKey): Promise<Missing[]> {
  const closure = await readClosure(parts.vault, request);
  return await missingIn(parts, request, closure, await recordsOf(parts, closure.needs));
}

async function missingIn(
  parts: ReadParts,
  request: RequestKey,
  closure: ClosureFile,
  records: Records,
): Promise<Missing[]> {
  return [
    ...closure.needs.flatMap((need) => missingNeed(need, records)),
    ...closure.unresolved.map(({ subject, class: state, message }) => ({ subject, state, message })),
    ...(await disagreements(parts, request, records)),
  ];
}

async function recordsOf(parts: ReadParts, needs: readonly Need[]): Promise<Records> {
  const read = await parts.ledger.read(needs.map((need) => need.version));
  return new Map(
    read.flatMap((record) => (record === undefined ? [] : [[formatModuleVersion(record), record]])),
  );
}

function isHeld(need: Need, records: Records): boolean {
  const record = records.get(formatModuleVersion(need.version));
  return record !== undefined && covers(record.held, need.extent);
}

async function listRoots(parts: MirrorParts, closure: ClosureFile, records: Records): Promise<void> {
  const byPath = new Map<ModulePath, Version[]>();
  for (const { root, needs } of closure.roots) {
    if (records.get(formatModuleVersion(root))?.listed === true) continue;
    if (!needs.every((need) => isHeld(need, records))) continue;
    byPath.set(root.path, [...(byPath.get(root.path) ?? []), root.version]);
  }
  const lists = [...byPath];
  for (let at = 0; at < lists.length; at += LISTS_AT_ONCE) {
    await Promise.all(
      lists.slice(at, at + LISTS_AT_ONCE).map(([path, versions]) => publish(parts, path, versions)),
    );
  }
}

function missingNeed(need: Need, records: Records): Missing[] {
  if (isHeld(need, records)) return [];
  const subject = formatModuleVersion(need.version);
  const record = records.get(subject);
  if (record === undefined) return [{ subject, state: "PENDING", message: "not recorded yet" }];
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

/** A request's go.sum that differs from what is proven fails the request, never the version. */
async function disagreements(parts: ReadParts, request: RequestKey, records: Records): Promise<Missing[]> {
  const wishes = parseWishes(await readRequestBody(parts, request));
  return wishes.allSums.flatMap((sum) =>
    [...records.values()].flatMap((record) => disagreement(sum, record)),
  );
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

function soonest(parts: MirrorParts, closure: ClosureFile, missing: readonly Missing[]): number | undefined {
  const dues = missing.map((entry) => entry.due).filter((due) => due !== undefined);
  if (closure.unresolved.some((entry) => entry.class === "transient")) dues.push(parts.now() + FIRST_WAIT);
  return dues.length === 0 ? undefined : Math.min(...dues);
}
