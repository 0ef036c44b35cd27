import type { ModuleVersion } from "../gomod/version.ts";
import type { ErrorClass } from "./errors.ts";
import type { RequestKey } from "./orders.ts";
import type { Extent, State } from "./records.ts";

/** What the engine tells whoever watches: constant names, the facts as fields. */
export type MirrorEvent =
  | { readonly event: "resolving"; readonly request: RequestKey }
  /** `versions` in the closure, of which `toFetch` are not held yet. */
  | {
      readonly event: "resolved";
      readonly request: RequestKey;
      readonly versions: number;
      readonly toFetch: number;
    }
  | {
      readonly event: "fetched";
      readonly version: ModuleVersion;
      readonly held: Extent;
      readonly bytes: number;
    }
  | {
      readonly event: "failed";
      readonly version: ModuleVersion;
      readonly state: State;
      readonly class: ErrorClass;
      readonly message: string;
    }
  | { readonly event: "listed"; readonly version: ModuleVersion }
  | { readonly event: "head"; readonly database: string; readonly size: number }
  | {
      readonly event: "settled";
      readonly request: RequestKey;
      readonly total: number;
      readonly missing: number;
    };

export type Report = (event: MirrorEvent) => void;
