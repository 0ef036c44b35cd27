import type { ModulePath } from "../../../gomod/module-path.ts";
import { parseModuleVersion } from "../../../gomod/version.ts";
import { type Collected, collectGarbage } from "../../../mirror/garbage/collect.ts";
import { garbageSettings, garbageShape } from "../../../mirror/garbage/settings.ts";
import { noDeadline } from "../../../mirror/parts.ts";
import { Subscriptions, subscriptions as subscriptionsShape } from "../../../mirror/subscription.ts";
import { type MadeMirror, MINUTE } from "../made-mirror.ts";

export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export interface RunOptions {
  readonly settings?: Parameters<typeof garbageShape.parse>[0];
  /** As a configuration writes them. */
  readonly subscriptions?: readonly unknown[];
}

/** A run as a function does it, whatever share it would take. */
export function optionsOf({ settings = { largestShare: 1 }, subscriptions = [] }: RunOptions = {}) {
  return {
    settings: garbageSettings(garbageShape.parse(settings), undefined),
    subscriptions: new Subscriptions(subscriptionsShape.parse(subscriptions)),
    owner: "test",
    onlyWriter: false,
    deadline: noDeadline,
  };
}

export const partsOf = ({ parts }: MadeMirror) => ({
  ...parts,
  provable: (path: ModulePath) => parts.databasesFor(path).length > 0,
});

export const run = (mirror: MadeMirror, options: RunOptions = {}): Promise<Collected> =>
  collectGarbage(partsOf(mirror), optionsOf(options));

/** Runs a day apart, until nothing is left to do. */
export async function runs(mirror: MadeMirror, options: RunOptions = {}): Promise<Collected[]> {
  const done: Collected[] = [];
  for (let n = 0; n < 4; n++) {
    mirror.clock.ms += DAY;
    done.push(await run(mirror, options));
  }
  return done;
}

export async function stateOf(mirror: MadeMirror, name: string) {
  const [record] = await mirror.ledger.read([parseModuleVersion(name)]);
  return record && { state: record.state, held: record.held, listed: record.listed };
}
