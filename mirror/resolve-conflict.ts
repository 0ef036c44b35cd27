import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { sha256Of } from "./body.ts";
import { settleRequestsOf } from "./dependents.ts";
import { misuse } from "./errors.ts";
import type { MirrorParts } from "./parts.ts";
import { covers, type State, type VersionRecord } from "./records.ts";
import { requestTimeOf } from "./requests.ts";
import { changedEntry } from "./snapshot/entry-change.ts";
import { inspectFiles, storedOf } from "./stored-files.ts";
import { infoKey, modKey, zipKey } from "./tree-keys.ts";
import { updateRecords } from "./update.ts";

/** `keep`: what is held is right. `take`: what upstream has now is, of a version of which nothing was ever held. */
export type Resolution = "keep" | "take";

type ResolveParts = Pick<MirrorParts, "tree" | "vault" | "ledger" | "queue" | "now" | "report"> & {
  /** Whether a checksum database covers a path, as the mirror is configured. */
  readonly provable: (path: ModulePath) => boolean;
};

const DECISIONS = "decisions/resolve-conflict/";

/** Who decides, and why; for the audit. */
export interface Decided {
  readonly by: string;
  readonly reason: string;
}

/**
 * Settles a CONFLICT that no checksum database can: an operator's decision, noted in the vault before it has any effect.
 * A served version's bytes never change, so that what is held can only be kept, and only as it was stored; `take` is for
 * a version of which nothing was ever held, such as one that a database spoke against which covers it no more. Dying
 * anywhere, it is finished by doing it again: what was decided before, and is in no conflict any more, is settled.
 * @returns the version's state: PENDING where it is fetched, or more of it than is held.
 * @throws MirrorError misuse where it is in no conflict, a database covers it, or it cannot be settled so.
 */
export async function resolveConflict(
  parts: ResolveParts,
  version: ModuleVersion,
  resolution: Resolution,
  { by, reason }: Decided,
): Promise<State> {
  const name = formatModuleVersion(version);
  const digest = sha256Of(Buffer.from(name)).slice(0, 16);
  const [record] = await parts.ledger.read([version]);
  if (record !== undefined && record.state !== "CONFLICT" && (await wasDecided(parts, digest, resolution))) {
    await settleRequestsOf(parts, [version]);
    return record.state;
  }
  if (record?.state !== "CONFLICT")
    throw misuse(
      name,
      `${name}: ${record === undefined ? "not known here" : `is ${record.state}`}, and so in no conflict`,
    );
  if (parts.provable(version.path))
    throw misuse(
      name,
      `${name}: a checksum database covers it, so that \`modferry retry ${name}\` has it proven anew; where none does, say so with --config or --no-sumdb`,
    );
  if (resolution === "keep") await requireKept(parts, record, name);
  else await requireNothing(parts, record, name);
  const at = parts.now();
  const key = `${DECISIONS}${requestTimeOf(at)}-${digest}-${resolution}.json`;
  const decision = { decision: "resolve-conflict", name, resolution, reason, by, at };
  await parts.vault.put(key, Buffer.from(`${JSON.stringify(decision)}\n`));
  const settle = resolution === "keep" ? kept : taken;
  const [settled] = await updateRecords(
    parts.ledger,
    [version],
    (current) => (current?.state === "CONFLICT" ? settle(current, parts.now()) : undefined),
    changedEntry(parts.now),
  );
  // A crash before this leaves requests INCOMPLETE that are complete, and what they list unlisted.
  await settleRequestsOf(parts, [version]);
  return settled?.state ?? "PENDING";
}

async function wasDecided({ vault }: ResolveParts, digest: string, resolution: Resolution): Promise<boolean> {
  for await (const key of vault.keys(DECISIONS))
    if (key.endsWith(`-${digest}-${resolution}.json`)) return true;
  return false;
}

/** @throws MirrorError misuse where not all that was held is there as it was stored. */
async function requireKept({ tree }: ResolveParts, record: VersionRecord, name: string): Promise<void> {
  const held = storedOf(record);
  if (held === "nothing")
    throw misuse(name, `${name}: nothing of it is held that could be kept; --take takes what upstream has`);
  const { missing, damaged } = await inspectFiles(tree, { ...record, held });
  const [file] = [...missing, ...damaged.map(({ key }) => key)];
  if (file === undefined) return;
  const what = missing.length > 0 ? "is missing" : "is not what was stored";
  throw misuse(name, `${name}: the tree's ${file} ${what}; bring it back from a copy, or block the version`);
}

/** @throws MirrorError misuse where anything of it was ever held. */
async function requireNothing({ tree }: ResolveParts, record: VersionRecord, name: string): Promise<void> {
  const served = () =>
    misuse(
      name,
      `${name}: was held, and a served version's bytes never change; --keep keeps them, \`modferry block\` takes them out`,
    );
  const { held, modH1, zipH1, sumdbRecords } = record;
  if (held !== "nothing" || modH1 !== undefined || zipH1 !== undefined || sumdbRecords !== undefined)
    throw served();
  for (const key of [modKey(record), infoKey(record), zipKey(record)]) {
    const found = await tree.open(key);
    await found?.close();
    if (found !== undefined) throw served();
  }
}

function kept(record: VersionRecord, now: number): VersionRecord {
  const held = storedOf(record);
  return covers(held, record.wanted)
    ? { ...settledOf(record), held, state: "READY" }
    : { ...settledOf(record), held, state: "PENDING", wantedAt: now, due: now };
}

function taken(record: VersionRecord, now: number): VersionRecord {
  return { ...settledOf(record), state: "PENDING", wantedAt: now, due: now };
}

function settledOf(record: VersionRecord): VersionRecord {
  const { lastError: _error, failingSince: _since, due: _due, ...rest } = record;
  return { ...rest, attempts: 0 };
}
