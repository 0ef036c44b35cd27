import type { z } from "zod";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { acceptRequest } from "../../mirror/accept.ts";
import { ChecksumDatabase } from "../../mirror/checksum-database.ts";
import type { MirrorEvent } from "../../mirror/events.ts";
import { handIn } from "../../mirror/inbox.ts";
import type { RequestKey } from "../../mirror/orders.ts";
import { type MirrorParts, noDeadline } from "../../mirror/parts.ts";
import { makePolicy, policyShape } from "../../mirror/policy.ts";
import type { Ledger, Queue, Tree, Upstream, Vault } from "../../mirror/ports.ts";
import { reconcile } from "../../mirror/reconcile.ts";
import type { RequestBody } from "../../mirror/requests.ts";
import type { Vulnerability } from "../../mirror/vulnerability.ts";
import { work } from "../../mirror/work.ts";
import type { TileExtent } from "../../sumdb/tile-extent.ts";
import type { MadeUpstream } from "./made-upstream.ts";
import type { PrivateDatabase } from "./private-database.ts";
import { requestBody } from "./request-body.ts";

export { requestBody };

export interface Ports {
  readonly tree: Tree;
  readonly vault: Vault;
  readonly ledger: Ledger;
  readonly queue: Queue;
  readonly upstream: Upstream;
}

/** Half past nine on some day; every look at it takes a millisecond. */
export class TestClock {
  ms = Date.UTC(2026, 10, 23, 9, 30);
  now = (): number => this.ms++;
}

export const MINUTE = 60_000;

export interface ProcessOptions {
  readonly owner?: string;
  /** Paths that begin so are covered by no checksum database. */
  readonly unproven?: string;
  /** Further databases that cover all that the upstream's own does. */
  readonly further?: readonly PrivateDatabase[];
  readonly report?: (event: MirrorEvent) => void;
  readonly tiles?: TileExtent;
  /** Who may come in. */
  readonly policy?: PolicyInput;
  readonly vulnerabilities?: readonly Vulnerability[];
}

type PolicyInput = z.input<typeof policyShape>;

/** One process of a mirror: its own checksum database client over ports that others may share. */
export function processOf(
  ports: Ports,
  made: MadeUpstream,
  clock: TestClock,
  options: ProcessOptions = {},
): MirrorParts & { readonly database: ChecksumDatabase; readonly databases: readonly ChecksumDatabase[] } {
  const report = options.report ?? (() => {});
  const { tree, vault, ledger } = ports;
  const { unproven, further = [], owner = "test", tiles = "needed", policy, vulnerabilities } = options;
  const shared = { tree, vault, ledger, now: clock.now, report, owner, tiles };
  const { verifier } = made.database;
  const database = new ChecksumDatabase({ ...shared, verifier, source: ports.upstream.sumdb(verifier.name) });
  const databases = [
    database,
    ...further.map((other) => {
      return new ChecksumDatabase({ ...shared, verifier: other.verifier, source: other.source() });
    }),
  ];
  return {
    ...ports,
    zips: zipChecker,
    databasesFor: (path) => (unproven !== undefined && path.startsWith(unproven) ? [] : databases),
    now: clock.now,
    report,
    database,
    databases,
    ...(policy && { policy: makePolicy(policyShape.parse(policy)) }),
    ...(vulnerabilities && {
      vulnerabilities: { of: async () => vulnerabilities, modified: async () => undefined },
    }),
  };
}

/** A mirror in memory with one process, as a desk has it. */
export class MadeMirror {
  readonly tree: MemoryTree;
  readonly vault: MemoryVault;
  readonly ledger: MemoryLedger;
  readonly queue: MemoryQueue;
  readonly clock: TestClock;
  readonly events: MirrorEvent[] = [];
  readonly parts: ReturnType<typeof processOf>;

  /** @param over another process's, whose stores and time this one shares, such as one that was configured otherwise. */
  constructor(upstream: MadeUpstream, options: ProcessOptions = {}, over?: MadeMirror) {
    this.tree = over?.tree ?? new MemoryTree();
    this.vault = over?.vault ?? new MemoryVault();
    this.ledger = over?.ledger ?? new MemoryLedger();
    this.queue = over?.queue ?? new MemoryQueue();
    this.clock = over?.clock ?? new TestClock();
    const { tree, vault, ledger, queue } = this;
    const report = (event: MirrorEvent) => void this.events.push(event);
    const ports = { tree, vault, ledger, queue, upstream };
    this.parts = processOf(ports, upstream, this.clock, { report, ...options });
  }

  async accept(body: Partial<RequestBody>, name = "test"): Promise<RequestKey> {
    const request = await handIn(this.parts, name, requestBody(body));
    await acceptRequest(this.parts, request);
    return request;
  }

  async drain(): Promise<void> {
    await this.queue.drain((order) => work(this.parts, order, noDeadline), { concurrency: 4 });
  }

  /** Accepts and works until nothing is left to do now. */
  async request(body: Partial<RequestBody>, name?: string): Promise<RequestKey> {
    const request = await this.accept(body, name);
    await this.drain();
    return request;
  }

  /** What the cloud's ticks do in `minutes`: reconcile each minute, and all that it orders. */
  async pass(minutes: number): Promise<void> {
    for (let minute = 0; minute < minutes; minute++) {
      this.clock.ms += MINUTE;
      await reconcile(this.parts, { onlyWriter: false });
      await this.drain();
    }
  }

  async text(key: string): Promise<string | undefined> {
    const stored = await this.tree.get(key as Parameters<Tree["get"]>[0], 1 << 24);
    return stored && new TextDecoder().decode(stored.bytes);
  }

  async keys(): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.tree.keys()) keys.push(key);
    return keys.sort();
  }
}
