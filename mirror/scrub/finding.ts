import type { ModulePath } from "../../gomod/module-path.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import type { TreeKey } from "../tree-keys.ts";

/** What a scrub can find; the order is that of docs/recovery.md. */
export type FindingKind =
  /** The ledger holds a file that the tree has not. */
  | "missing"
  /** A file is not what was stored: another size, SHA-256 or h1. */
  | "damaged"
  /** `@v/list` or `@latest` is not what the records say. */
  | "list"
  /** The tree has files of a version that the ledger does not know. */
  | "unknown"
  /** The tree still has what a block or a collection took out, or what is in CONFLICT. */
  | "left"
  /** A key that no GOPROXY tree has. */
  | "stray"
  /** A tile, a head or `supported` of a checksum database. */
  | "database"
  /** A checksum job says nothing of a file, or could not read it. */
  | "unchecked";

/** What would mend it. */
export type Repair =
  | { readonly version: ModuleVersion; readonly key: TreeKey }
  | { readonly lists: ModulePath }
  | { readonly database: string; readonly tile?: TreeKey; readonly head?: true };

/** Something in a mirror that is not as it must be. */
export interface ScrubFinding {
  readonly kind: FindingKind;
  /** The tree key, or `module@version`. */
  readonly subject: string;
  readonly message: string;
  readonly repair?: Repair;
}

/** What became of a finding. */
export interface SettledFinding extends Omit<ScrubFinding, "repair"> {
  /** `restored`: it is right again. `lost`: it could not be had. `open`: nobody tried. */
  readonly outcome: "restored" | "lost" | "open";
  /** Why it is lost, or what a person can do. */
  readonly remedy?: string;
}
