import type { ModuleVersion } from "../gomod/version.ts";

/** Something in a mirror that is not as it must be. */
export interface Finding {
  /** The tree key, or `module@version`. */
  readonly subject: string;
  readonly message: string;
}

/** What the files of one version hash to, and what a proven lookup says of them. */
export interface SeenVersion {
  readonly version: ModuleVersion;
  mod?: string;
  zip?: string;
  info?: true;
  provenMod?: string;
  provenZip?: string;
}

/** What was read of a tree. */
export interface Seen {
  /** Every key with its size. */
  readonly keys: ReadonlyMap<string, number>;
  /** By `module@version`. */
  readonly versions: Map<string, SeenVersion>;
  /** Versions that lists name, as `module@version`. */
  readonly listed: Set<string>;
  readonly findings: Finding[];
}
