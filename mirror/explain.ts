import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { type Block, blockOf, readBlocks } from "./blocks.ts";
import { requestsWith } from "./dependents.ts";
import { type Listing, listingOf, whyListed } from "./explain-listing.ts";
import { decideNow } from "./gate.ts";
import type { MirrorParts } from "./parts.ts";
import type { Decision } from "./policy.ts";
import type { VersionRecord } from "./records.ts";
import { earliest, type Sighting } from "./sighting.ts";
import { sightingsOf } from "./sightings.ts";

type ExplainParts = Pick<MirrorParts, "tree" | "vault" | "ledger" | "now" | "policy" | "vulnerabilities">;

/** As many requests that need a version are named. */
const MOST_REQUESTS = 20;

/** Why a version is served or not, and what would change it. Times are ms since the epoch. */
export interface Explanation {
  readonly version: ModuleVersion;
  /** Undefined where this mirror has never heard of it: then the rest says what would be. */
  readonly record: VersionRecord | undefined;
  readonly block: Block | undefined;
  /** Undefined where there is no policy. */
  readonly decision: Decision | undefined;
  /** Who has seen it, and when; the earliest counts, where the policy asks for an age. */
  readonly sightings: readonly Sighting[];
  readonly counted: Sighting | undefined;
  /** `name/time` of requests that need it, at most MOST_REQUESTS. */
  readonly requests: readonly string[];
  /** Undefined where this mirror has never heard of it. */
  readonly listing: Listing | undefined;
  /** What decided, and when or by what that changes: a line of plain English each. */
  readonly because: readonly string[];
}

/**
 * Explains one version under the policy of now: which rule decided, which sighting counted, when it changes, and what
 * the record says. Reads only, but every closure in the vault.
 */
export async function explain(parts: ExplainParts, version: ModuleVersion): Promise<Explanation> {
  const [record] = await parts.ledger.read([version]);
  const known = record ?? unheardOf(version, parts.now());
  const block = blockOf(await readBlocks(parts.ledger), version);
  const { policy } = parts;
  const sightings = policy === undefined ? [] : await sightingsOf(parts.ledger, policy, known);
  const decision = policy === undefined ? undefined : await decideNow(parts, policy, known);
  const needing = await requestsWith(parts, version, MOST_REQUESTS);
  const requests = needing.map(({ name, time }) => `${name}/${time}`);
  const listing = record && (await listingOf(parts, version, record, needing));
  const counted = policy?.age === undefined ? undefined : earliest(sightings);
  const because = [
    ...whyState(record, parts.now()),
    ...(listing === undefined ? [] : whyListed(version, listing)),
    ...whyBlocked(block),
    ...whyDecided(record, decision, parts.now()),
  ];
  return { version, record, block, decision, sightings, counted, requests, listing, because };
}

function unheardOf({ path, version }: ModuleVersion, now: number): VersionRecord {
  return {
    path,
    version,
    revision: 0,
    state: "PENDING",
    wanted: "whole",
    held: "nothing",
    wantedAt: now,
    firstSeen: now,
    wish: "",
    listed: false,
    attempts: 0,
  };
}

function whyState(record: VersionRecord | undefined, now: number): string[] {
  if (record === undefined) return ["nobody has asked this mirror for it"];
  const { state, held, wanted, rule, lastError, attempts, due } = record;
  const what =
    held === "nothing" ? "nothing of it is held" : held === "mod" ? "its go.mod is held" : "it is held whole";
  const when = due === undefined ? "" : due <= now ? "; due now" : `; due ${timeOf(due)}`;
  const lines = [
    `${state}: ${what}, ${wanted === "mod" ? "only its go.mod is" : "all of it is"} wanted${when}`,
  ];
  if (rule !== undefined) lines.push(`its record was last decided by ${rule}`);
  if (lastError !== undefined)
    lines.push(
      `last: ${lastError.class}: ${lastError.message}${attempts === 0 ? "" : ` (${attempts} attempts)`}`,
    );
  return lines;
}

function whyBlocked(block: Block | undefined): string[] {
  if (block === undefined) return [];
  const { name, by, at, reason } = block;
  return [
    `taken out by hand by ${by} at ${timeOf(at)} (block ${name}): ${reason}`,
    `changes by: modferry unblock ${name}`,
  ];
}

function whyDecided(
  record: VersionRecord | undefined,
  decision: Decision | undefined,
  now: number,
): string[] {
  if (decision === undefined)
    return record?.rule === undefined ? ["without a policy whatever is asked for comes in"] : [];
  if (record?.held === "whole") return ["it is here already: the policy decides about what comes in"];
  const counted =
    decision.sighting === undefined
      ? []
      : [`what counts for its age: ${decision.sighting.by}, ${timeOf(decision.sighting.at)}`];
  switch (decision.kind) {
    case "allow":
      return [
        decision.rule === undefined
          ? "the policy lets it in: no rule names it"
          : `the policy lets it in, by ${decision.rule}`,
        ...counted,
      ];
    case "hold":
      return [
        `the policy keeps it out, by ${decision.rule}: ${decision.reason}`,
        ...counted,
        `changes at: ${timeOf(decision.until)} (in ${hoursOf(decision.until - now)})`,
      ];
    case "deny":
      return [
        `the policy keeps it out, by ${decision.rule}: ${decision.reason}`,
        ...counted,
        `changes when: ${decision.rule} does not name it any more`,
      ];
  }
}

const timeOf = (at: number): string => `${new Date(at).toISOString().slice(0, 19)}Z`;

function hoursOf(ms: number): string {
  const hours = ms / 3_600_000;
  return hours < 48 ? `${hours.toFixed(1)} h` : `${(hours / 24).toFixed(1)} days`;
}

/** As JSON: times as text, and without what the ledger alone needs. */
export function explanationJson({
  version,
  record,
  block,
  decision,
  sightings,
  counted,
  ...rest
}: Explanation): object {
  const seen = (sighting: Sighting) => ({ by: sighting.by, at: timeOf(sighting.at) });
  const {
    revision: _revision,
    path: _path,
    version: _version,
    due,
    wantedAt,
    firstSeen,
    failingSince,
    ...facts
  } = record ?? {};
  return {
    event: "explained",
    version: formatModuleVersion(version),
    known: record !== undefined,
    ...facts,
    ...(wantedAt === undefined ? {} : { wantedAt: timeOf(wantedAt) }),
    ...(firstSeen === undefined ? {} : { firstSeen: timeOf(firstSeen) }),
    ...(failingSince === undefined ? {} : { failingSince: timeOf(failingSince) }),
    ...(due === undefined ? {} : { due: timeOf(due) }),
    ...(block === undefined
      ? {}
      : { block: { name: block.name, reason: block.reason, by: block.by, at: timeOf(block.at) } }),
    ...(decision === undefined ? {} : { decision: decisionJson(decision) }),
    sightings: sightings.map(seen),
    ...(counted === undefined ? {} : { counted: seen(counted) }),
    ...rest,
  };
}

function decisionJson(decision: Decision): object {
  const { sighting: _sighting, ...rest } = decision;
  return rest.kind === "hold" ? { ...rest, until: timeOf(rest.until) } : rest;
}
