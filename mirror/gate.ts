import type { H1 } from "../gomod/dirhash.ts";
import { parseGoMod } from "../gomod/go-mod.ts";
import { compareVersions, formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { isRetracted, latestOf } from "../gomod/version-query.ts";
import { blockOf, freshBlocks, refusalOfBlock } from "./blocks.ts";
import { MirrorError } from "./errors.ts";
import { fetchVersion } from "./fetch.ts";
import { type Fetched, fetched } from "./fetched-record.ts";
import type { MirrorParts } from "./parts.ts";
import { claimOf, isPinned } from "./pin-claim.ts";
import { type Decision, decide, type Facts, type Policy } from "./policy.ts";
import { COOLDOWN, LARGEST_ZIP, RETRACTED } from "./policy-settings.ts";
import { noteRefusing } from "./policy-sweep.ts";
import { unprovenBy } from "./prove-version.ts";
import { covers, type VersionRecord } from "./records.ts";
import { type Refusal, refusalOf } from "./refusal.ts";
import { sightingsOf } from "./sightings.ts";
import { LARGEST_GO_MOD } from "./store-files.ts";
import { modKey } from "./tree-keys.ts";

type GateParts = Pick<
  MirrorParts,
  "tree" | "ledger" | "upstream" | "zips" | "databasesFor" | "now" | "policy" | "vulnerabilities"
>;

/** What one unit of work has fetched of a version, and why it has no zip. */
export interface Passed {
  readonly added: Fetched;
  readonly bytes: number;
  readonly refusal: Refusal | undefined;
}

/**
 * Fetches what is wanted of a version and not held, as far as blocks and policy let it in. They decide about zips
 * alone: of what they refuse, `.mod`, `.info` and lookup are fetched, proven and stored all the same, since one refusal
 * of these breaks every build that only reads them (facts: go-client). Where the first look refuses, these come before
 * the second one, for they may show that the version is old enough: so a version that passes at once costs no more
 * round trips than without a policy.
 * @throws MirrorError as fetchVersion; transient where the policy asks for vulnerabilities and there are none to be had.
 */
export async function fetchAllowed(parts: GateParts, record: VersionRecord): Promise<Passed> {
  const passed = await fetchAsAllowed(parts, record);
  if (passed.refusal !== undefined && passed.refusal.state !== "BLOCKED") await noteRefusing(parts);
  return passed;
}

async function fetchAsAllowed(parts: GateParts, record: VersionRecord): Promise<Passed> {
  const wantsZip = record.wanted === "whole" && record.held !== "whole";
  if (!wantsZip) return { ...(await fetchVersion(parts, record)), refusal: undefined };
  const first = await judge(parts, record);
  if (first === undefined) {
    try {
      return await fetchWhole(parts, record);
    } catch (thrown) {
      // Its size is known only now.
      if (!(thrown instanceof TooLarge)) throw thrown;
      return tooLarge(await fetchSmall(parts, record), thrown);
    }
  }
  const small = await fetchSmall(parts, record);
  const known = fetched(record, small.added, parts.now());
  const { lastError } = record;
  const second = await judge(parts, { ...known, ...(lastError && { lastError }), state: "PENDING" });
  const claim = second === undefined ? undefined : unprovenClaim(parts, known, second);
  if (second !== undefined && claim === undefined) return { ...small, refusal: second };
  try {
    const { added, bytes } = await fetchWhole(parts, known, claim);
    return { added: { ...small.added, ...added }, bytes: small.bytes + bytes, refusal: undefined };
  } catch (thrown) {
    if (thrown instanceof TooLarge) return tooLarge(small, thrown);
    if (thrown instanceof NotAsClaimed && second !== undefined) return { ...small, refusal: second };
    throw thrown;
  }
}

/**
 * Where no checksum database covers the path, go.sum is the only other witness of the zip: what it claims counts where
 * upstream's bytes agree, which is looked at before any of them is stored. Then the pin's author has had these bytes, as
 * the exemption means it.
 * @returns the claim, where nothing but its age keeps the version out.
 */
function unprovenClaim(parts: GateParts, record: VersionRecord, { rule }: Refusal): H1 | undefined {
  const { policy } = parts;
  const claim = claimOf(record);
  const isOnlyYoung = rule === COOLDOWN && policy?.settings.cooldown?.exempt === "gosum";
  return isOnlyYoung && parts.databasesFor(record.path).length === 0 ? claim : undefined;
}

/** The zip is not the one that a request's go.sum claims it to be. */
class NotAsClaimed extends MirrorError {
  constructor(version: ModuleVersion, claim: H1, h1: H1) {
    const subject = formatModuleVersion(version);
    super("denied", subject, `${subject}: a go.sum claims ${claim}, and upstream sends ${h1}`);
  }
}

/** The zip has more bytes than the policy allows. */
class TooLarge extends MirrorError {
  readonly refusal: Refusal;
  readonly zipSize: number;

  constructor(version: ModuleVersion, refusal: Refusal, zipSize: number) {
    super("denied", formatModuleVersion(version), refusal.reason);
    this.refusal = refusal;
    this.zipSize = zipSize;
  }
}

/** Its size is noted, so that asking again needs no zip. */
function tooLarge(small: Omit<Passed, "refusal">, { refusal, zipSize }: TooLarge): Passed {
  return { bytes: small.bytes, added: { ...small.added, zipSize }, refusal };
}

/** @param claim what the zip's hash has to be, where nothing else has proven it. */
async function fetchWhole(parts: GateParts, record: VersionRecord, claim?: H1): Promise<Passed> {
  const checkSize = (zipSize: number) => {
    if (parts.policy === undefined) return;
    const facts = {
      version: record,
      zipSize,
      vulnerabilities: [],
      sightings: [],
      pinned: true,
      wasHeld: false,
    };
    const refusal = refusalOf(decide(parts.policy, facts, parts.now()));
    if (refusal?.rule === LARGEST_ZIP) throw new TooLarge(record, refusal, zipSize);
  };
  const checkHash = (h1: H1) => {
    if (claim !== undefined && h1 !== claim) throw new NotAsClaimed(record, claim, h1);
  };
  const { added, bytes } = await fetchVersion(parts, record, { checkSize, checkHash });
  return { added, bytes, refusal: undefined };
}

/** Without the zip. */
async function fetchSmall(
  parts: GateParts,
  record: VersionRecord,
): Promise<{ readonly added: Fetched; readonly bytes: number }> {
  const proven = unprovenBy(record, parts.databasesFor(record.path)).length === 0;
  if (covers(record.held, "mod") && record.infoSha256 !== undefined && proven)
    return { added: { held: record.held }, bytes: 0 };
  const { added, bytes } = await fetchVersion(parts, record, { withZip: false });
  return { added, bytes };
}

/** Why the version's zip stays out, as far as is known; undefined where it may come in. */
async function judge(parts: GateParts, record: VersionRecord): Promise<Refusal | undefined> {
  const block = blockOf(await freshBlocks(parts.ledger, parts.now), record);
  if (block !== undefined) return refusalOfBlock(block);
  if (parts.policy === undefined) return undefined;
  return refusalOf(await decideNow(parts, parts.policy, record));
}

/** What the policy says of a version now, and by which facts. Reads only. */
export async function decideNow(
  parts: Pick<MirrorParts, "tree" | "ledger" | "now" | "vulnerabilities">,
  policy: Policy,
  record: VersionRecord,
): Promise<Decision> {
  const { cooldown, vulnerabilities } = policy.settings;
  // A claim stands where the rule stood that kept it out.
  const wasClaimed = claimOf(record) !== undefined && record.lastError?.class === "denied";
  const wasHeld = record.rule === COOLDOWN || record.rule === RETRACTED || wasClaimed;
  const facts: Facts = {
    version: record,
    zipSize: record.zipSize,
    vulnerabilities: vulnerabilities === undefined ? [] : await vulnerabilitiesOf(parts, record),
    sightings: cooldown === undefined ? [] : await sightingsOf(parts.ledger, policy, record),
    pinned: isPinned(record),
    wasHeld,
  };
  const now = parts.now();
  const decision = decide(policy, facts, now);
  // Only these ask whether the module has taken it back, so only they read the module's other versions.
  if (cooldown === undefined || (decision.kind !== "hold" && !(wasHeld && decision.kind === "allow")))
    return decision;
  return decide(policy, { ...facts, retracted: await retractionOf(parts, record) }, now);
}

async function vulnerabilitiesOf(
  { vulnerabilities }: Pick<MirrorParts, "vulnerabilities">,
  record: VersionRecord,
): Promise<Facts["vulnerabilities"]> {
  if (vulnerabilities !== undefined) return await vulnerabilities.of(record);
  const subject = formatModuleVersion(record);
  throw new MirrorError(
    "transient",
    subject,
    `${subject}: the policy asks for known vulnerabilities, and this mirror holds no vulnerability database yet`,
  );
}

/**
 * Whether the highest version that is known of the module retracts this one. The highest itself is never kept out for
 * that: it carries the retractions.
 */
async function retractionOf(
  { tree, ledger }: Pick<MirrorParts, "tree" | "ledger">,
  record: VersionRecord,
): Promise<Facts["retracted"]> {
  const known = (await ledger.readModule(record.path)).filter(({ held }) => held !== "nothing");
  const versions = known.map(({ version }) => version);
  // As cmd/go chooses whose retractions count (modload, queryLatestVersionIgnoringRetractions).
  const highest = await latestOf(versions, async () => true);
  if (highest === undefined || compareVersions(highest, record.version) <= 0) return undefined;
  const stored = await tree.get(modKey({ path: record.path, version: highest }), LARGEST_GO_MOD);
  if (stored === undefined) return undefined;
  try {
    const goMod = parseGoMod(`${highest}.mod`, stored.bytes, "lax");
    if (!isRetracted(record.version, goMod)) return undefined;
    const named = goMod.retract.find((retraction) => isRetracted(record.version, { retract: [retraction] }));
    return { by: highest, rationale: named?.rationale ?? "" };
  } catch {
    // Go itself will say what is wrong with that go.mod.
    return undefined;
  }
}
