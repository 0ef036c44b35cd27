import { stampOf } from "../../../gomod/index-stamp.ts";
import { acceptRequest } from "../../../mirror/accept.ts";
import { MirrorError } from "../../../mirror/errors.ts";
import type { ModuleIndex } from "../../../mirror/feed.ts";
import { collectGarbage } from "../../../mirror/garbage/collect.ts";
import { dropRequest } from "../../../mirror/garbage/drops.ts";
import { garbageSettings, garbageShape } from "../../../mirror/garbage/settings.ts";
import { handIn } from "../../../mirror/inbox.ts";
import { acceptInbox } from "../../../mirror/inbox-scan.ts";
import { noDeadline } from "../../../mirror/parts.ts";
import { reconcile } from "../../../mirror/reconcile.ts";
import { listSnapshots } from "../../../mirror/snapshot/catalog.ts";
import { pinSnapshot, unpinSnapshot } from "../../../mirror/snapshot/pin.ts";
import { takeSnapshot } from "../../../mirror/snapshot/take.ts";
import { tick } from "../../../mirror/tick.ts";
import { work } from "../../../mirror/work.ts";
import { indexOnly, subscribed } from "../../mirror/made-index.ts";
import { MINUTE, requestBody } from "../../mirror/made-mirror.ts";
import { memorySpool } from "../../mirror/snapshot/snapshot-world.ts";
import { count } from "../simulation.ts";
import type { GarbageProcesses } from "./garbage-processes.ts";
import type { Act } from "./garbage-schedule.ts";
import { BODIES, NAMES, SUBSCRIPTIONS } from "./garbage-universe.ts";
import { DAY, DOUBT, type GarbageWorld, HOUR } from "./garbage-world.ts";
import type { Promised } from "./promised.ts";

const SETTINGS = garbageSettings(
  garbageShape.parse({ requests: "90d", window: "1d", review: "20m", largestShare: 1 }),
  undefined,
);
/** As long as queues keep a message (Amazon SQS, MessageRetentionPeriod: 14 days at most). */
const LONGEST_MESSAGE = 14 * DAY;
const WAITS = [
  10_000,
  MINUTE,
  2 * MINUTE,
  16 * MINUTE,
  40 * MINUTE,
  40 * MINUTE,
  90 * MINUTE,
  DAY,
  26 * HOUR,
  2 * DAY,
  91 * DAY,
];

/** What people, clocks and queues do to a mirror. */
export class GarbageActs {
  readonly #world: GarbageWorld;
  readonly #processes: GarbageProcesses;
  readonly #promised: Promised;

  constructor(world: GarbageWorld, processes: GarbageProcesses, promised: Promised) {
    this.#world = world;
    this.#promised = promised;
    this.#processes = processes;
  }

  async do(act: Act): Promise<void> {
    const { action, pick } = act;
    count(this.#world.tally, action);
    switch (action) {
      case "hand in":
        return await this.#handIn(pick);
      case "drop":
        return await this.#drop(act);
      case "work":
        for (let left = 1 + (pick % 4); left > 0; left--) await this.deliver(act);
        return;
      case "tick":
        return await this.#tick(act);
      case "reconcile":
        return await this.reconcile(act);
      case "collect":
        return await this.collect(act);
      case "snapshot":
        return await this.snapshot(act);
      case "pin":
      case "unpin":
        return await this.#pin(act);
      case "subscribe":
        this.#world.subscription = pick % SUBSCRIPTIONS.length;
        return;
      case "upstream fault":
        return this.#upstreamFault(pick);
      case "wait":
        this.#processes.wait(WAITS[pick % WAITS.length] as number);
    }
  }

  /** Hands out some delivery, if there is one. */
  async deliver(act: Act): Promise<void> {
    const { deliveries, clock } = this.#world;
    // What nobody has done by then the queue loses; reconcile sends orders again, and scanInbox finds what was handed in.
    for (let at = deliveries.length - 1; at >= 0; at--)
      if ((deliveries[at]?.sent ?? 0) + LONGEST_MESSAGE < clock.ms) deliveries.splice(at, 1);
    if (deliveries.length === 0) return;
    const [delivery] = deliveries.splice(act.pick % deliveries.length, 1);
    if (delivery === undefined) return;
    const done = await this.#processes.run(act, async ({ parts }) => {
      if (delivery.kind === "accept") await acceptRequest(parts, delivery.request);
      else await work(parts, delivery.order, noDeadline);
    });
    if (!done || act.twice) deliveries.push(delivery);
  }

  async reconcile(act: Act): Promise<void> {
    await this.#processes.run(
      act,
      async ({ parts, owner }) => void (await reconcile(parts, { onlyWriter: false, owner })),
    );
  }

  /** As each round of a sync does; for an event that was lost on its way. */
  async scanInbox(act: Act): Promise<void> {
    await this.#processes.run(act, async ({ parts }) => void (await acceptInbox(parts)));
  }

  async collect(act: Act): Promise<void> {
    const { subscription, tally } = this.#world;
    const subscriptions = subscribed(...(SUBSCRIPTIONS[subscription] ?? []));
    const pinned = [...this.#world.pinned];
    const done = await this.#processes.run(act, async ({ parts, owner }) => {
      const options = { settings: SETTINGS, subscriptions, owner, onlyWriter: false, deadline: noDeadline };
      const { deleted, acted, kept, unfinished, outcome } = await collectGarbage(
        { ...parts, provable: () => true },
        options,
      );
      count(tally, "versions collected", deleted.versions);
      count(tally, "versions begun", acted?.removing ?? 0);
      count(tally, "versions spared", acted?.spared ?? 0);
      count(tally, "versions kept after all", kept);
      if (outcome === "ran" && !unfinished) await this.#promised.lookAtPinned(pinned);
    });
    if (!done && act.troubles.length === 0 && act.stall === undefined)
      this.#world.reader.broken.push("10: a run of garbage collection failed, and nothing was made to");
  }

  async snapshot(act: Act): Promise<void> {
    await this.#processes.run(act, async ({ parts, owner }) => {
      const { tree, vault, ledger, now } = parts;
      const taken = await takeSnapshot(
        { tree, vault, ledger, now, spool: memorySpool },
        { owner, closedAfter: DOUBT },
      );
      count(this.#world.tally, `snapshot ${taken.outcome}`);
    });
  }

  async #handIn(pick: number): Promise<void> {
    const { vault, clock, requests, deliveries } = this.#world;
    const { wishes, exact } = BODIES[pick % BODIES.length] as (typeof BODIES)[number];
    const name = NAMES[Math.floor(pick / BODIES.length) % NAMES.length] as string;
    const at = clock.ms;
    const body = requestBody({ wishes: [...wishes], exact: [...exact] });
    const request = await handIn({ vault, now: clock.now }, name, body);
    requests.push({ ...request, at, wishes, exact });
    deliveries.push({ kind: "accept", request, sent: at });
  }

  async #drop(act: Act): Promise<void> {
    const { dropped, clock } = this.#world;
    const name = NAMES[act.pick % NAMES.length] as string;
    // From now on nothing is promised of what was handed in before.
    dropped.set(name, clock.ms + DOUBT);
    await this.#processes.run(act, async ({ parts }) => {
      await unlessMisuse(() => dropRequest(parts, name, "op@host"));
    });
    // By the operator's own clock, and perhaps long after it had begun.
    dropped.set(name, clock.ms + DOUBT);
  }

  async #tick(act: Act): Promise<void> {
    const list = SUBSCRIPTIONS[this.#world.subscription] ?? [];
    await this.#processes.run(act, async ({ parts, owner, crashing }) => {
      const port = crashing.ports.upstream as unknown as ModuleIndex;
      const index: ModuleIndex = { name: "made index", page: (since) => port.page(since) };
      const from = stampOf(Date.UTC(2026, 10, 23, 6));
      await tick(parts, { ...indexOnly(index, subscribed(...list), from), poll: {} }, owner);
    });
  }

  async #pin(act: Act): Promise<void> {
    const kept = (await listSnapshots(this.#world)).filter(({ state }) => state === "kept");
    const snapshot = kept[act.pick % Math.max(1, kept.length)]?.name;
    if (snapshot === undefined) return;
    const { pinned } = this.#world;
    if (act.action === "unpin") pinned.delete(snapshot);
    await this.#processes.run(act, async ({ parts }) => {
      const pin = { snapshot, reason: "release", by: "op@host", at: parts.now() };
      await unlessMisuse(async () => {
        if (act.action === "unpin") {
          await unpinSnapshot(parts.ledger, snapshot);
          // Also what somebody has pinned beside it.
          pinned.delete(snapshot);
        } else {
          await pinSnapshot(parts.ledger, pin);
          pinned.add(snapshot);
        }
      });
    });
  }

  #upstreamFault(pick: number): void {
    const { upstream } = this.#world;
    upstream.wrong.clear();
    if (pick % 3 === 0) return;
    const made = [...upstream.made.keys()];
    const name = made[pick % made.length] as string;
    const kind = (["zip", "info", "mod", "lookup"] as const)[pick % 4] as string;
    upstream.wrong.set(`${kind} ${name}`, new MirrorError("transient", name, `${name}: 503`));
  }
}

/** An operator is told what is not there, and goes on. */
async function unlessMisuse(order: () => Promise<unknown>): Promise<void> {
  try {
    await order();
  } catch (thrown) {
    if (!(thrown instanceof MirrorError && thrown.class === "misuse")) throw thrown;
  }
}
