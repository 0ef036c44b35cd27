import type { ModulePath } from "../../gomod/module-path.ts";
import type { Netrc } from "../../gomod/netrc.ts";
import { matchPrefixPatterns } from "../../gomod/path-pattern.ts";
import { ChecksumDatabase } from "../../mirror/checksum-database.ts";
import { misuse } from "../../mirror/errors.ts";
import type { Report } from "../../mirror/events.ts";
import type { MirrorParts } from "../../mirror/parts.ts";
import type { Ledger, Tree, Vault } from "../../mirror/ports.ts";
import type { TileExtent } from "../../sumdb/tile-extent.ts";
import type { Egress } from "../egress/egress.ts";
import { openUpstream } from "./open-upstream.ts";
import type { SpoolChunks } from "./reply-body.ts";
import type { SumdbOption } from "./sumdb-option.ts";
import { openSumdb } from "./sumdb-source.ts";
import type { Timing } from "./timing.ts";
import { gateOf } from "./upstream-gates.ts";
import { generalOf, UpstreamRouter } from "./upstream-router.ts";
import type { UpstreamToken } from "./upstream-token.ts";

/** One of several GOPROXYs. */
export interface UpstreamEntry {
  /** As a database that is asked through it names it. */
  readonly name: string;
  readonly url: string;
  /** GOPRIVATE patterns, comma-separated; without any, all that no other one names. At most one is so. */
  readonly modules: string | undefined;
  /** In place of user-info and netrc. */
  readonly token?: UpstreamToken;
  /** Requests a second by all workers together. */
  readonly rate?: number;
}

/** A checksum database: at its own address, or through an upstream, by name where it is not the general one. */
export type SumdbEntry = Pick<SumdbOption, "verifier" | "url" | "modules"> & { readonly upstream?: string };

export interface SourceOptions {
  /** The GOPROXY, whose user-info is a secret; or several by module path (upstream-router.ts). */
  readonly url: string | readonly UpstreamEntry[];
  /** Checksum databases with different names (parseSumdbs); of those that cover a path, the first must have it. */
  readonly sumdbs: readonly SumdbEntry[];
  /** For addresses without user-info, as go has it; a function has none. */
  readonly netrc?: Netrc;
  /** Which proxy leads where; directly unless told otherwise. */
  readonly egress?: Egress;
  /** `at once` on a desk: see GateOptions. */
  readonly probe?: "at once";
  /** GONOSUMDB patterns, comma-separated: paths that no database covers, whatever its own patterns. */
  readonly noSumdb: string;
  readonly spool: SpoolChunks;
  /** Other time-outs than the defaults, which are those of a function. */
  readonly timing?: Partial<Timing>;
  readonly tree: Tree;
  readonly vault: Vault;
  readonly ledger: Ledger;
  readonly report: Report;
  /** Names this process in leases. */
  readonly owner: string;
  /** How many of each database's tiles are held; `needed` unless told otherwise. */
  readonly tiles?: TileExtent;
}

/** Where a mirror's files and their proofs come from. */
export interface Sources extends Pick<MirrorParts, "upstream" | "databasesFor"> {
  readonly databases: readonly ChecksumDatabase[];
  close(): Promise<void>;
}

/** Opens the upstream and its checksum databases. @throws MirrorError misuse when an address cannot be one. */
export function openSources(options: SourceOptions): Sources {
  const { sumdbs, tree, vault, ledger, report, owner, spool } = options;
  const tiles = options.tiles === undefined ? {} : { tiles: options.tiles };
  const http = {
    ...(options.timing && { timing: options.timing }),
    ...(options.netrc && { netrc: options.netrc }),
    ...(options.egress && { egress: options.egress }),
  };
  const gates = { ledger, report, now: Date.now, ...(options.probe && { probe: options.probe }) };
  const entries = entriesOf(options.url);
  const general = generalOf(entries).name;
  const opened = entries.map(({ name, url, modules, token, rate }) => {
    // A database that is asked through it: its head serves as probe.
    const through = sumdbs.filter((one) => one.url === undefined && (one.upstream ?? general) === name);
    const database = (through[0] ?? (name === general ? sumdbs[0] : undefined))?.verifier.name;
    const gate = gateOf(url, rate, gates);
    const own = { spool, ...(database && { database }), ...(token && { token }), ...(gate && { gate }) };
    return { name, modules, upstream: openUpstream(url, { ...http, ...own }) };
  });
  const upstream =
    opened.length === 1 && opened[0]?.modules === undefined
      ? generalOf(opened).upstream
      : new UpstreamRouter(opened);
  const closing = [() => upstream.close()];
  const databases = sumdbs.map(({ verifier, url, upstream: through }) => {
    const gate = url === undefined ? undefined : gateOf(url, undefined, gates);
    const own =
      url === undefined ? undefined : openSumdb(url, verifier.name, { ...http, ...(gate && { gate }) });
    if (own !== undefined) closing.push(() => own.close());
    const source = own ?? entryNamed(opened, through ?? general).upstream.sumdb(verifier.name);
    const stores = { tree, vault, ledger };
    return new ChecksumDatabase({ verifier, source, ...stores, now: Date.now, report, owner, ...tiles });
  });
  const covering = coverage(sumdbs, options.noSumdb);
  return {
    upstream,
    databases,
    databasesFor: (path) => {
      const covers = covering(path);
      return databases.filter((_, at) => covers.has(at));
    },
    close: async () => {
      await Promise.all(closing.map((close) => close()));
    },
  };
}

/** One URL is an upstream for all. */
export function entriesOf(url: SourceOptions["url"]): readonly UpstreamEntry[] {
  return typeof url === "string" ? [{ name: "upstream", url, modules: undefined }] : url;
}

/** @throws MirrorError misuse where the configuration names none so. */
export function entryNamed<Entry extends { readonly name: string }>(
  entries: readonly Entry[],
  name: string,
): Entry {
  const found = entries.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = entries.map((one) => one.name).join(", ");
  throw misuse(
    "sumdb.upstream",
    `sumdb.upstream: ${JSON.stringify(name)}: no upstream of that name; there are ${names}`,
  );
}

/** A toolchain is always checked against the checksum database, whatever GONOSUMDB says (facts: go-client). */
const TOOLCHAIN = "golang.org/toolchain";

/**
 * Which databases cover a path, by their place in the configuration. One without patterns covers what no other one names
 * by its patterns, so that an internal module's name is told to nobody but the databases that the configuration names for
 * it. The pattern `*` is every path, and names none.
 */
export function coverage(
  sumdbs: readonly { readonly modules: string | undefined }[],
  noSumdb: string,
): (path: ModulePath) => ReadonlySet<number> {
  return (path) => {
    if (path !== TOOLCHAIN && matchPrefixPatterns(noSumdb, path)) return new Set();
    const at = (chosen: (modules: string | undefined) => boolean) =>
      sumdbs.flatMap(({ modules }, index) => (chosen(modules) ? [index] : []));
    const named = at((modules) => modules !== undefined && matchPrefixPatterns(modules, path));
    const internal = named.some((index) => sumdbs[index]?.modules !== "*");
    return new Set(internal ? named : [...named, ...at((modules) => modules === undefined)]);
  };
}
