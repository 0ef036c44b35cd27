import type { ModulePath } from "../gomod/module-path.ts";
import type { ChecksumDatabase } from "./checksum-database.ts";
import type { Report } from "./events.ts";

export { type Deadline, noDeadline } from "./deadline.ts";

import type { Policy } from "./policy.ts";
import type { Clock, Ledger, Queue, Tree, Upstream, Vault, ZipChecker } from "./ports.ts";
import type { Vulnerabilities } from "./vulndb-reader.ts";

/** The ports that a mirror is built of; functions/ and cli/ put them together, mirror/ only uses them. */
export interface MirrorParts {
  readonly tree: Tree;
  readonly vault: Vault;
  readonly ledger: Ledger;
  readonly queue: Queue;
  readonly upstream: Upstream;
  readonly zips: ZipChecker;
  /** The checksum databases that cover a module path, the one that must have its versions first; perhaps none. */
  readonly databasesFor: (path: ModulePath) => readonly ChecksumDatabase[];
  readonly now: Clock;
  readonly report: Report;
  /** Who may come in; absent: all. */
  readonly policy?: Policy;
  /** The vulnerability database, for a policy that asks for it. */
  readonly vulnerabilities?: Vulnerabilities;
}
