import { parseGoMod } from "../../gomod/go-mod.ts";
import type { ModulePath } from "../../gomod/module-path.ts";
import { isPseudoVersion } from "../../gomod/pseudo-version.ts";
import { TOOLCHAIN_MODULE } from "../../gomod/toolchain-version.ts";
import type { Version } from "../../gomod/version.ts";
import { isRetracted, latestOf } from "../../gomod/version-query.ts";
import type { MirrorParts } from "../parts.ts";
import type { State, VersionRecord } from "../records.ts";
import { LARGEST_GO_MOD } from "../store-files.ts";
import { type Subscriptions, selectedToolchains } from "../subscription.ts";
import { modKey } from "../tree-keys.ts";

/** As much of a record as a subscription looks at. */
export type Known = Pick<VersionRecord, "version" | "state" | "held">;

/** Whether some subscription may want versions of a module at all. */
export function isSubscribed(subscriptions: Subscriptions, path: ModulePath): boolean {
  return path === TOOLCHAIN_MODULE
    ? subscriptions.toolchains.length > 0
    : subscriptions.of(path) !== undefined;
}

/** What upstream lacks or refuses is nobody's latest (mirror/feed-selection.ts). */
const NOT_THERE: readonly State[] = ["GONE", "WITHHELD"];

/**
 * Which of a module's versions the current subscriptions want, as the feeds would choose them among those that are known:
 * never less, so that no tick brings back what was collected.
 * @param known the module's records that are wanted whole.
 */
export async function selectedVersions(
  parts: Pick<MirrorParts, "tree">,
  subscriptions: Subscriptions,
  path: ModulePath,
  known: readonly Known[],
): Promise<ReadonlySet<Version>> {
  const there = known.filter(({ state }) => !NOT_THERE.includes(state)).map(({ version }) => version);
  if (path === TOOLCHAIN_MODULE) return selectedToolchains(subscriptions, there);
  const subscription = subscriptions.of(path);
  if (subscription === undefined) return new Set();
  const highest = await latestAmong(there);
  const retracted = await retractionsBy(parts, path, highest, known);
  const usable = there.filter((version) => !retracted(version));
  if (subscription.versions === "latest") return new Set([...highest, ...(await latestAmong(usable))]);
  // The highest says what is retracted, and of a module with pseudo-versions alone it is all that a poll finds.
  const takesHighest = subscription.retracted === "skip" || there.every(isPseudoVersion);
  const selected = new Set(takesHighest ? highest : []);
  for (const { version } of known)
    if (
      subscriptions.takes(subscription, version) &&
      !(subscription.retracted === "skip" && retracted(version))
    )
      selected.add(version);
  return selected;
}

/** Whether `+incompatible` ones count hangs on a go.mod that may not be here: both answers. */
async function latestAmong(versions: readonly Version[]): Promise<Version[]> {
  const found = [await latestOf(versions, async () => true), await latestOf(versions, async () => false)];
  return found.filter((version) => version !== undefined);
}

/** What the module's highest versions take back; nothing where their go.mods are not held or cannot be read. */
async function retractionsBy(
  { tree }: Pick<MirrorParts, "tree">,
  path: ModulePath,
  highest: readonly Version[],
  known: readonly Known[],
): Promise<(version: Version) => boolean> {
  const retractions: ((version: Version) => boolean)[] = [];
  for (const version of highest) {
    if (known.find((record) => record.version === version)?.held === "nothing") continue;
    const stored = await tree.get(modKey({ path, version }), LARGEST_GO_MOD);
    if (stored === undefined) continue;
    try {
      const goMod = parseGoMod(`${path}@${version}.mod`, stored.bytes, "lax");
      retractions.push((other) => isRetracted(other, goMod));
    } catch {
      // Go itself will say what is wrong with that go.mod.
    }
  }
  // Of two that may be the highest, what only one of them takes back is kept.
  return (version) => retractions.length > 0 && retractions.every((says) => says(version));
}
