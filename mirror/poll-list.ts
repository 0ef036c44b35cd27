import type { IndexStamp } from "../gomod/index-stamp.ts";
import { parseInfo } from "../gomod/info.ts";
import { parseVersionList } from "../gomod/list-file.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import { TOOLCHAIN_MODULE } from "../gomod/toolchain-version.ts";
import { isVersionOf, moduleVersion, type Version } from "../gomod/version.ts";
import { latestOf } from "../gomod/version-query.ts";
import { MirrorError } from "./errors.ts";
import type { FeedTick } from "./feed.ts";
import type { Root } from "./feed-roots.ts";
import { type Selected, selectRoots } from "./feed-selection.ts";
import type { MirrorParts } from "./parts.ts";
import { selectedToolchains } from "./subscription.ts";

/** What an upstream says of a module. */
export interface Listed {
  readonly versions: readonly Version[];
  /** RFC 3339 as far as it is; most lists have none. */
  readonly times: ReadonlyMap<Version, string>;
  /** What `@latest` names, of a module whose list is empty. */
  readonly latest?: Version;
}

/** @throws MirrorError as Upstream.list; absent only where there is no `@latest` either. */
export async function readList(
  { upstream }: Pick<MirrorParts, "upstream">,
  path: ModulePath,
): Promise<Listed> {
  let absence: MirrorError | undefined;
  let listed: Listed = { versions: [], times: new Map() };
  try {
    const { versions, times } = parseVersionList(await upstream.list(path));
    listed = { versions: versions.filter((version) => isVersionOf(path, version)), times };
  } catch (thrown) {
    if (!(thrown instanceof MirrorError) || thrown.class !== "absent") throw thrown;
    absence = thrown;
  }
  if (listed.versions.length > 0) return listed;
  try {
    const { version } = parseInfo(await upstream.latest(path));
    return { ...listed, latest: moduleVersion(path, version).version };
  } catch (thrown) {
    // A list without versions and no @latest is a module without versions.
    if (absence === undefined && thrown instanceof MirrorError && thrown.class === "absent") return listed;
    throw absence ?? thrown;
  }
}

/** What of a list is wanted. `isPart`: more of it is wanted as soon as the highest version is held. */
export async function selectPolled(
  tick: FeedTick,
  path: ModulePath,
  listed: Listed,
  stamp: IndexStamp,
): Promise<Selected & { readonly isPart: boolean }> {
  const { parts, subscriptions } = tick;
  if (path === TOOLCHAIN_MODULE)
    return { roots: toolchainRoots(tick, listed.versions, stamp), later: [], latest: [], isPart: false };
  const subscription = subscriptions.of(path);
  if (subscription === undefined) return { roots: [], later: [], latest: [], isPart: false };
  // A module with pseudo-versions alone has nothing else that could be wanted of it.
  if (listed.latest !== undefined) {
    const root = { version: { path, version: listed.latest }, stamp, follow: subscription.follow };
    return { roots: [root], later: [], latest: [], isPart: false };
  }
  let versions = listed.versions;
  let isPart = false;
  if (subscription.retracted === "skip" && subscription.versions !== "latest") {
    const highest = await latestOf(versions, async () => true);
    if (highest !== undefined && (await isAwaited(parts, path, highest))) {
      // It says what is retracted: it comes first, and the others by the next tick.
      isPart = versions.length > 1;
      versions = [highest];
      if (!subscriptions.takes(subscription, highest))
        return {
          roots: [{ version: { path, version: highest }, stamp, follow: "none" }],
          later: [],
          latest: [],
          isPart,
        };
    }
  }
  const entries = versions.map((version) => ({ version: { path, version }, stamp }));
  const selected = await selectRoots(parts, subscriptions, entries);
  return { ...selected, isPart: isPart || selected.later.length > 0 };
}

/** Whether its go.mod is not held yet and may still come. */
async function isAwaited(
  { ledger }: Pick<MirrorParts, "ledger">,
  path: ModulePath,
  version: Version,
): Promise<boolean> {
  const [record] = await ledger.read([{ path, version }]);
  if (record === undefined) return true;
  return record.held === "nothing" && (record.state === "PENDING" || record.state === "FAILED");
}

function toolchainRoots(
  { subscriptions }: FeedTick,
  versions: readonly Version[],
  stamp: IndexStamp,
): Root[] {
  return [...selectedToolchains(subscriptions, versions)].map((version) => ({
    version: { path: TOOLCHAIN_MODULE, version },
    stamp,
    follow: "none",
  }));
}
