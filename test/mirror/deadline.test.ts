import { describe, expect, test } from "vitest";
import { modulePath } from "../../gomod/module-path.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { Order, QueueName } from "../../mirror/orders.ts";
import type { Deadline, MirrorParts } from "../../mirror/parts.ts";
import { reconcileTick } from "../../mirror/reconcile.ts";
import { work } from "../../mirror/work.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";
import { pollTick } from "./poll-tick.ts";

const FEED = ["example.com/a", "example.com/b", "example.com/c"].map(modulePath);

function upstreamOf(...names: string[]): MadeUpstream {
  const upstream = new MadeUpstream();
  for (const name of names) upstream.add(name);
  return upstream;
}

/** A unit of work with `ms` left from now on. */
function endsIn(ms: number): Deadline {
  const end = Date.now() + ms;
  return { remaining: () => end - Date.now() };
}

/** A unit of work whose time is there when it is first looked at, and all but over the next time. */
function hurried(): Deadline {
  let looks = 0;
  return { remaining: () => (looks++ === 0 ? 60_000 : 10_050) };
}

const never = () => new Promise<never>(() => {});

/** The parts with an upstream whose method does something else. */
function withUpstream(parts: MirrorParts, other: Partial<MirrorParts["upstream"]>): MirrorParts {
  const { upstream } = parts;
  const bound = {
    name: upstream.name,
    list: upstream.list.bind(upstream),
    latest: upstream.latest.bind(upstream),
    info: upstream.info.bind(upstream),
    mod: upstream.mod.bind(upstream),
    zip: upstream.zip.bind(upstream),
    sumdb: upstream.sumdb.bind(upstream),
  };
  return { ...parts, upstream: { ...bound, ...other } };
}

describe("a unit of work that runs out of time", () => {
  test("notes a version whose zip does not arrive as FAILED, and acknowledges the order", async () => {
    const mirror = new MadeMirror(upstreamOf("example.com/a@v1.0.0"));
    const version = moduleVersion("example.com/a", "v1.0.0");
    const parts = withUpstream(mirror.parts, { zip: never });
    await mirror.accept({ wishes: ["example.com/a@v1.0.0"] });
    for (let next = mirror.queue.take(); next !== undefined; next = mirror.queue.take()) {
      await work(parts, next.order, next.order.kind === "fetch" ? hurried() : endsIn(300_000));
    }
    const [record] = await mirror.ledger.read([version]);
    expect([record?.state, record?.lastError?.class]).toEqual(["FAILED", "transient"]);
    expect(record?.lastError?.message).toContain("example.com/a@v1.0.0");
    expect(record?.due).toBeGreaterThan(0);
  }, 30_000);

  test("leaves nothing running behind an order that ends in an error", async () => {
    const names = ["v1.0.0", "v1.0.1", "v1.0.2"].map((version) => `example.com/a@${version}`);
    const mirror = new MadeMirror(upstreamOf(...names));
    let ended = false;
    const late: string[] = [];
    const { zip } = mirror.parts.upstream;
    const parts = withUpstream(mirror.parts, {
      zip: async (version) => {
        if (version.version === "v1.0.0") throw new MirrorError("transient", "a", "a: 502");
        await new Promise((resolve) => setTimeout(resolve, 30));
        if (ended) late.push(version.version);
        return await zip(version);
      },
    });
    const write = mirror.ledger.write.bind(mirror.ledger);
    mirror.ledger.write = async (changes) => {
      if (changes.some(({ record }) => record.state === "FAILED")) throw new Error("the ledger is away");
      return await write(changes);
    };
    await mirror.accept({ exact: names });
    const order = mirror.queue.take();
    if (order === undefined) throw new Error("no order");
    await work(parts, order.order, endsIn(300_000));
    const fetching = mirror.queue.take();
    if (fetching === undefined) throw new Error("no order");
    await expect(work(parts, fetching.order, endsIn(300_000))).rejects.toThrow("the ledger is away");
    ended = true;
    const held = (await mirror.ledger.readModule(modulePath("example.com/a"))).map(({ state }) => state);
    expect(held.sort()).toEqual(["PENDING", "READY", "READY"]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(late).toEqual([]);
  });
});

describe("the poll feed under a deadline", () => {
  test("a module that hangs holds none of the others: they are handed in before it ends", async () => {
    const mirror = new MadeMirror(upstreamOf("example.com/b@v1.0.0", "example.com/c@v1.0.0"));
    const list = mirror.parts.upstream.list.bind(mirror.parts.upstream);
    const parts = withUpstream(mirror.parts, { list: (path) => (path === FEED[0] ? never() : list(path)) });
    // The feed itself looks once; then each module once before it is asked; then all have half a second.
    let looks = 0;
    const deadline = { remaining: () => (looks++ % 2 === 1 ? 60_000 : 10_500) };
    expect(await pollTick(parts, FEED, "one", { deadline })).toMatchObject({
      found: 2,
      failed: [{ module: "example.com/a", class: "transient" }],
    });
  }, 30_000);

  test("what there was no time for comes first in the next tick", async () => {
    const mirror = new MadeMirror(upstreamOf("example.com/a@v1.0.0", "example.com/b@v1.0.0"));
    let looks = 0;
    const oneOnly = { remaining: () => (looks++ < 2 ? 60_000 : 0) };
    expect(await pollTick(mirror.parts, FEED, "one", { deadline: oneOnly })).toMatchObject({
      asked: 1,
      unreached: 2,
    });
    expect(await mirror.ledger.readWatermark("poll")).toBeUndefined();
    const asked: string[] = [];
    const list = mirror.parts.upstream.list.bind(mirror.parts.upstream);
    const counting = withUpstream(mirror.parts, {
      list: (path) => {
        asked.push(path);
        return list(path);
      },
    });
    expect(await pollTick(counting, FEED, "one")).toMatchObject({ found: 1, unreached: 0 });
    expect(asked.slice(0, 2)).toEqual(["example.com/b", "example.com/c"]);
    expect((await mirror.ledger.readWatermark("poll"))?.timestamp.slice(0, 10)).toBe("2026-11-23");
  });
});

describe("queues and ticks", () => {
  /** What is sent, by queue. */
  function sentBy(mirror: MadeMirror): { parts: MirrorParts; sent: Record<QueueName, Order[]> } {
    const sent: Record<QueueName, Order[]> = { fresh: [], backfill: [] };
    const queue = {
      send: async (name: QueueName, orders: readonly Order[]) => void sent[name].push(...orders),
    };
    return { parts: { ...mirror.parts, queue }, sent };
  }

  test("a feed's work goes behind people's requests", async () => {
    const mirror = new MadeMirror(upstreamOf("example.com/a@v1.0.0"));
    const { parts, sent } = sentBy(mirror);
    await pollTick(parts, FEED, "one");
    expect([sent.fresh.length, sent.backfill.length]).toEqual([0, 1]);
    for (const order of [...sent.backfill]) await work(parts, order, endsIn(300_000));
    expect([sent.fresh.length, sent.backfill.map(({ kind }) => kind)]).toEqual([0, ["resolve", "fetch"]]);
  });

  test("where the inbox triggers by itself, plan only hands in", async () => {
    const mirror = new MadeMirror(upstreamOf("example.com/a@v1.0.0"));
    const { parts, sent } = sentBy(mirror);
    expect(await pollTick(parts, FEED, "one", { accept: async () => {} })).toMatchObject({ found: 1 });
    expect(sent).toEqual({ fresh: [], backfill: [] });
    const keys: string[] = [];
    for await (const key of mirror.vault.keys("inbox/requests/poll/")) keys.push(key);
    expect(keys).toHaveLength(1);
  });

  test("a reconcile that is still at work keeps the next one out", async () => {
    const mirror = new MadeMirror(upstreamOf("example.com/a@v1.0.0"));
    const now = mirror.clock.ms;
    await mirror.ledger.takeLease("reconcile", "other", now, now + 60_000);
    expect(await reconcileTick(mirror.parts, "me")).toMatchObject({ skipped: true });
    mirror.clock.ms += 61_000;
    expect(await reconcileTick(mirror.parts, "me")).toMatchObject({ skipped: false });
  });
});
