import { z } from "zod";
import { compareGoVersions } from "../gomod/go-version.ts";
import { type ModulePath, modulePath } from "../gomod/module-path.ts";
import { matchPrefixPatterns } from "../gomod/path-pattern.ts";
import { isPseudoVersion } from "../gomod/pseudo-version.ts";
import { prerelease } from "../gomod/semver.ts";
import {
  isGoRelease,
  parseGoRange,
  parseToolchainVersion,
  TOOLCHAIN_MODULE,
} from "../gomod/toolchain-version.ts";
import type { Version } from "../gomod/version.ts";
import { parseVersionRange, type VersionRange } from "../gomod/version-range.ts";
import { parsedBy, pathPattern } from "./configuration-field.ts";

/** How far a root's module graph is followed: not at all, or as a request of that tier does. */
export const follow = z.enum(["none", "build", "tidy", "upgrade"]);
export type Follow = z.output<typeof follow>;

/** As many patterns and subscriptions as a configuration may hold: each version of a feed is held against them. */
const MOST_PATTERNS = 1_000;
const MOST_SUBSCRIPTIONS = 1_000;

/** A standing wish for modules. */
export const moduleSubscription = z.strictObject({
  /** GOPRIVATE patterns: `corp.example`, `*.corp.example/team`, `github.com/org/*`; each also matches what lies below. */
  modules: z.array(pathPattern).min(1).max(MOST_PATTERNS),
  /**
   * `latest`: whatever is the module's latest as go has it; `all`: every version; or a range, such as
   * `>=v1.2.0 <v2.0.0 || v3` (gomod/version-range.ts).
   */
  versions: parsedBy((text) =>
    text === "latest" || text === "all" ? undefined : parseVersionRange(text),
  ).default("latest"),
  /** Whether pre-releases are taken. Left out: of `all` yes, of a range no; `latest` has them as go does. */
  prereleases: z.boolean().optional(),
  /** Whether pseudo-versions are, which no list names and an index has many of; `latest` has them as go does. */
  pseudoVersions: z.boolean().default(false),
  /** `skip`: not what the module's highest version retracts; that one is always taken, for it says so. */
  retracted: z.enum(["keep", "skip"]).default("keep"),
  follow: follow.default("tidy"),
});

/** A standing wish for Go toolchains, as go itself downloads them (golang.org/toolchain). */
export const toolchainSubscription = z.strictObject({
  toolchains: z.strictObject({
    /** GOOS-GOARCH. */
    platforms: z
      .array(z.string().regex(/^[a-z0-9]+-[a-z0-9]+$/, "give GOOS-GOARCH, such as linux-amd64"))
      .min(1)
      .max(100),
    /** `latest`, or a range, such as `>=1.22 <1.24 || 1.25` (gomod/toolchain-version.ts). */
    go: parsedBy((text) => (text === "latest" ? undefined : parseGoRange(text))),
    /** Whether betas and release candidates are taken. */
    prereleases: z.boolean().default(false),
  }),
});

/** Of those that match a module the first one decides. */
export const subscriptions = z
  .array(z.union([moduleSubscription, toolchainSubscription]))
  .max(MOST_SUBSCRIPTIONS)
  .default([]);

export type ModuleSubscription = z.output<typeof moduleSubscription>;
export type ToolchainSubscription = z.output<typeof toolchainSubscription>;
export type Subscription = ModuleSubscription | ToolchainSubscription;

/** Paths whose subscription is remembered; a day of an index names some 30,000. */
const MOST_REMEMBERED = 100_000;

/** A configuration's subscriptions, made ready to be asked for many versions. */
export class Subscriptions {
  /** The same for the same subscriptions: whether what was decided before still counts. */
  readonly fingerprint: string;
  readonly toolchains: readonly ToolchainSubscription["toolchains"][];
  readonly #modules: readonly ModuleSubscription[];
  readonly #ranges = new Map<string, VersionRange>();
  readonly #known = new Map<ModulePath, ModuleSubscription | undefined>();

  constructor(list: readonly Subscription[]) {
    this.fingerprint = JSON.stringify(list);
    this.toolchains = list.flatMap((entry) => ("toolchains" in entry ? [entry.toolchains] : []));
    this.#modules = list.flatMap((entry) => ("modules" in entry ? [entry] : []));
    for (const { versions } of this.#modules)
      if (versions !== "latest" && versions !== "all")
        this.#ranges.set(versions, parseVersionRange(versions));
  }

  /** What is wanted of a module; undefined where nothing is. Toolchains are no module's: see `toolchains`. */
  of(path: ModulePath): ModuleSubscription | undefined {
    if (path === TOOLCHAIN_MODULE) return undefined;
    if (this.#known.has(path)) return this.#known.get(path);
    const found = this.#modules.find(({ modules }) =>
      modules.some((glob) => matchPrefixPatterns(glob, path)),
    );
    if (this.#known.size >= MOST_REMEMBERED) this.#known.clear();
    this.#known.set(path, found);
    return found;
  }

  /** Whether a subscription that does not ask for `latest` takes this version, whatever is retracted. */
  takes(subscription: ModuleSubscription, version: Version): boolean {
    if (isPseudoVersion(version)) {
      if (!subscription.pseudoVersions) return false;
    } else if (prerelease(version) !== "") {
      if (!(subscription.prereleases ?? subscription.versions === "all")) return false;
    }
    if (subscription.versions === "all" || subscription.versions === "latest") return true;
    return this.#ranges.get(subscription.versions)?.has(version) ?? false;
  }

  /** The modules that are named outright: a pattern without a glob's characters that is a module path. */
  exactPaths(): ModulePath[] {
    const paths = new Set<ModulePath>();
    for (const { modules } of this.#modules)
      for (const glob of modules) {
        const path = exactPath(glob);
        // An earlier subscription may have the last word on it; then it is polled for that one.
        if (path !== undefined) paths.add(path);
      }
    return [...paths];
  }
}

function exactPath(glob: string): ModulePath | undefined {
  if (/[*?[\]\\]/.test(glob)) return undefined;
  try {
    return modulePath(glob.replace(/\/$/, ""));
  } catch {
    return undefined;
  }
}

/** Which of the toolchains that a list names a subscription takes. */
function takesToolchain(
  { platforms, go, prereleases }: ToolchainSubscription["toolchains"],
  { go: version, platform }: { readonly go: string; readonly platform: string },
): boolean {
  if (!platforms.includes(platform) || !(prereleases || isGoRelease(version))) return false;
  return go === "latest" || parseGoRange(go).has(version);
}

/** The versions of golang.org/toolchain that subscriptions select: of `latest`, all files of the newest Go that is there. */
export function selectedToolchains(subscriptions: Subscriptions, versions: readonly Version[]): Set<Version> {
  const named = versions.flatMap((version) => {
    const toolchain = parseToolchainVersion(version);
    return toolchain === undefined ? [] : [{ version, ...toolchain }];
  });
  const selected = new Set<Version>();
  for (const subscription of subscriptions.toolchains) {
    const taken = named.filter((toolchain) => takesToolchain(subscription, toolchain));
    const newest = taken
      .map(({ go }) => go)
      .sort(compareGoVersions)
      .at(-1);
    for (const { version, go } of taken)
      if (subscription.go !== "latest" || go === newest) selected.add(version);
  }
  return selected;
}
