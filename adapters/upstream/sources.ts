import type { ModulePath } from "../../gomod/module-path.ts";
import { matchPrefixPatterns } from "../../gomod/path-pattern.ts";
import { ChecksumDatabase } from "../../mirror/checksum-database.ts";
import type { Report } from "../../mirror/events.ts";
import type { MirrorParts } from "../../mirror/parts.ts";
import type { Ledger, Tree } from "../../mirror/ports.ts";
import type { Verifier } from "../../sumdb/note.ts";
import { openUpstream } from "./open-upstream.ts";
import type { SpoolChunks } from "./reply-body.ts";
import { openSumdb } from "./sumdb-source.ts";
import type { Timing } from "./timing.ts";

export interface SourceOptions {
  /** The GOPROXY; its user-info is a secret. */
  readonly url: string;
  readonly verifier: Verifier;
  /** The checksum database's own address; without it, it is asked through the GOPROXY's /sumdb/. */
  readonly sumdbUrl: string | undefined;
  /** GONOSUMDB patterns, comma-separated. */
  readonly noSumdb: string;
  readonly spool: SpoolChunks;
  /** Other time-outs than the defaults, which are those of a function. */
  readonly timing?: Partial<Timing>;
  readonly tree: Tree;
  readonly ledger: Ledger;
  readonly report: Report;
  /** Names this process in leases. */
  readonly owner: string;
}

/** Where a mirror's files and their proofs come from. */
export interface Sources extends Pick<MirrorParts, "upstream" | "databaseFor"> {
  readonly database: ChecksumDatabase;
  close(): Promise<void>;
}

/** A toolchain is always checked against the checksum database, whatever GONOSUMDB says (facts: go-client). */
const TOOLCHAIN = "golang.org/toolchain";

/** Opens the upstream and its checksum database. @throws MirrorError misuse when an address cannot be one. */
export function openSources(options: SourceOptions): Sources {
  const { verifier, tree, ledger, report, owner, spool } = options;
  const timing = options.timing === undefined ? {} : { timing: options.timing };
  const upstream = openUpstream(options.url, { spool, database: verifier.name, ...timing });
  const own = options.sumdbUrl === undefined ? undefined : openSumdb(options.sumdbUrl, verifier.name, timing);
  const source = own ?? upstream.sumdb(verifier.name);
  const database = new ChecksumDatabase({ verifier, source, tree, ledger, now: Date.now, report, owner });
  return {
    upstream,
    database,
    databaseFor: (path: ModulePath) =>
      path !== TOOLCHAIN && matchPrefixPatterns(options.noSumdb, path) ? undefined : database,
    close: async () => {
      await Promise.all([upstream.close(), own?.close()]);
    },
  };
}
