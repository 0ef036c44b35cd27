import { moduleVersion } from "../../gomod/version.ts";
import type { Ledger } from "../../mirror/ports.ts";
import { type State, type VersionRecord, want } from "../../mirror/records.ts";

/** Half past nine on some day. */
export const NOW = Date.UTC(2026, 10, 23, 9, 30);
export const MINUTE = 60_000;

/** Stores a version in a state, wanted so many minutes ago. */
export async function plantRecord(
  ledger: Pick<Ledger, "write">,
  state: State,
  path: string,
  minutesAgo: number,
  more: Partial<VersionRecord> = {},
): Promise<void> {
  const wanted = NOW - minutesAgo * MINUTE;
  const record = want(undefined, moduleVersion(path, "v1.0.0"), "whole", "test", wanted, true);
  const { due: _due, ...rest } = record;
  const [stored] = await ledger.write([{ record: { ...rest, state, ...more } }]);
  if (stored === "changed" || stored === undefined) throw new Error(`${path}: not stored`);
}
