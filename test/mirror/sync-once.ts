import { tmpdir } from "node:os";
import { join } from "node:path";
import { SpoolFolder } from "../../adapters/local/spool-folder.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { openSources } from "../../adapters/upstream/sources.ts";
import { parseSumdbs } from "../../adapters/upstream/sumdb-option.ts";
import { acceptRequest } from "../../mirror/accept.ts";
import type { MirrorEvent } from "../../mirror/events.ts";
import { handIn } from "../../mirror/inbox.ts";
import type { Order } from "../../mirror/orders.ts";
import { type MirrorParts, noDeadline } from "../../mirror/parts.ts";
import type { Ledger, Queue, Tree, Vault } from "../../mirror/ports.ts";
import { reconcile } from "../../mirror/reconcile.ts";
import type { RequestBody } from "../../mirror/requests.ts";
import { type Missing, settle } from "../../mirror/settle.ts";
import { verifyMirror } from "../../mirror/verify.ts";
import type { Finding } from "../../mirror/verify-seen.ts";
import { work } from "../../mirror/work.ts";
import { parseVerifierKey } from "../../sumdb/note.ts";
import { requestBody } from "./request-body.ts";

/** The stores of one mirror, whichever adapters they are. */
export interface Stores {
  readonly tree: Tree;
  readonly vault: Vault;
  readonly ledger: Ledger;
  readonly queue: Queue;
  /** Hands every order that is in the queue, and those sent meanwhile, to `handle`, until there is none. */
  drain(handle: (order: Order) => Promise<void>): Promise<void>;
}

/** Where a test's mirror fetches from. */
export interface TestUpstream {
  readonly url: string;
  readonly vkey: string;
}

export interface SyncResult {
  readonly missing: readonly Missing[];
  readonly events: readonly MirrorEvent[];
}

/** A request of wishes and files, as the command line makes it. */
export function requestOf(
  wishes: readonly string[],
  files: Readonly<Record<string, string>> = {},
): RequestBody {
  return requestBody({ files: { ...files }, wishes: [...wishes] });
}

/** One run of a mirror, from what an earlier one left to the request's settling, as `modferry sync` does it. */
export async function syncOnce(
  stores: Stores,
  upstream: TestUpstream,
  body: RequestBody,
): Promise<SyncResult> {
  const events: MirrorEvent[] = [];
  const spools = new SpoolFolder(join(tmpdir(), "modferry-test-spools"));
  const sources = openSources({
    url: upstream.url,
    sumdbs: parseSumdbs([upstream.vkey]),
    noSumdb: "",
    spool: (chunks, limit, subject) => spools.spool(chunks, limit, subject),
    tree: stores.tree,
    vault: stores.vault,
    ledger: stores.ledger,
    report: (event) => void events.push(event),
    owner: "test",
    tiles: "needed",
  });
  try {
    const parts: MirrorParts = {
      ...stores,
      upstream: sources.upstream,
      databasesFor: sources.databasesFor,
      zips: zipChecker,
      now: Date.now,
      report: (event) => void events.push(event),
    };
    await reconcile(parts, { onlyWriter: true });
    const request = await handIn(parts, "test", body);
    await acceptRequest(parts, request);
    await stores.drain((order) => work(parts, order, noDeadline));
    return { missing: await settle(parts, request), events };
  } finally {
    await sources.close();
  }
}

/** What `modferry verify` finds. */
export async function findingsOf(stores: Stores, vkey: string): Promise<readonly Finding[]> {
  const { tree, ledger } = stores;
  const verifiers = [parseVerifierKey(vkey)];
  return (await verifyMirror({ tree, ledger, zips: zipChecker, verifiers, progress: () => {} })).findings;
}
