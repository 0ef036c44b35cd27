import { isPseudoVersion } from "../gomod/pseudo-version.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { readClosure } from "./closure-file.ts";
import { MirrorError } from "./errors.ts";
import { isHeld, recordsOf } from "./missing.ts";
import type { RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import type { Extent, State, VersionRecord } from "./records.ts";

/** Something that a version's own closure needs, and that cannot be built upon now. */
export interface Lacking {
  /** `module@version`. */
  readonly version: string;
  readonly extent: Extent;
  /** Undefined where there is no record of it. */
  readonly state: State | undefined;
  readonly reason: string | undefined;
}

/** Whether lists name a version, and if not, what keeps it off them. */
export interface Listing {
  readonly listed: boolean;
  /** Whether some request closes it as a root, which alone is listed. */
  readonly isRoot: boolean;
  /** What its closure lacks; by the request that lacks least. */
  readonly lacking: readonly Lacking[];
}

/** As many that are lacking are named. */
const MOST_NAMED = 5;

/** @param requests those whose closure has it. Reads only. */
export async function listingOf(
  parts: Pick<MirrorParts, "vault" | "ledger">,
  version: ModuleVersion,
  record: VersionRecord | undefined,
  requests: readonly RequestKey[],
): Promise<Listing> {
  if (record?.listed === true) return { listed: true, isRoot: true, lacking: [] };
  const name = formatModuleVersion(version);
  let least: readonly Lacking[] | undefined;
  for (const request of requests) {
    const needs = await needsOf(parts, request, name);
    if (needs === undefined) continue;
    const records = await recordsOf(parts, needs);
    const lacking = needs
      .filter((need) => !isHeld(need, records))
      .map(({ version: needed, extent }): Lacking => {
        const subject = formatModuleVersion(needed);
        const { state, lastError } = records.get(subject) ?? {};
        return { version: subject, extent, state, reason: lastError?.message };
      });
    if (least === undefined || lacking.length < least.length) least = lacking;
  }
  return { listed: false, isRoot: least !== undefined, lacking: least ?? [] };
}

/** Of the version as a root of a request; undefined where it is none. */
async function needsOf(parts: Pick<MirrorParts, "vault">, request: RequestKey, name: string) {
  try {
    const { roots } = await readClosure(parts.vault, request);
    return roots.find(({ root }) => formatModuleVersion(root) === name)?.needs;
  } catch (thrown) {
    // One that is gone or damaged is written anew when its request is resolved again.
    if (thrown instanceof MirrorError && thrown.class === "malformed") return undefined;
    throw thrown;
  }
}

/** A line of plain English each. */
export function whyListed(version: ModuleVersion, { listed, isRoot, lacking }: Listing): string[] {
  const name = formatModuleVersion(version);
  if (listed)
    return isPseudoVersion(version.version)
      ? ["listed: @latest may name it; @v/list names no pseudo-version"]
      : ["listed: @v/list names it"];
  if (!isRoot)
    return [
      `not listed: other modules need it, and nobody has asked for it as a root; \`modferry sync ${name}\` does`,
    ];
  if (lacking.length === 0)
    return [
      "not listed yet: all that its closure needs is held, and its request lists it when it is looked at next",
    ];
  // Why it is not here itself stands beside this.
  const needs = lacking.filter((one) => one.version !== name);
  if (needs.length === 0) return ["not listed: it is not held whole itself"];
  const [first, ...others] = needs.map(sayLacking);
  const more = needs.length - MOST_NAMED;
  return [
    `not listed: of what it needs ${needs.length === 1 ? "one is" : `${needs.length} are`} missing: ${first}`,
    ...others.slice(0, MOST_NAMED - 1).map((line) => `  and ${line}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

function sayLacking({ version, extent, state, reason }: Lacking): string {
  const said = reason?.startsWith(`${version}: `) ? reason.slice(version.length + 2) : reason;
  const what = extent === "mod" ? " (its go.mod)" : "";
  return `${version}${what}: ${state ?? "not recorded yet"}${said === undefined ? "" : `: ${said}`}`;
}
