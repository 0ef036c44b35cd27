import type { ModulePath } from "../../gomod/module-path.ts";
import type { Netrc } from "../../gomod/netrc.ts";
import { matchPrefixPatterns } from "../../gomod/path-pattern.ts";
import { ChecksumDatabase } from "../../mirror/checksum-database.ts";
import type { Report } from "../../mirror/events.ts";
import type { MirrorParts } from "../../mirror/parts.ts";
import type { Ledger, Tree, Vault } from "../../mirror/ports.ts";
import type { TileExtent } from "../../sumdb/tile-extent.ts";
import { openUpstream } from "./open-upstream.ts";
import type { SpoolChunks } from "./reply-body.ts";
import type { SumdbOption } from "./sumdb-option.ts";
import { openSumdb } from "./sumdb-source.ts";
import type { Timing } from "./timing.ts";

export interface SourceOptions {
  /** The GOPROXY; its user-info is a secret. */
  readonly url: string;
  /** Checksum databases with different names (parseSumdbs); of those that cover a path, the first must have it. */
  readonly sumdbs: readonly Pick<SumdbOption, "verifier" | "url" | "modules">[];
  /** For addresses without user-info, as go has it; a function has none. */
  readonly netrc?: Netrc;
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
  };
  const served = sumdbs.find(({ url }) => url === undefined) ?? sumdbs[0];
  const probe = served && { database: served.verifier.name };
  const upstream = openUpstream(options.url, { spool, ...probe, ...http });
  const closing = [() => upstream.close()];
  const databases = sumdbs.map(({ verifier, url }) => {
    const own = url === undefined ? undefined : openSumdb(url, verifier.name, http);
    if (own !== undefined) closing.push(() => own.close());
    const source = own ?? upstream.sumdb(verifier.name);
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

/** A toolchain is always checked against the checksum database, whatever GONOSUMDB says (facts: go-client). */
const TOOLCHAIN = "golang.org/toolchain";

/**
 * Which databases cover a path, by their place in the configuration. One without patterns covers what no other one names
 * by its patterns, so that an internal module's name is told to nobody but the databases that the configuration names for
 * it. The pattern `*` is every path, and names none.
 */
function coverage(
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
