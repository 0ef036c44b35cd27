import pLimit from "p-limit";
import { parseGoMod } from "../gomod/go-mod.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import type { ModuleVersion, Version } from "../gomod/version.ts";
import { isRetracted, latestOf } from "../gomod/version-query.ts";
import type { Root } from "./feed-roots.ts";
import { isAtWork } from "./feed-work.ts";
import type { MirrorParts } from "./parts.ts";
import type { VersionRecord } from "./records.ts";
import { LARGEST_GO_MOD } from "./store-files.ts";
import type { Follow, ModuleSubscription, Subscriptions } from "./subscription.ts";
import { modKey } from "./tree-keys.ts";

type SelectParts = Pick<MirrorParts, "ledger" | "tree">;

/** A version that a feed names. */
export interface FeedEntry {
  readonly version: ModuleVersion;
  readonly stamp: string;
}

/** What of a feed's entries is wanted. */
export interface Selected {
  readonly roots: readonly Root[];
  /** Which of them are wanted hangs on a go.mod that is on its way: that of their module's highest version. */
  readonly later: readonly Root[];
  /** Modules of which only later versions than some have been seen: what `@latest` means of them is to be asked. */
  readonly latest: readonly { readonly path: ModulePath; readonly follow: Follow }[];
}

/** Modules looked up at a time. */
const MODULES_AT_ONCE = 16;

/** Which of these versions the subscriptions want. Modules that `all` and ranges speak of cost no look-up. */
export async function selectRoots(
  parts: SelectParts,
  subscriptions: Subscriptions,
  entries: readonly FeedEntry[],
): Promise<Selected> {
  const roots: Root[] = [];
  const later: Root[] = [];
  const latest: { path: ModulePath; follow: Follow }[] = [];
  const looked = new Map<ModulePath, { subscription: ModuleSubscription; entries: FeedEntry[] }>();
  for (const entry of entries) {
    const { path, version } = entry.version;
    const subscription = subscriptions.of(path);
    if (subscription === undefined) continue;
    if (subscription.versions !== "latest" && !subscriptions.takes(subscription, version)) continue;
    if (subscription.versions !== "latest" && subscription.retracted === "keep") {
      roots.push({ version: entry.version, stamp: entry.stamp, follow: subscription.follow });
      continue;
    }
    const known = looked.get(path);
    if (known === undefined) looked.set(path, { subscription, entries: [entry] });
    else known.entries.push(entry);
  }
  const limit = pLimit(MODULES_AT_ONCE);
  await limit.map([...looked], async ([path, { subscription, entries: of }]) => {
    const records = (await parts.ledger.readModule(path)).filter(({ wanted }) => wanted === "whole");
    const asRoot = ({ version, stamp }: FeedEntry): Root => ({ version, stamp, follow: subscription.follow });
    if (subscription.versions === "latest") roots.push(...(await latestAmong(of, records)).map(asRoot));
    else {
      const { wanted, open } = await withoutRetracted(parts, path, of, records);
      roots.push(...wanted.map(asRoot));
      later.push(...open.map(asRoot));
    }
    if (subscription.versions === "latest" && records.length === 0)
      latest.push({ path, follow: subscription.follow });
  });
  return { roots, later, latest };
}

/**
 * Of new versions those that `latest` means among them and what the mirror has. Whether `+incompatible` ones count hangs
 * on a go.mod that may not be here: then both are taken. A retracted highest one is taken too, for it says so; what is
 * the latest besides was taken when it was new.
 */
async function latestAmong(
  entries: readonly FeedEntry[],
  records: readonly VersionRecord[],
): Promise<FeedEntry[]> {
  // What upstream lacks or refuses cannot be anybody's latest.
  const known = records.filter(({ state }) => state !== "GONE" && state !== "WITHHELD");
  const versions = [...known, ...entries.map((entry) => entry.version)].map(({ version }) => version);
  const best = new Set([
    await latestOf(versions, async () => true),
    await latestOf(versions, async () => false),
  ]);
  return entries.filter(({ version }) => best.has(version.version));
}

/**
 * The highest version that the mirror has, or is to have, says what is retracted, and is never left out itself. As long as
 * its go.mod is on its way, it alone is wanted.
 */
export async function withoutRetracted(
  parts: Pick<MirrorParts, "tree">,
  path: ModulePath,
  entries: readonly FeedEntry[],
  records: readonly VersionRecord[],
): Promise<{ readonly wanted: FeedEntry[]; readonly open: FeedEntry[] }> {
  const isHere = (record: VersionRecord) => record.held !== "nothing";
  const known = records.filter((record) => isHere(record) || isAtWork(record)).map(({ version }) => version);
  const highest = await latestOf(
    [...known, ...entries.map((entry) => entry.version.version)],
    async () => true,
  );
  const ofHighest = records.find(({ version }) => version === highest);
  if (ofHighest === undefined || (!isHere(ofHighest) && isAtWork(ofHighest)))
    return {
      wanted: entries.filter(({ version: { version } }) => version === highest),
      open: entries.filter(({ version: { version } }) => version !== highest),
    };
  const says = await latestOf(
    records.filter(isHere).map(({ version }) => version),
    async () => true,
  );
  const retracted = says === undefined ? undefined : await retractions(parts, { path, version: says });
  const isWanted = ({ version: { version } }: FeedEntry) =>
    version === highest || retracted?.(version) !== true;
  return { wanted: entries.filter(isWanted), open: [] };
}

async function retractions(
  parts: Pick<MirrorParts, "tree">,
  version: ModuleVersion,
): Promise<((version: Version) => boolean) | undefined> {
  const stored = await parts.tree.get(modKey(version), LARGEST_GO_MOD);
  if (stored === undefined) return undefined;
  try {
    const goMod = parseGoMod(`${version.path}@${version.version}.mod`, stored.bytes, "lax");
    return (other) => isRetracted(other, goMod);
  } catch {
    // A proven go.mod that go cannot read retracts nothing.
    return undefined;
  }
}
