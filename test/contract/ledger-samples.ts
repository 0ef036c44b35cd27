import type { ModuleVersion } from "../../gomod/version.ts";
import type { VersionRecord } from "../../mirror/records.ts";

/** A moment in milliseconds since the epoch. */
export const NOW = 1_790_000_000_000;

/** A record that was never stored, and is not due. */
export function freshRecord({ path, version }: ModuleVersion): VersionRecord {
  return {
    path,
    version,
    revision: 0,
    state: "PENDING",
    wanted: "whole",
    held: "nothing",
    wantedAt: NOW,
    firstSeen: NOW,
    wish: "request team",
    listed: false,
    attempts: 0,
  };
}
