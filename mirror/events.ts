import type { ModuleVersion } from "../gomod/version.ts";
import type { FilledExtent } from "../sumdb/tile-extent.ts";
import type { Sha256 } from "./body.ts";
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
  /** Its zip stays out, by the policy or a block; `.mod`, `.info` and lookup are served. */
  | {
      readonly event: "refusedByPolicy";
      readonly version: ModuleVersion;
      readonly state: State;
      readonly rule: string;
      readonly message: string;
    }
  | { readonly event: "blocked" | "unblocked"; readonly version: ModuleVersion }
  /** Nothing refers to it: it is off its list, and its files go later. */
  | { readonly event: "removing"; readonly version: ModuleVersion }
  /** Its files are gone, but for what is still needed. */
  | { readonly event: "collected"; readonly version: ModuleVersion; readonly kept: "nothing" | "mod" }
  /** A run has chosen what nothing refers to. `stopped`: that is more than the configuration lets one run take. */
  | {
      readonly event: "garbage" | "garbage-stopped";
      readonly run: string;
      readonly versions: number;
      readonly bytes: number;
      /** Of all that is held, of versions or of bytes, whichever is more: from 0 to 1. */
      readonly share: number;
    }
  /** Lines of a module index that name no version of a module; `message` says what is wrong with the first. */
  | {
      readonly event: "indexSkipped";
      readonly feed: string;
      readonly lines: number;
      readonly message: string;
    }
  /** More versions of one moment than one answer of the index holds: some of them cannot be asked for. */
  | { readonly event: "indexOverfull"; readonly feed: string; readonly stamp: string }
  /** A file of a module cache that is not what the checksum database says, or cannot be read: upstream's is taken. */
  | { readonly event: "seed-refused"; readonly subject: string; readonly message: string }
  /** A list that upstream refuses: its module offers no upgrade here, where the go command online would fail. */
  | { readonly event: "refused"; readonly subject: string; readonly message: string }
  | { readonly event: "listed"; readonly version: ModuleVersion }
  | { readonly event: "head"; readonly database: string; readonly size: number }
  /** All full tiles of the extent are held that come before this point: `held` of the `of` that a head needs. */
  | {
      readonly event: "tiles";
      readonly database: string;
      readonly extent: FilledExtent;
      readonly held: number;
      readonly of: number;
    }
  /** Said when a fork is found, and again in each run while the database is stopped. */
  | {
      readonly event: "forked";
      readonly database: string;
      /** Of the report in the vault, `evidence/fork/<evidence>`. */
      readonly evidence: Sha256;
      readonly reason: string;
    }
  /** It refuses our credentials, or everything. Said when that is found, and again in each run while it is stopped. */
  | {
      readonly event: "upstream-stopped";
      /** `name` or `name:port`. */
      readonly host: string;
      /** The path below which it lies there. */
      readonly path: string;
      /** One line without secrets. */
      readonly reason: string;
    }
  | {
      readonly event: "settled";
      readonly request: RequestKey;
      readonly total: number;
      readonly missing: number;
    };

export type Report = (event: MirrorEvent) => void;
