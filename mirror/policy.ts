import { matchPrefixPatterns } from "../gomod/path-pattern.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { parseVersionRange, type VersionRange } from "../gomod/version-range.ts";
import { sha256Of } from "./body.ts";
import { milliseconds } from "./duration.ts";
import { COOLDOWN, LARGEST_ZIP, type PolicySettings, RETRACTED, VULNERABILITIES } from "./policy-settings.ts";
import { PINNED } from "./records.ts";
import { earliest, type Sighting } from "./sighting.ts";
import { affects, describeVulnerability, type Vulnerability } from "./vulnerability.ts";

export { type PolicySettings, policyShape } from "./policy-settings.ts";

interface Rule {
  readonly name: string;
  readonly decides: "allow" | "deny";
  readonly globs: string;
  readonly versions: VersionRange | undefined;
  readonly reason: string;
}

/** A policy that is ready to decide. */
export interface Policy {
  readonly settings: PolicySettings;
  readonly rules: readonly Rule[];
  /** Of the cooldown, in ms. */
  readonly age: number | undefined;
  readonly accepted: ReadonlySet<string>;
  /** The same for two policies that decide the same. */
  readonly digest: string;
}

export function makePolicy(settings: PolicySettings): Policy {
  return {
    settings,
    rules: settings.rules.map(({ name, allow, deny = [], versions, reason = "" }) => ({
      name,
      decides: allow === undefined ? "deny" : "allow",
      globs: (allow ?? deny).join(","),
      versions: versions === undefined ? undefined : parseVersionRange(versions),
      reason,
    })),
    age: settings.cooldown && milliseconds(settings.cooldown.age),
    accepted: new Set(settings.vulnerabilities?.accepted),
    digest: sha256Of(Buffer.from(JSON.stringify(settings))),
  };
}

/** What is known of a version when it is decided upon. */
export interface Facts {
  readonly version: ModuleVersion;
  /** Once it is there. */
  readonly zipSize?: number | undefined;
  /** Entries of the module, affected or not. */
  readonly vulnerabilities: readonly Vulnerability[];
  readonly sightings: readonly Sighting[];
  /** A request's go.sum pins it. */
  readonly pinned: boolean;
  /** The cooldown has kept it out before. */
  readonly wasHeld: boolean;
  /** The highest version known of the module retracts it: that version, and why it says so. */
  readonly retracted?: { readonly by: string; readonly rationale: string } | undefined;
}

/** What a policy makes of a version; `rule` names what decided, absent where nothing spoke of it. */
export type Decision =
  | { readonly kind: "allow"; readonly rule?: string; readonly sighting?: Sighting }
  | {
      readonly kind: "hold";
      readonly rule: string;
      readonly reason: string;
      /** Milliseconds since the epoch. */
      readonly until: number;
      readonly sighting: Sighting | undefined;
    }
  | { readonly kind: "deny"; readonly rule: string; readonly reason: string; readonly sighting?: Sighting };

/**
 * Decides about a version's zip and its place in lists. The first of the rules that names it decides; else it stays out
 * for its size, then for a known vulnerability, then for its age. `.mod`, `.info` and lookups are never withheld.
 * @param now ms since the epoch.
 */
export function decide(policy: Policy, facts: Facts, now: number): Decision {
  const rule = policy.rules.find(
    ({ globs, versions }) =>
      matchPrefixPatterns(globs, facts.version.path) && (versions?.has(facts.version.version) ?? true),
  );
  if (rule?.decides === "allow") return { kind: "allow", rule: rule.name };
  if (rule !== undefined) return { kind: "deny", rule: rule.name, reason: rule.reason };
  return decideSize(policy, facts) ?? decideVulnerable(policy, facts) ?? decideAge(policy, facts, now);
}

function decideSize({ settings }: Policy, { zipSize, version }: Facts): Decision | undefined {
  const { largestZip } = settings;
  if (largestZip === undefined || zipSize === undefined || zipSize <= largestZip) return undefined;
  const reason = `${formatModuleVersion(version)}: its zip has ${zipSize} bytes, more than the ${largestZip} allowed`;
  return { kind: "deny", rule: LARGEST_ZIP, reason };
}

function decideVulnerable(policy: Policy, { version, vulnerabilities }: Facts): Decision | undefined {
  if (policy.settings.vulnerabilities === undefined) return undefined;
  const found = vulnerabilities.filter((entry) => !policy.accepted.has(entry.id) && affects(entry, version));
  const [first] = found;
  if (first === undefined) return undefined;
  const more = found.length === 1 ? "" : ` (and ${found.length - 1} more)`;
  return { kind: "deny", rule: VULNERABILITIES, reason: `${describeVulnerability(first, version)}${more}` };
}

function decideAge(policy: Policy, facts: Facts, now: number): Decision {
  const { age, settings } = policy;
  if (age === undefined || settings.cooldown === undefined) return { kind: "allow" };
  if (facts.pinned && settings.cooldown.exempt === "gosum") return { kind: "allow", rule: PINNED };
  const sighting = earliest(facts.sightings);
  // Never seen by anyone: then it is seen now.
  const until = (sighting?.at ?? now) + age;
  const young = until > now;
  if ((young || facts.wasHeld) && facts.retracted !== undefined) {
    const { by, rationale } = facts.retracted;
    const why = rationale === "" ? "" : `: ${rationale.replace(/[\p{Cc}\s]+/gu, " ").slice(0, 200)}`;
    const reason = `retracted by ${by} while it was kept out for its age${why}`;
    return { kind: "deny", rule: RETRACTED, reason, ...(sighting && { sighting }) };
  }
  if (!young) return { kind: "allow", rule: COOLDOWN, ...(sighting && { sighting }) };
  const seen =
    sighting === undefined
      ? "not seen before"
      : `first seen ${new Date(sighting.at).toISOString()} (${sighting.by})`;
  const reason = `younger than ${settings.cooldown.age}: ${seen}`;
  return { kind: "hold", rule: COOLDOWN, reason, until, sighting };
}
