import { MemoryLedger } from "../../../adapters/local/memory-ledger.ts";
import { MemoryVault } from "../../../adapters/local/memory-vault.ts";
import { formatModuleVersion } from "../../../gomod/version.ts";
import type { RecordChange } from "../../../mirror/ledger-entries.ts";
import type { Order, QueueName, RequestKey } from "../../../mirror/orders.ts";
import type { RequestRecord } from "../../../mirror/requests.ts";
import type { SnapshotName } from "../../../mirror/snapshot/snapshot-name.ts";
import { randomFrom } from "../../mirror/crashing-ports.ts";
import { MadeIndex } from "../../mirror/made-index.ts";
import { MINUTE, type Ports, TestClock } from "../../mirror/made-mirror.ts";
import type { MadeUpstream } from "../../mirror/made-upstream.ts";
import { WatchingReader } from "../../mirror/watching-reader.ts";
import { onWaiting } from "../deterministic.ts";
import type { Tally } from "../simulation.ts";
import { LATER, universe } from "../universe.ts";
import { trace } from "../watched-ledger.ts";
import { seeAll } from "./garbage-universe.ts";
import { ListsShown } from "./lists-shown.ts";
import type { HandedIn } from "./referred.ts";

/** What a queue has to hand out, until it is done. */
export type Delivery = { readonly sent: number } & (
  | { readonly kind: "order"; readonly order: Order }
  | { readonly kind: "accept"; readonly request: RequestKey }
);

export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
/** Clocks of processes are minutes apart: nobody relies upon a moment within this of another. */
export const DOUBT = 10 * MINUTE;

/** How a request has been resolved to its end, at best. */
export type End = "DONE" | "INCOMPLETE";

class LookingLedger extends MemoryLedger {
  readonly #look: (name: string) => Promise<void>;
  /** By request, whatever its state is since. */
  readonly ends = new Map<string, End>();

  constructor(look: (name: string) => Promise<void>) {
    super();
    this.#look = look;
  }

  override async writeRequest(request: RequestRecord) {
    const result = await super.writeRequest(request);
    const { state } = request;
    const name = requestNameOf(request);
    const isBetter = state === "DONE" || (state === "INCOMPLETE" && !this.ends.has(name));
    if (result !== "changed" && isBetter) this.ends.set(name, state);
    return result;
  }

  override async write(changes: readonly RecordChange[]) {
    const results = await super.write(changes);
    for (const { record } of changes) {
      trace(
        () =>
          `  ${formatModuleVersion(record)} ${record.state} ${record.held} ${JSON.stringify(record.removal ?? {})}`,
      );
      await this.#look(formatModuleVersion(record));
    }
    return results;
  }
}

export function requestNameOf({ name, time }: RequestKey): string {
  return `${name}/${time}`;
}

/** The stores of a mirror, what is outside of it, and what was done to it, as whoever did it knows that. */
export class GarbageWorld {
  readonly clock = new TestClock();
  readonly upstream: MadeUpstream = universe(LATER.length);
  readonly index = new MadeIndex();
  readonly reader: WatchingReader;
  readonly ledger: MemoryLedger;
  readonly vault = new MemoryVault();
  readonly shown: ListsShown;
  readonly stores: Ports;
  readonly tally: Tally;
  readonly random: () => number;
  readonly deliveries: Delivery[] = [];
  readonly requests: HandedIn[] = [];
  readonly ends: ReadonlyMap<string, End>;
  /** When a drop of a name had begun, in true time. */
  readonly dropped = new Map<string, number>();
  /** Snapshots that an operator was told are pinned, and that nobody has begun to let go since. */
  readonly pinned = new Set<SnapshotName>();
  /** Which of SUBSCRIPTIONS the configuration has. */
  subscription = 0;

  constructor(seed: number, tally: Tally) {
    this.random = randomFrom(seed);
    this.tally = tally;
    const { upstream, vault, clock, index } = this;
    this.shown = new ListsShown(upstream.made, () => clock.ms);
    this.reader = new WatchingReader(upstream);
    const ledger = new LookingLedger((name) => this.reader.lookAtRecord(ledger, name));
    this.ledger = ledger;
    this.ends = ledger.ends;
    seeAll(index, clock.now());
    const never = () => false;
    const blocks = {
      isBlocked: never,
      isUnsettled: never,
      mayLack: never,
      wasBlocked: never,
      mayBeRefused: never,
    };
    this.reader.takenOut = { ledger, vault, now: clock.now, ...blocks };
    const queue = {
      send: async (_queue: QueueName, orders: readonly Order[]) =>
        void this.deliveries.push(
          ...orders.map((order) => ({ kind: "order" as const, order, sent: clock.ms })),
        ),
    };
    const { name, list, latest, info, mod, zip } = upstream;
    const sumdb = () => upstream.sumdb();
    const outside = { name, list, latest, info, mod, zip, page: index.page, sumdb };
    this.stores = { tree: this.shown.watch(this.reader), ledger, vault, queue, upstream: outside };
    onWaiting((ms) => {
      clock.ms += ms;
    });
  }
}
