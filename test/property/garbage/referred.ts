import { compareVersions, parseModuleVersion } from "../../../gomod/version.ts";
import { closureByHand, type Made } from "../../mirror/made-upstream.ts";

/** A request as the harness knows it: nothing of this is read from the mirror. */
export interface HandedIn {
  readonly name: string;
  readonly time: string;
  /** True time, in ms. */
  readonly at: number;
  /** `module@version`: roots with their closures, or as they stand. */
  readonly wishes: readonly string[];
  readonly exact: readonly string[];
}

export type Extents = Map<string, "mod" | "whole">;

/** What a request needs, computed from how the modules were made. */
export function needsByHand(
  made: ReadonlyMap<string, Made>,
  request: Pick<HandedIn, "wishes" | "exact">,
): Extents {
  const needs: Extents = new Map();
  for (const wish of request.wishes) addAll(needs, closureByHand(made, wish));
  for (const name of request.exact) add(needs, name, "whole");
  return needs;
}

export function addAll(needs: Extents, more: ReadonlyMap<string, "mod" | "whole">): void {
  for (const [name, extent] of more) add(needs, name, extent);
}

export function add(needs: Extents, name: string, extent: "mod" | "whole"): void {
  if (needs.get(name) !== "whole") needs.set(name, extent);
}

/**
 * All that is kept where these are needed and lists name those: what is whole and listed keeps its closure; then of each
 * module of which anything is whole, the highest version of what is whole or listed, where it is listed; and so on. On
 * its own: by sets, until nothing changes.
 */
export function closedByHand(
  made: ReadonlyMap<string, Made>,
  needed: ReadonlyMap<string, "mod" | "whole">,
  listed: ReadonlySet<string>,
): Extents {
  const kept: Extents = new Map(needed);
  for (;;) {
    const before = print(kept);
    for (;;) {
      const inner = print(kept);
      for (const [name, extent] of [...kept])
        if (extent === "whole" && listed.has(name)) addAll(kept, closureByHand(made, name));
      if (print(kept) === inner) break;
    }
    const whole = [...kept].filter(([, extent]) => extent === "whole").map(([name]) => name);
    for (const path of new Set(whole.map(pathOf))) {
      const all = [...whole, ...listed].filter((name) => pathOf(name) === path);
      const highest = all.sort((a, b) => compareVersions(versionOf(a), versionOf(b))).at(-1);
      if (highest !== undefined && listed.has(highest)) add(kept, highest, "whole");
    }
    if (print(kept) === before) return kept;
  }
}

const pathOf = (name: string) => parseModuleVersion(name).path;
const versionOf = (name: string) => parseModuleVersion(name).version;

function print(extents: Extents): string {
  return [...extents]
    .map(([name, extent]) => `${name} ${extent}`)
    .sort()
    .join("\n");
}
