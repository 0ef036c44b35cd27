import { parseInfo } from "../gomod/info.ts";
import { parseVersionList } from "../gomod/list-file.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import type { LoadGoMod } from "../gomod/requirements.ts";
import { isVersionOf, type ModuleVersion, moduleVersion, type Version } from "../gomod/version.ts";
import { isMadeUp, isRetracted } from "../gomod/version-query.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import { latestVersion } from "./latest.ts";
import type { Upstream } from "./ports.ts";

/**
 * The version that `module@latest` means at this upstream: of its list, without what the highest retracts, else its
 * `@latest` (cmd/go/internal/modload, query.go and CheckRetractions).
 * @throws MirrorError absent when the upstream has neither, or all is retracted; what loading a go.mod throws.
 */
export async function resolveLatest(
  upstream: Upstream,
  path: ModulePath,
  load: LoadGoMod,
): Promise<ModuleVersion> {
  const subject = `${path}@latest`;
  try {
    const listed = await listedOrNone(upstream, path);
    const hasGoMod = async (version: Version) => !isMadeUp(path, await load({ path, version }));
    const highest = await latestVersion(listed, hasGoMod);
    if (highest === undefined) return moduleVersion(path, parseInfo(await upstream.latest(path)).version);
    const goMod = await load({ path, version: highest });
    const kept = listed.filter((version) => !isRetracted(version, goMod));
    const best = kept.length === listed.length ? highest : await latestVersion(kept, hasGoMod);
    if (best !== undefined) return { path, version: best };
    const message = `${subject}: ${highest} retracts every version; name the one that you want`;
    throw new MirrorError("absent", subject, message);
  } catch (thrown) {
    throw asMirrorError(thrown, subject);
  }
}

/** What an upstream lists of a module, without versions that are no module's of this path. @throws as Upstream.list. */
export async function listedVersions(
  upstream: Pick<Upstream, "list">,
  path: ModulePath,
): Promise<readonly Version[]> {
  const { versions } = parseVersionList(await upstream.list(path));
  return versions.filter((version) => isVersionOf(path, version));
}

/** A module without a list may still have an `@latest`. */
async function listedOrNone(upstream: Upstream, path: ModulePath): Promise<readonly Version[]> {
  try {
    return await listedVersions(upstream, path);
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.class === "absent") return [];
    throw thrown;
  }
}
