import { formatModuleVersion, type ModuleVersion } from "../../gomod/version.ts";
import type { MirrorParts } from "../parts.ts";
import type { VersionRecord } from "../records.ts";
import { updateRecords } from "../update.ts";
import type { SurplusVersion } from "./garbage-list.ts";
import { putBackOnLists, takeOffLists, waitAnew } from "./off-list.ts";
import type { References } from "./references.ts";
import { isSurplus, type Needed, removing } from "./removal.ts";

type SweepParts = Pick<MirrorParts, "tree" | "ledger" | "now" | "report">;

/** What became of some lines of a list. */
export interface Swept {
  readonly removing: number;
  /** Needed again by now, wanted meanwhile, or not as the list has it. */
  readonly spared: number;
}

/**
 * Begins to collect some versions of a list: each is looked at once more under the references of this run, and is taken
 * only where nobody has wanted it since the list was written.
 */
export async function sweepVersions(
  parts: SweepParts,
  references: References,
  lines: readonly SurplusVersion[],
): Promise<Swept> {
  const byName = new Map(lines.map((line) => [formatModuleVersion(line.version), line]));
  const begun = await beginRemoval(
    parts,
    lines.map(({ version }) => version),
    (record) => {
      const line = byName.get(formatModuleVersion(record));
      return line === undefined ? undefined : neededOfLine(record, line, references);
    },
  );
  // What a run that died here has taken off a list although somebody had it back; few are spared.
  if (begun < lines.length)
    await putBackOnLists(
      parts,
      lines.map(({ version }) => version),
    );
  return { removing: begun, spared: lines.length - begun };
}

/** A batch goes off its lists within seconds, in ms: where it took longer its records say too early since when it is off. */
const LISTS_TAKE = 10_000;

/** How much of it stays; undefined where it is not to be collected by this line. */
function neededOfLine(
  record: VersionRecord,
  line: SurplusVersion,
  { marks }: References,
): Exclude<Needed, "whole"> | undefined {
  // Wanted since the list was written (mirror/dispatch.ts moves it then), whatever for.
  if (record.wantedAt !== line.wantedAt) return undefined;
  const needed = marks.of(record);
  if (needed === "whole") return undefined;
  // Never more than the list says that was reviewed.
  return line.keeps === "mod" ? "mod" : needed;
}

/**
 * Begins to collect versions: the record says REMOVING, from when on no root that needs it is listed and whoever wants it
 * takes it back; then it goes off its list and `@latest`. Its files stay, until garbage collection takes them out
 * (delete-files.ts). A crash between the two leaves it in the list with all of its files; whoever takes them out looks
 * first.
 * @param neededOf what of it stays; undefined leaves the version as it is.
 * @returns how many were begun by this call.
 */
export async function beginRemoval(
  parts: SweepParts,
  versions: readonly ModuleVersion[],
  neededOf: (record: VersionRecord) => Exclude<Needed, "whole"> | undefined,
): Promise<number> {
  const taken = new Set<string>();
  await updateRecords(
    parts.ledger,
    versions,
    (record) => {
      if (record === undefined) return undefined;
      const name = formatModuleVersion(record);
      taken.delete(name);
      const needed = neededOf(record);
      if (needed === undefined || !isSurplus(record, needed)) return undefined;
      taken.add(name);
      return removing(record, needed, parts.now());
    },
    (record) => ({
      event: "removed",
      version: { path: record.path, version: record.version },
      at: record.removal?.since ?? parts.now(),
    }),
  );
  const begun = versions.filter((version) => taken.has(formatModuleVersion(version)));
  const from = parts.now();
  await takeOffLists(parts, begun);
  // On a desk a machine may sleep here, and nothing ends a run by then: whoever has read a list until now goes by it.
  if (parts.now() - from > LISTS_TAKE) await waitAnew(parts, begun);
  for (const version of begun) parts.report({ event: "removing", version });
  return begun.length;
}
