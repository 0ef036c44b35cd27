import { parseVersionList } from "../../gomod/list-file.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import type { MirrorParts } from "../parts.ts";
import { LARGEST_LIST, publish, unpublish } from "../publish.ts";
import { listKey } from "../tree-keys.ts";
import { updateRecords } from "../update.ts";

type OffListParts = Pick<MirrorParts, "tree" | "ledger" | "now" | "report">;

/**
 * Takes versions off `@v/list` and `@latest` that are not to be there, and puts those back that somebody has had listed
 * since it was decided: a request may take back what is being collected at any moment, and its publisher finds the
 * version in the list still, writes nothing, and notes it as listed; then it was we who took it off. Whoever dies in
 * between leaves a version that its record says is listed and its list does not name: done again, this puts it back, and
 * so does a scrub.
 */
export async function takeOffLists(parts: OffListParts, versions: readonly ModuleVersion[]): Promise<void> {
  for (const [path, of] of Map.groupBy(versions, (version) => version.path))
    await unpublish(
      parts,
      path,
      of.map(({ version }) => version),
    );
  await putBackOnLists(parts, versions);
}

/** Lists those of these again that their records say are listed and their lists do not name. */
export async function putBackOnLists(parts: OffListParts, versions: readonly ModuleVersion[]): Promise<void> {
  const known = (await parts.ledger.read(versions)).filter((record) => record !== undefined);
  const listed = known.filter((record) => record.listed);
  for (const [path, of] of Map.groupBy(listed, (record) => record.path)) {
    const stored = await parts.tree.get(listKey(path), LARGEST_LIST);
    const names = new Set(stored === undefined ? [] : parseVersionList(stored.bytes).versions);
    const missing = of.map(({ version }) => version).filter((version) => !names.has(version));
    if (missing.length > 0) await publish(parts, path, missing);
  }
}

/** Of what is being collected: it has gone off its list only now, and so its files stay for the whole wait from now on. */
export async function waitAnew(
  { ledger, now }: Pick<OffListParts, "ledger" | "now">,
  versions: readonly ModuleVersion[],
): Promise<void> {
  await updateRecords(ledger, versions, (record) => {
    if (record?.removal === undefined || record.removal.deleting !== undefined) return undefined;
    return { ...record, removal: { ...record.removal, since: now() } };
  });
}
