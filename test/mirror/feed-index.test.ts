import { describe, expect, test } from "vitest";
import { stampOf } from "../../gomod/index-stamp.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { completeUntil } from "../../mirror/complete-until.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { readRequestBody } from "../../mirror/inbox.ts";
import { setPause } from "../../mirror/pause.ts";
import { reconcile } from "../../mirror/reconcile.ts";
import { want } from "../../mirror/records.ts";
import { type FeedSettings, tick } from "../../mirror/tick.ts";
import { TICK_LEASE } from "../../mirror/tick-lease.ts";
import { updateRecords } from "../../mirror/update.ts";
import { indexOnly, MadeIndex, microStamp, subscribed } from "./made-index.ts";
import { MadeMirror, MINUTE } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const START = Date.UTC(2026, 10, 23, 9, 30);
const HOUR = 60 * MINUTE;
const AGO = microStamp(START - HOUR);

function world(names: readonly string[], stamp = (i: number) => microStamp(START - 20 * MINUTE + i * 1000)) {
  const upstream = new MadeUpstream();
  const index = new MadeIndex();
  names.forEach((name, i) => {
    upstream.add(name);
    index.see(name, stamp(i));
  });
  return { upstream, index, mirror: new MadeMirror(upstream) };
}

async function read(mirror: MadeMirror, settings: FeedSettings, owner = "one") {
  const ticked = await tick(mirror.parts, settings, owner);
  if (ticked.outcome !== "ticked") throw new Error(`the tick was ${ticked.outcome}`);
  const [first] = ticked.indexes;
  if (first === undefined) throw new Error("no index was read");
  return first;
}

const record = async (mirror: MadeMirror, path: string, version: string) =>
  (await mirror.ledger.read([moduleVersion(path, version)]))[0];

describe("the index feed", () => {
  test("lists what is new, records it with the stamp verbatim, and moves the watermark to the last stamp", async () => {
    const { mirror, index } = world([
      "example.com/a@v1.0.0",
      "example.com/a@v1.1.0",
      "other.example/b@v1.0.0",
    ]);
    const settings = indexOnly(index, undefined, AGO);
    expect(await read(mirror, settings)).toMatchObject({ found: 2, isAtEnd: true, skipped: 0 });
    expect(await record(mirror, "example.com/a", "v1.1.0")).toMatchObject({
      state: "PENDING",
      feed: "index",
      feedTime: index.lines[1]?.Timestamp,
      wish: "index feed",
    });
    expect((await mirror.ledger.readWatermark("index"))?.timestamp).toBe(index.lines[2]?.Timestamp);
    await mirror.drain();
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.1.0\n");
    expect(await record(mirror, "other.example/b", "v1.0.0")).toBeUndefined();
    expect(await read(mirror, settings)).toMatchObject({ found: 0, pages: 1, isAtEnd: true });
  });

  test("a first tick without a beginning takes what is new from now on, an overlap included", async () => {
    const { mirror, index } = world(["example.com/a@v1.0.0", "example.com/a@v1.1.0"], (i) =>
      microStamp(START - 2 * HOUR + i * 110 * MINUTE),
    );
    expect(await read(mirror, indexOnly(index))).toMatchObject({ found: 1 });
  });

  test("pages follow each other by the last stamp verbatim, and repeat nothing", async () => {
    const names = Array.from(
      { length: 5_000 },
      (_, i) => `example.com/m${i % 50}@v1.${Math.floor(i / 50)}.0`,
    );
    const stamp = (i: number) => microStamp(START - HOUR + Math.floor(i / 3), i % 7 === 0 ? 1 : 2);
    const index = new MadeIndex();
    index.lines.push(
      ...names.map((name, i) => {
        const [Path = "", Version = ""] = name.split("@");
        return { Path, Version, Timestamp: stamp(i) };
      }),
    );
    index.lines.sort((a, b) => (a.Timestamp < b.Timestamp ? -1 : a.Timestamp > b.Timestamp ? 1 : 0));
    const mirror = new MadeMirror(new MadeUpstream());
    const list = subscribed({ modules: ["example.com"], versions: "all", follow: "none" });
    const settings = indexOnly(index, list, microStamp(START - 2 * HOUR));
    expect(await read(mirror, settings)).toMatchObject({ found: 5_000, isAtEnd: true });
    const stamps = new Set(index.lines.map(({ Timestamp }) => Timestamp));
    expect(index.asked.slice(1).every((since) => stamps.has(since))).toBe(true);
    let recorded = 0;
    for await (const one of mirror.ledger.records()) recorded += one.feed === "index" ? 1 : 0;
    expect(recorded).toBe(5_000);
    const wished: string[] = [];
    for await (const key of mirror.vault.keys("inbox/")) {
      const [, time = ""] = /index\/(.*)\.json/.exec(key) ?? [];
      wished.push(...((await readRequestBody(mirror.parts, { name: "index", time })).alone ?? []));
    }
    expect([wished.length, new Set(wished).size]).toEqual([5_000, 5_000]);
  });

  test("a full page of one moment is said, stepped over, and what comes after it is found", async () => {
    const at = microStamp(START - 10 * MINUTE);
    const index = new MadeIndex();
    for (let i = 0; i < 2_100; i++)
      index.lines.push({ Path: `example.com/m${i}`, Version: "v1.0.0", Timestamp: at });
    index.lines.push({
      Path: "example.com/after",
      Version: "v1.0.0",
      Timestamp: microStamp(START - 9 * MINUTE),
    });
    const mirror = new MadeMirror(new MadeUpstream());
    const list = subscribed({ modules: ["example.com"], versions: "all", follow: "none" });
    expect(await read(mirror, indexOnly(index, list))).toMatchObject({ found: 2_001, isAtEnd: true });
    expect(mirror.events).toContainEqual({ event: "indexOverfull", feed: "index", stamp: at });
    expect(await record(mirror, "example.com/after", "v1.0.0")).toBeDefined();
  });

  test("what becomes visible up to half an hour late is found, though newer entries were seen before", async () => {
    const { mirror, index, upstream } = world(["example.com/a@v1.0.0"]);
    const settings = indexOnly(index);
    await read(mirror, settings);
    upstream.add("example.com/late@v1.0.0");
    index.see("example.com/late@v1.0.0", microStamp(START - 45 * MINUTE));
    expect(await read(mirror, settings)).toMatchObject({ found: 1 });
    expect(await read(mirror, settings)).toMatchObject({ found: 0, pages: 1 });
    index.see("example.com/tooLate@v1.0.0".toLowerCase(), microStamp(START - 51 * MINUTE));
    expect(await read(mirror, settings)).toMatchObject({ found: 0 });
  });

  test("order within a moment, and answers that repeat, change nothing", async () => {
    const { mirror, index } = world(
      ["example.com/a@v1.0.0", "example.com/b@v1.0.0", "example.com/c@v1.0.0"],
      () => microStamp(START - MINUTE),
    );
    const settings = indexOnly(index);
    expect((await read(mirror, settings)).found).toBe(3);
    index.lines.reverse();
    index.lines.push(...index.lines);
    expect(await read(mirror, settings)).toMatchObject({ found: 0, pages: 1 });
  });

  test("an idle tick asks the index once and the ledger at most twelve times", async () => {
    const { mirror, index } = world(["example.com/a@v1.0.0"]);
    const settings = indexOnly(index);
    await read(mirror, settings);
    index.asked.length = 0;
    let calls = 0;
    const ledger = new Proxy(mirror.ledger, {
      get: (target, method) => {
        const value = Reflect.get(target, method);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          calls++;
          return Reflect.apply(value, target, args);
        };
      },
    });
    await tick({ ...mirror.parts, ledger }, settings, "one");
    expect(index.asked.length).toBe(1);
    expect(calls).toBeLessThanOrEqual(12);
    expect(calls).toBeGreaterThan(0);
    // Once a day what has come to its end is forgotten.
    const usual = calls;
    for (const [hours, more] of [
      [1, 0],
      [24, 2],
    ] as const) {
      calls = 0;
      mirror.clock.ms += hours * HOUR;
      await tick({ ...mirror.parts, ledger }, settings, "one");
      expect(calls).toBe(usual + more);
    }
  });

  test.each([
    ["429", new MirrorError("transient", "index", "index: 429", { retryAfter: 60_000 })],
    ["a page", Buffer.from("<html>sign in</html>")],
  ])("%s in the middle keeps what was read, and the next tick goes on from there", async (_, fault) => {
    const index = new MadeIndex();
    for (let i = 0; i < 4_500; i++)
      index.lines.push({
        Path: `example.com/m${i}`,
        Version: "v1.0.0",
        Timestamp: microStamp(START - HOUR + i * 100),
      });
    const mirror = new MadeMirror(new MadeUpstream());
    const list = subscribed({ modules: ["example.com"], versions: "all", follow: "none" });
    const settings = indexOnly(index, list, microStamp(START - 2 * HOUR));
    index.fault = () => (index.asked.length === 2 ? fault : undefined);
    const first = await read(mirror, settings);
    expect(first).toMatchObject({ found: 2_000, isAtEnd: false, until: index.lines[1999]?.Timestamp });
    expect(first.problem?.class).toBe(fault instanceof Error ? "transient" : "malformed");
    expect(await read(mirror, settings)).toMatchObject({ found: 2_500, isAtEnd: true });
  });

  test("an index that does not heed since ends the tick instead of running for ever", async () => {
    const index = new MadeIndex();
    for (let i = 0; i < 2_000; i++)
      index.lines.push({
        Path: `example.com/m${i}`,
        Version: "v1.0.0",
        Timestamp: microStamp(START - HOUR + i),
      });
    const { lines } = index;
    index.fault = () => Buffer.from(lines.map((line) => JSON.stringify(line)).join("\n"));
    const mirror = new MadeMirror(new MadeUpstream());
    const list = subscribed({ modules: ["example.com"], versions: "all", follow: "none" });
    const settings = indexOnly(index, list, microStamp(START - 2 * HOUR));
    const { problem, found } = await read(mirror, settings);
    expect([problem?.class, found]).toEqual(["malformed", 2_000]);
    let made = 0;
    const madeUp = (Timestamp: string) =>
      JSON.stringify({ Path: `example.com/x${made++}`, Version: "v1.0.0", Timestamp });
    index.fault = () => Buffer.from(`${madeUp("2200-01-01T00:00:00Z")}\n${madeUp("2026-11-23T07:00:00Z")}`);
    expect((await read(mirror, settings)).problem?.class).toBe("malformed");
  });

  test("a stamp in the future brings its version, but moves no watermark there", async () => {
    const { mirror, index, upstream } = world(["example.com/a@v1.0.0"]);
    upstream.add("example.com/f@v1.0.0");
    const seen = index.lines[0]?.Timestamp;
    index.see("example.com/f@v1.0.0", "9999-12-31T23:59:59.999999Z");
    expect(await read(mirror, indexOnly(index))).toMatchObject({ found: 2, until: seen });
    upstream.add("example.com/a@v1.1.0");
    index.see("example.com/a@v1.1.0", microStamp(mirror.clock.ms));
    expect(await read(mirror, indexOnly(index))).toMatchObject({ found: 1 });
  });

  test("bad lines hold up nothing and are said", async () => {
    const { mirror, index } = world(["example.com/a@v1.0.0"]);
    index.lines.unshift({ Path: "../../etc", Version: "v1.0.0", Timestamp: microStamp(START - 21 * MINUTE) });
    expect(await read(mirror, indexOnly(index))).toMatchObject({ found: 1, skipped: 1 });
    expect(mirror.events).toContainEqual(expect.objectContaining({ event: "indexSkipped", lines: 1 }));
  });

  test("a deadline ends a tick between pages, and the next goes on from the watermark", async () => {
    const index = new MadeIndex();
    for (let i = 0; i < 4_500; i++)
      index.lines.push({
        Path: `example.com/m${i}`,
        Version: "v1.0.0",
        Timestamp: microStamp(START - HOUR + i * 100),
      });
    const mirror = new MadeMirror(new MadeUpstream());
    const list = subscribed({ modules: ["example.com"], versions: "all", follow: "none" });
    const settings = indexOnly(index, list, microStamp(START - 2 * HOUR));
    const deadline = { remaining: () => (index.asked.length < 1 ? 100_000 : 5_000) };
    const ticked = await tick(mirror.parts, settings, "one", { deadline });
    expect(ticked).toMatchObject({ indexes: [{ found: 2_000, pages: 1, isAtEnd: false }] });
    expect(await read(mirror, settings)).toMatchObject({ found: 2_500, isAtEnd: true });
  });

  test("two planners never read at once; one whose lease ran out moves no watermark", async () => {
    const { mirror, index } = world(["example.com/a@v1.0.0"]);
    const settings = indexOnly(index);
    const both = await Promise.all([
      tick(mirror.parts, settings, "one"),
      tick(mirror.parts, settings, "two"),
    ]);
    expect(both.map(({ outcome }) => outcome).sort()).toEqual(["skipped", "ticked"]);
    const before = await mirror.ledger.readWatermark("index");
    index.see("example.com/a@v1.1.0", microStamp(mirror.clock.ms));
    let other: Promise<unknown> | undefined;
    index.fault = () => {
      if (other !== undefined) return undefined;
      // This one sleeps; meanwhile another takes over and finishes.
      mirror.clock.ms += TICK_LEASE + 1;
      other = tick(mirror.parts, settings, "two");
      return undefined;
    };
    const slow = await read(mirror, settings);
    await other;
    const after = await mirror.ledger.readWatermark("index");
    expect(slow.problem?.message).toMatch(/another tick/);
    expect(after?.revision).toBe((before?.revision ?? 0) + 2);
    expect(await record(mirror, "example.com/a", "v1.1.0")).toBeDefined();
  });

  test("a watermark that somebody else has moved meanwhile is left where it is", async () => {
    const { mirror, index } = world(["example.com/a@v1.0.0"]);
    const settings = indexOnly(index);
    index.fault = () => {
      const timestamp = "2026-11-23T09:29:00.000001Z";
      void mirror.ledger.moveWatermark({ feed: "index", timestamp, revision: 0 });
      return undefined;
    };
    const { problem, until } = await read(mirror, settings);
    expect(problem?.message).toMatch(/has moved the watermark/);
    expect(await mirror.ledger.readWatermark("index")).toMatchObject({ revision: 1 });
    expect(until).not.toBe("2026-11-23T09:29:00.000001Z");
    index.fault = undefined;
    expect(await read(mirror, settings)).toMatchObject({ found: 0, isAtEnd: true });
  });

  test("a paused mirror reads nothing and says why", async () => {
    const { mirror, index } = world(["example.com/a@v1.0.0"]);
    await setPause(mirror.ledger, { until: START + HOUR, reason: "change freeze", by: "ops" });
    expect(await tick(mirror.parts, indexOnly(index), "one")).toEqual({
      outcome: "paused",
      pause: { reason: "change freeze", by: "ops", until: START + HOUR },
    });
    expect(index.asked).toEqual([]);
    mirror.clock.ms += HOUR;
    expect(await read(mirror, indexOnly(index))).toMatchObject({ found: 0 });
  });

  test("old versions go behind new ones", async () => {
    const { mirror, index, upstream } = world(["example.com/a@v1.0.0"], () => microStamp(START - 30 * HOUR));
    const settings = indexOnly(index, undefined, microStamp(START - 31 * HOUR));
    await read(mirror, settings);
    upstream.add("example.com/a@v1.1.0");
    index.see("example.com/a@v1.1.0", microStamp(START - MINUTE));
    await read(mirror, settings);
    const names: string[] = [];
    for await (const key of mirror.vault.keys("inbox/")) names.push(key.split("/")[2] ?? "");
    expect(names.sort()).toEqual(["index", "index.backfill"]);
  });
});

describe("subscriptions on the index feed", () => {
  const at = (minutes: number) => microStamp(START - minutes * MINUTE);

  test("latest takes what is newer than all that the mirror has, no backport, and asks @latest at first", async () => {
    const { mirror, index, upstream } = world([]);
    for (const version of ["v1.0.0", "v1.9.0", "v1.10.0-rc.1"]) upstream.add(`example.com/a@${version}`);
    index.see("example.com/a@v1.0.0", at(20));
    const settings = indexOnly(index, subscribed({ modules: ["example.com"] }));
    await read(mirror, settings);
    await mirror.drain();
    // The one that the index named, which was new then as far as we could tell, and what upstream calls the latest.
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.9.0\n");
    upstream.add("example.com/a@v1.0.1");
    index.see("example.com/a@v1.0.1", at(10));
    index.see("example.com/a@v1.10.0-rc.1", at(9));
    expect((await read(mirror, settings)).found).toBe(0);
    upstream.add("example.com/a@v1.10.0");
    index.see("example.com/a@v1.10.0", at(5));
    expect((await read(mirror, settings)).found).toBe(1);
  });

  test("retracted versions are skipped where a held go.mod says so, never the highest", async () => {
    const { mirror, index, upstream } = world([]);
    upstream.add("example.com/a@v1.5.0", { text: "module example.com/a\n\nretract [v1.0.0, v1.9.0]\n" });
    index.see("example.com/a@v1.5.0", at(20));
    const settings = indexOnly(
      index,
      subscribed({ modules: ["example.com"], versions: "all", retracted: "skip" }),
    );
    expect((await read(mirror, settings)).found).toBe(1);
    await mirror.drain();
    for (const [name, seen] of [
      ["v1.4.9", at(10)],
      ["v1.5.1", at(9)],
      ["v0.9.0", at(8)],
    ] as const) {
      upstream.add(`example.com/a@${name}`, { text: "module example.com/a\n\nretract [v1.0.0, v1.9.0]\n" });
      index.see(`example.com/a@${name}`, seen);
    }
    // What is new and the highest may say otherwise: it comes first.
    expect((await read(mirror, settings)).found).toBe(1);
    await mirror.drain();
    expect((await read(mirror, settings)).found).toBe(1);
    await mirror.drain();
    expect(await mirror.text("example.com/a/@v/list")).toBe("v0.9.0\nv1.5.0\nv1.5.1\n");
    upstream.add("example.com/a@v1.4.8");
    index.see("example.com/a@v1.4.8", at(5));
    expect((await read(mirror, settings)).found).toBe(0);
    expect(await record(mirror, "example.com/a", "v1.4.8")).toBeUndefined();
  });

  test("what a graph brought in before becomes a root when the index names it", async () => {
    const { mirror, index } = world(["example.com/a@v1.0.0"]);
    await mirror.request({ exact: ["example.com/a@v1.0.0"] });
    expect(await mirror.text("example.com/a/@v/list")).toBe("");
    expect((await read(mirror, indexOnly(index))).found).toBe(1);
    await mirror.drain();
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
  });

  test("what policy or a block keeps out is a root too, and stays out", async () => {
    const { mirror, index } = world(["example.com/a@v1.0.0", "example.com/b@v1.0.0"]);
    const versions = ["example.com/a", "example.com/b"].map((path) => moduleVersion(path, "v1.0.0"));
    const states = ["HELD", "BLOCKED"] as const;
    await updateRecords(mirror.ledger, versions, (_, version) => {
      const { due: _due, ...fields } = want(undefined, version, "mod", "sync", START, true);
      return { ...fields, state: version.path.endsWith("a") ? states[0] : states[1] };
    });
    expect((await read(mirror, indexOnly(index))).found).toBe(2);
    const records = await mirror.ledger.read(versions);
    expect(records.map((one) => [one?.state, one?.wanted, one?.wish])).toEqual(
      states.map((state) => [state, "whole", "index feed"]),
    );
    expect((await completeUntil(mirror.ledger, "index", mirror.clock.ms))?.open).toBe(0);
  });

  test("other subscriptions look at the overlap again", async () => {
    const { mirror, index } = world(["example.com/a@v1.0.0", "other.example/b@v1.0.0"]);
    expect((await read(mirror, indexOnly(index))).found).toBe(1);
    const more = subscribed({ modules: ["example.com", "other.example"], versions: "all" });
    expect((await read(mirror, indexOnly(index, more))).found).toBe(1);
  });
});

describe("how far the feed is complete", () => {
  const hours = ["example.com/a@v1.0.0", "example.com/b@v1.0.0", "example.com/c@v1.0.0"];
  const settingsOf = (index: MadeIndex) => indexOnly(index, undefined, microStamp(START - 6 * HOUR));
  const inHours = () => world(hours, (i) => microStamp(START - (5 - i) * HOUR));

  test("to the hour of the first root at work, then to where it was read", async () => {
    const { mirror, index, upstream } = inHours();
    expect(await completeUntil(mirror.ledger, "index", mirror.clock.ms)).toBeUndefined();
    await read(mirror, settingsOf(index));
    expect(await completeUntil(mirror.ledger, "index", mirror.clock.ms)).toEqual({
      until: "2026-11-23T04:00:00Z",
      open: 1,
    });
    upstream.wrong.set("zip example.com/b@v1.0.0", new MirrorError("transient", "b", "b: 503"));
    await mirror.drain();
    expect(await completeUntil(mirror.ledger, "index", mirror.clock.ms)).toEqual({
      until: "2026-11-23T05:00:00Z",
      open: 1,
    });
    upstream.wrong.clear();
    await mirror.pass(15);
    const done = await completeUntil(mirror.ledger, "index", mirror.clock.ms);
    expect(done?.open).toBe(0);
    expect(done?.until.slice(0, 16)).toBe("2026-11-23T09:30");
  });

  test.each([
    ["absent", "GONE"],
    ["withheld", "WITHHELD"],
  ] as const)("%s holds nothing back", async (errorClass, state) => {
    const { mirror, index, upstream } = inHours();
    upstream.wrong.set("zip example.com/b@v1.0.0", new MirrorError(errorClass, "b", "b: no"));
    await read(mirror, settingsOf(index));
    await mirror.drain();
    expect((await record(mirror, "example.com/b", "v1.0.0"))?.state).toBe(state);
    expect(await completeUntil(mirror.ledger, "index", mirror.clock.ms)).toMatchObject({ open: 0 });
  });

  test("a version that never heals holds it for two days, and then never again", async () => {
    const { mirror, index, upstream } = inHours();
    upstream.wrong.set("zip example.com/b@v1.0.0", new MirrorError("transient", "b", "b: 503"));
    await read(mirror, settingsOf(index));
    const seen: string[] = [];
    for (let hour = 0; hour < 80; hour++) {
      mirror.clock.ms += HOUR;
      await mirror.pass(1);
      await read(mirror, settingsOf(index));
      seen.push((await completeUntil(mirror.ledger, "index", mirror.clock.ms))?.until ?? "");
    }
    expect((await record(mirror, "example.com/b", "v1.0.0"))?.state).toBe("BROKEN");
    expect(seen[0]).toBe("2026-11-23T05:00:00Z");
    expect([...seen].sort()).toEqual(seen);
    expect(seen.at(-1)?.slice(0, 10)).toBe("2026-11-26");
    // Tried again after its long wait, it does not reopen an hour that is done.
    mirror.clock.ms += 30 * 24 * HOUR;
    await read(mirror, settingsOf(index));
    const before = (await completeUntil(mirror.ledger, "index", mirror.clock.ms))?.until ?? "";
    await reconcile(mirror.parts, { onlyWriter: false });
    expect((await record(mirror, "example.com/b", "v1.0.0"))?.state).toBe("PENDING");
    expect((await completeUntil(mirror.ledger, "index", mirror.clock.ms))?.until).toBe(before);
    expect(before.slice(0, 10)).toBe(stampOf(mirror.clock.ms).slice(0, 10));
  });
});
