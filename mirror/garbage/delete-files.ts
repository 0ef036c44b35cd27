import type { MirrorParts } from "../parts.ts";
import { REMOVAL_WAIT, type VersionRecord } from "../records.ts";
import { infoKey, modKey, type TreeKey, zipKey } from "../tree-keys.ts";
import { changeOf, updateRecords } from "../update.ts";
import { bytesOf } from "./references.ts";
import { deleting, keepsInfo, removed } from "./removal.ts";

type DeleteParts = Pick<MirrorParts, "tree" | "ledger" | "now" | "report">;

/**
 * Takes the files of one version out. First its record says that they are going, and only as long as it is the very one
 * that was looked at: whoever has taken it back since was first. Then the files, in the reverse order of publishing, and
 * at last the record says what is left. A crash in between leaves a record that promises no more than what stays: the
 * next run, or reconcile for somebody who waits, goes on.
 * @param record REMOVING; no list has named it, nor what needs it, for as long as anybody may still go by that.
 * @returns the bytes that are gone; undefined where it was wanted meanwhile.
 */
export async function deleteVersion(parts: DeleteParts, record: VersionRecord): Promise<number | undefined> {
  const bytes = bytesOf(record);
  const going = record.removal?.deleting === undefined ? await noteDeleting(parts, record) : record;
  if (going === undefined) return undefined;
  await finishDeletion(parts, going);
  return Math.max(0, bytes - bytesOf(going));
}

async function noteDeleting(
  { ledger, now }: DeleteParts,
  record: VersionRecord,
): Promise<VersionRecord | undefined> {
  const next = deleting(record, now());
  if (next === undefined) return undefined;
  const [written] = await ledger.write([changeOf(record, next)]);
  return written === undefined || written === "changed" ? undefined : written;
}

/** Takes out what is still there of a version whose files are going, and notes what is left. */
export async function finishDeletion(parts: DeleteParts, record: VersionRecord): Promise<void> {
  const keepsMod = record.removal?.keeps === "mod";
  // Whatever its record says is held: a worker that came too late may have stored more.
  const keys = [
    ...(keepsMod && keepsInfo(record) ? [] : [infoKey(record)]),
    zipKey(record),
    ...(keepsMod ? [] : [modKey(record)]),
  ];
  for (const key of keys) await removeFile(parts, key);
  const since = record.removal?.since;
  const [after] = await updateRecords(parts.ledger, [record], (current) =>
    current?.removal?.since === since ? current && removed(current, parts.now()) : undefined,
  );
  const version = { path: record.path, version: record.version };
  parts.report({ event: "collected", version, kept: after?.held === "mod" ? "mod" : "nothing" });
}

async function removeFile({ tree }: Pick<DeleteParts, "tree">, key: TreeKey): Promise<void> {
  for (;;) {
    const stored = await tree.open(key);
    if (stored === undefined) return;
    await stored.close();
    // `changed`: nobody stores another one under this name; what is there now goes the same way.
    if ((await tree.remove(key, stored.etag)) === "removed") return;
  }
}

/**
 * Goes on with deletions that died on the way and whose version somebody waits for, so that it is fetched again: for
 * reconcile, with what the ledger says is due. @returns how many.
 */
export async function finishDeletions(parts: DeleteParts, due: readonly VersionRecord[]): Promise<number> {
  let finished = 0;
  for (const record of due) {
    const since = record.removal?.deleting;
    if (record.state !== "REMOVING" || since === undefined || since + REMOVAL_WAIT > parts.now()) continue;
    // The index may lag.
    const [current] = await parts.ledger.read([record]);
    if (current?.state !== "REMOVING" || current.removal?.deleting !== since) continue;
    await finishDeletion(parts, current);
    finished++;
  }
  return finished;
}
