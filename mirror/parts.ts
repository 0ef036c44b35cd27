import type { ModulePath } from "../gomod/module-path.ts";
import type { ChecksumDatabase } from "./checksum-database.ts";
import type { Report } from "./events.ts";
import type { Clock, Ledger, Queue, Tree, Upstream, Vault, ZipChecker } from "./ports.ts";

/** The ports that a mirror is built of; functions/ and cli/ put them together, mirror/ only uses them. */
export interface MirrorParts {
  readonly tree: Tree;
  readonly vault: Vault;
  readonly ledger: Ledger;
  readonly queue: Queue;
  readonly upstream: Upstream;
  readonly zips: ZipChecker;
  /** The checksum database that covers a module path; undefined where the configuration says none does. */
  readonly databaseFor: (path: ModulePath) => ChecksumDatabase | undefined;
  readonly now: Clock;
  readonly report: Report;
}

/** Says how long a unit of work may go on; what it does not reach stays due. */
export interface Deadline {
  /** Milliseconds left; Infinity on a desk. */
  remaining(): number;
}

export const noDeadline: Deadline = { remaining: () => Number.POSITIVE_INFINITY };
