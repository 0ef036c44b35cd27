import { expect, test } from "vitest";
import { parseModuleVersion } from "../../gomod/version.ts";
import { partOf } from "../../mirror/deadline.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { readFigures } from "../../mirror/figures.ts";
import { problemOf, tick } from "../../mirror/tick.ts";
import { noteTick } from "../../mirror/ticks.ts";
import { MadeIndex, microStamp, subscribed } from "./made-index.ts";
import { MadeMirror, MINUTE } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const HOUR = 60 * MINUTE;

test("a part of the time ends where the others' begins, and what is not used of it is theirs", () => {
  let left = 300_000;
  const deadline = { remaining: () => left };
  const first = partOf(deadline, 1 / 4);
  expect(first.remaining()).toBe(20_000 + 70_000);
  left -= 70_000;
  expect(first.remaining()).toBe(20_000);
  const second = partOf(deadline, 1 / 3);
  left -= 10_000;
  expect(partOf(deadline, 1 / 2).remaining()).toBe(20_000 + 100_000);
  expect(second.remaining()).toBeCloseTo(20_000 + 60_000, 3);
  left = 5_000;
  expect(partOf(deadline, 1 / 3).remaining()).toBe(5_000);
  expect(partOf({ remaining: () => Number.POSITIVE_INFINITY }, 1 / 3).remaining()).toBe(
    Number.POSITIVE_INFINITY,
  );
});

test("an index that is far behind leaves the others their time, and takes what they leave", async () => {
  const upstream = new MadeUpstream();
  for (const name of ["example.com/b@v1.0.0", "example.com/p@v1.0.0"]) upstream.add(name);
  const mirror = new MadeMirror(upstream);
  const start = mirror.clock.ms;
  const old = new MadeIndex();
  for (let i = 0; i < 2_000 * 40; i++) {
    const Timestamp = microStamp(start - 3_000 * HOUR + i * 1_000, i % 1_000);
    old.lines.push({ Path: "other.example/x", Version: `v1.0.${i}`, Timestamp });
  }
  const own = new MadeIndex();
  own.see("example.com/b@v1.0.0", microStamp(start - MINUTE));
  let left = 300_000;
  // Ten seconds each.
  const slowly = (index: MadeIndex) => {
    const { page } = index;
    index.page = async (since) => {
      left -= 10_000;
      return await page(since);
    };
    return index;
  };
  const from = microStamp(start - 3_000 * HOUR) as never;
  const settings = {
    subscriptions: subscribed({ modules: ["example.com/b", "example.com/p"], versions: "all" }),
    poll: {},
    indexes: [
      { name: "index.old", index: slowly(old), from },
      { name: "index.own", index: slowly(own), from },
    ],
  };
  const ticked = await tick(mirror.parts, settings, "one", { deadline: { remaining: () => left } });
  expect(ticked).toMatchObject({
    indexes: [{ isAtEnd: false }, { isAtEnd: true, found: 1 }],
    poll: { asked: 2, unreached: 0 },
  });
  // 28 pages' time: two of them are the other's.
  if (ticked.outcome === "ticked") expect(ticked.indexes[0]?.pages).toBeGreaterThanOrEqual(25);
  expect(old.asked.length + own.asked.length).toBeLessThanOrEqual(29);
  left = 300_000;
  const again = await tick(mirror.parts, settings, "one", { deadline: { remaining: () => left } });
  expect(again).toMatchObject({ indexes: [{ isAtEnd: true }, { isAtEnd: true }] });
  const [record] = await mirror.ledger.read([parseModuleVersion("example.com/p@v1.0.0")]);
  expect(record?.feed).toBe("poll");
});

test("an index and a poll feed whose upstream is dead are seen: ticks, freshness and gauge say so", async () => {
  const upstream = new MadeUpstream();
  upstream.add("example.com/a@v1.0.0");
  const mirror = new MadeMirror(upstream);
  const index = new MadeIndex();
  index.see("other.example/x@v1.0.0", microStamp(mirror.clock.ms));
  const subscriptions = subscribed({ modules: ["example.com/a"], versions: "all" });
  const settings = { subscriptions, indexes: [{ name: "index", index }], poll: {} };
  const run = () =>
    noteTick(
      mirror.parts,
      "plan",
      () => tick(mirror.parts, settings, "one"),
      ({ outcome }) => outcome === "skipped",
      problemOf,
    );
  const figures = () =>
    readFigures({
      ledger: mirror.ledger,
      now: () => mirror.clock.ms,
      databases: [],
      feeds: ["index", "poll"],
    });
  await run();
  await mirror.drain();
  // It has had nothing new for long, and so is asked every six hours; each hour where that fails.
  mirror.clock.ms += 20 * 24 * HOUR;
  await run();
  expect((await figures()).ticks[0]?.error).toBeUndefined();
  upstream.allWrong = (_, subject) => new MirrorError("stopped", subject, `${subject}: refuses us`);
  for (let tenth = 1; tenth <= 30 * 6; tenth++) {
    mirror.clock.ms += 10 * MINUTE;
    await run();
    const [noted] = (await figures()).ticks;
    if (tenth < 37) continue;
    // Also in the ticks between two tries.
    expect(noted?.error).toMatch(/^feed poll: 1 modules cannot be asked: example.com\/a/);
    expect(mirror.clock.ms - (noted?.succeeded ?? 0)).toBeGreaterThan((tenth - 37) * 10 * MINUTE);
  }
  const [read, polled] = (await figures()).feeds;
  expect(read?.freshness).toBeLessThan(60);
  expect(polled?.failing).toBe(1);
  expect(polled?.freshness).toBeGreaterThan(23 * 3_600);
  upstream.allWrong = undefined;
  index.fault = () => new MirrorError("transient", "index", "index: 502");
  mirror.clock.ms += HOUR;
  await run();
  const after = await figures();
  expect(after.feeds[1]).toMatchObject({ failing: 0, freshness: expect.closeTo(0, 0) });
  expect(after.feeds[0]?.freshness).toBeGreaterThan(3_599);
  expect(after.ticks[0]?.error).toBe("feed index: index: 502");
});
