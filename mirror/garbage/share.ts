import type { SurplusVersion } from "./garbage-list.ts";
import type { References } from "./references.ts";
import type { GarbageSettings } from "./settings.ts";

/** What a list comes to. `share`: of all that is held, of versions or of bytes, whichever is more, from 0 to 1. */
export interface Totals {
  readonly versions: number;
  readonly bytes: number;
  readonly share: number;
}

/** Records that hold nothing are no part of the share: they cost nothing, and can come again. */
export function totalsOf(versions: readonly SurplusVersion[], { held }: Pick<References, "held">): Totals {
  const bytes = versions.reduce((sum, version) => sum + version.bytes, 0);
  const holding = versions.filter((version) => version.bytes > 0).length;
  const share = Math.max(holding / Math.max(1, held.versions), bytes / Math.max(1, held.bytes));
  return { versions: versions.length, bytes, share: Math.min(1, share) };
}

/** Whether a person is to look at it before anything of it is collected. */
export function isTooLarge({ share }: Totals, { largestShare }: GarbageSettings): boolean {
  return share > largestShare;
}
