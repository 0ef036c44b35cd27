import { beforeAll, describe, expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { sha256Of } from "../../mirror/body.ts";
import { printCursor } from "../../mirror/feed-cursor.ts";
import { needsPerson, OPEN_STATES, readFigures } from "../../mirror/figures.ts";
import { printMetrics } from "../../mirror/metrics-text.ts";
import { ownPages } from "../../mirror/own-pages.ts";
import { setPause } from "../../mirror/pause.ts";
import { NAMED_STATES, readStatus, type StatusParts } from "../../mirror/status.ts";
import { printStatus } from "../../mirror/status-json.ts";
import { noteTick } from "../../mirror/ticks.ts";
import { describeWithOracle } from "../go-command.ts";
import { prometheusOracle, type ReadPage } from "./prometheus-oracle.ts";
import { MINUTE, NOW, plantRecord } from "./records-in-states.ts";

const all = { states: NAMED_STATES, limit: 20 };
const partsOf = (ledger: StatusParts["ledger"], databases: readonly string[] = []): StatusParts => ({
  ledger,
  now: () => NOW,
  databases,
  feeds: ["index", "poll"],
});

/** One version in each state; the n-th state's was wanted n hours ago. */
async function inEachState(): Promise<MemoryLedger> {
  const ledger = new MemoryLedger();
  for (const [at, state] of OPEN_STATES.entries())
    await plantRecord(ledger, state, `example.com/${state.toLowerCase()}`, 60 * (at + 1), {
      attempts: 3,
      lastError: {
        class: "transient",
        message: `example.com/${state.toLowerCase()}@v1.0.0: because of ${state}`,
      },
      ...(state === "CONFLICT" || state === "BLOCKED" ? {} : { due: NOW + MINUTE }),
      ...(state === "DENIED" ? { rule: "deny example.com/denied" } : {}),
    });
  await plantRecord(ledger, "READY", "example.com/ready", 1);
  return ledger;
}

describe("the status", () => {
  test("counts every state but READY, with the longest wanted, and names each that a person may ask about", async () => {
    const status = await readStatus(partsOf(await inEachState()), all);
    expect(status.states).toEqual(
      OPEN_STATES.map((state, at) => ({ state, versions: 1, oldest: NOW - 60 * (at + 1) * MINUTE })),
    );
    expect(status.versions.map(({ state }) => state)).toEqual(NAMED_STATES);
    expect(NAMED_STATES).not.toContain("PENDING");
    expect(status.versions.find(({ state }) => state === "DENIED")).toEqual({
      version: "example.com/denied@v1.0.0",
      state: "DENIED",
      wanted: "whole",
      held: "nothing",
      since: expect.any(Number),
      attempts: 3,
      class: "transient",
      reason: "example.com/denied@v1.0.0: because of DENIED",
      rule: "deny example.com/denied",
      due: NOW + MINUTE,
    });
  });

  test("names a bounded number of the states that are asked for, the longest wanted first", async () => {
    const ledger = await inEachState();
    for (let at = 0; at < 30; at++) await plantRecord(ledger, "GONE", `example.com/gone${at}`, 1_000 + at);
    const status = await readStatus(partsOf(ledger), { states: ["GONE"], limit: 3 });
    const named = status.versions.map(({ version }) => version);
    expect(named).toEqual([29, 28, 27].map((at) => `example.com/gone${at}@v1.0.0`));
    expect(status.states.find(({ state }) => state === "GONE")?.versions).toBe(31);
  });

  test("a feed is complete up to the first hour in which anything is at work, and no further than it was read", async () => {
    const ledger = new MemoryLedger();
    const figures = () => readFigures(partsOf(ledger));
    expect((await figures()).feeds).toEqual([]);
    const read = { feed: "index", timestamp: "2026-11-23T09:20:00.123456Z", revision: 0 };
    await ledger.moveWatermark(read);
    const watermark = Date.UTC(2026, 10, 23, 9, 20, 0, 123);
    const complete = { feed: "index", watermark, completeUntil: watermark };
    expect((await figures()).feeds).toEqual([{ ...complete, freshness: (NOW - watermark) / 1000 }]);
    const feedTime = "2026-11-23T07:59:59.9Z";
    const record = { path: "example.com/a", version: "v1.0.0" } as never;
    const work = [{ feed: "index", window: feedTime.slice(0, 13), change: 1 as const }];
    await ledger.write([{ record: { ...(record as object), revision: 0, state: "PENDING" } as never, work }]);
    expect((await figures()).feeds).toEqual([
      { feed: "index", watermark, completeUntil: Date.UTC(2026, 10, 23, 7), freshness: 2.5 * 3600 },
    ]);
  });

  test("an index that is merely silent stays fresh, and says how many of its modules fail", async () => {
    const ledger = new MemoryLedger();
    // Read to its end a minute ago, although its newest entry is hours old.
    const cursor = printCursor({ checked: NOW - MINUTE });
    const timestamp = "2026-11-23T05:20:00.123456Z";
    await ledger.moveWatermark({ feed: "index", timestamp, cursor, revision: 0 });
    const polled = { feed: "poll", timestamp: "2026-11-23T09:29:00Z", revision: 0 };
    await ledger.moveWatermark({ ...polled, cursor: printCursor({ checked: NOW - MINUTE, failing: 3 }) });
    const figures = await readFigures(partsOf(ledger));
    const fresh = { completeUntil: NOW - MINUTE, freshness: 60 };
    expect(figures.feeds).toEqual([
      { feed: "index", watermark: Date.UTC(2026, 10, 23, 5, 20, 0, 123), ...fresh },
      { feed: "poll", watermark: NOW - MINUTE, ...fresh, failing: 3 },
    ]);
    expect(printMetrics(figures)).toContain('modferry_feed_failing_modules{feed="poll"} 3\n');
  });

  test("says what is stopped and paused, and that a person is needed for a conflict or a stop only", async () => {
    const ledger = new MemoryLedger();
    const read = () => readFigures(partsOf(ledger, ["sum.example.org", "sum.other.example"]));
    await plantRecord(ledger, "BROKEN", "example.com/broken", 5);
    expect(needsPerson(await read())).toBe(false);
    await setPause(ledger, { until: NOW + MINUTE, reason: "a new disk", by: "me@here" });
    const evidence = sha256Of(Buffer.from("fork"));
    await ledger.writeStop({ database: "sum.example.org", at: NOW, evidence });
    const stopped = await read();
    expect(stopped.pause).toEqual({ until: NOW + MINUTE, reason: "a new disk", by: "me@here" });
    // The other database was never seen here.
    expect(stopped.databases).toEqual([
      { database: "sum.example.org", size: 0, stopped: { at: NOW, evidence } },
    ]);
    expect(needsPerson(stopped)).toBe(true);
    await ledger.liftStop({ database: "sum.example.org", at: NOW, evidence });
    await plantRecord(ledger, "CONFLICT", "example.com/conflict", 5);
    expect(needsPerson(await read())).toBe(true);
  });

  test("an upstream that is stopped or left alone is named with its host", async () => {
    const ledger = new MemoryLedger();
    const stop = { at: NOW, reason: "401: give a new token", probeAt: NOW + MINUTE };
    const value = { next: 0, notBefore: NOW + MINUTE, share: 1, shareAt: 0 };
    await ledger.writeItem({ kind: "upstream", name: "proxy.example.com", revision: 0, value });
    await ledger.writeItem({ kind: "upstream", name: "proxy.example.com/go", revision: 0, value: { stop } });
    const figures = await readFigures(partsOf(ledger));
    expect(needsPerson(figures)).toBe(true);
    const { upstreams } = figures;
    expect(upstreams).toEqual([
      {
        host: "proxy.example.com",
        stopped: [{ path: "/go", at: NOW, reason: "401: give a new token" }],
        notBefore: NOW + MINUTE,
      },
    ]);
  });

  test("open requests are named, those that are done are not", async () => {
    const ledger = new MemoryLedger();
    const open = { name: "team", time: "20261123T080000000Z", revision: 0, tier: "tidy" } as const;
    await ledger.writeRequest({ ...open, state: "INCOMPLETE", total: 9, missing: 2, due: NOW + MINUTE });
    await ledger.writeRequest({ ...open, name: "done", state: "DONE", total: 9, missing: 0 });
    const { requests } = await readStatus(partsOf(ledger), all);
    expect(requests).toEqual([
      {
        request: "team/20261123T080000000Z",
        state: "INCOMPLETE",
        tier: "tidy",
        since: NOW - 90 * MINUTE,
        total: 9,
        missing: 2,
        error: undefined,
        due: NOW + MINUTE,
      },
    ]);
  });

  test("in JSON its times are RFC 3339, and outside text neither ends the line nor is obeyed", async () => {
    const ledger = await inEachState();
    const message = 'up\u2028stream\n{"state":"READY"}\u001b[2J\u009b2J\u202e';
    await plantRecord(ledger, "FAILED", "example.com/hostile", 7, {
      lastError: { class: "malformed", message },
      due: Number.MAX_SAFE_INTEGER,
    });
    const text = printStatus(await readStatus(partsOf(ledger), all));
    expect(text).toMatch(/^[\x20-\x7e]+$/);
    const read = JSON.parse(text);
    expect(read).toMatchObject({ format: 1, at: "2026-11-23T09:30:00.000Z" });
    const hostile = read.versions.find(({ version }: { version: string }) => version.includes("hostile"));
    expect(hostile).toMatchObject({ reason: message, due: null, since: "2026-11-23T09:23:00.000Z" });
  });
});

describe("a tick's note", () => {
  test("keeps when one last ended well, and what was wrong with the last; a skipped one leaves no note", async () => {
    const ledger = new MemoryLedger();
    let clock = NOW;
    const parts = { ledger, now: () => clock };
    const tick = async () => (await readFigures(partsOf(ledger))).ticks;
    expect(
      await noteTick(
        parts,
        "plan",
        async () => ({ skipped: true }),
        ({ skipped }) => skipped,
      ),
    ).toEqual({ skipped: true });
    expect(await tick()).toEqual([]);
    await noteTick(parts, "plan", async () => {
      clock += 1_500;
      return {};
    });
    expect(await tick()).toEqual([{ name: "plan", at: NOW + 1_500, took: 1_500, succeeded: NOW + 1_500 }]);
    clock += MINUTE;
    const broken = noteTick(parts, "plan", () => Promise.reject(new Error("told by the test")));
    await expect(broken).rejects.toThrow("told by the test");
    expect(await tick()).toMatchObject([
      { name: "plan", at: NOW + 1_500 + MINUTE, succeeded: NOW + 1_500, error: "plan: told by the test" },
    ]);
  });

  test("a ledger that does not answer fails no tick", async () => {
    const refuse = () => Promise.reject(new Error("told by the test"));
    const ledger = { readItem: refuse, writeItem: refuse };
    expect(await noteTick({ ledger, now: () => NOW }, "plan", async () => ({ skipped: false }))).toEqual({
      skipped: false,
    });
  });
});

describe("the pages of the mirror itself", () => {
  test("cost the ledger once in half a minute, however many ask at once", async () => {
    let counted = 0;
    class Counting extends MemoryLedger {
      override countState(state: Parameters<MemoryLedger["countState"]>[0]) {
        counted++;
        return super.countState(state);
      }
    }
    let clock = NOW;
    const ledger = new Counting();
    const pages = ownPages(
      async () => partsOf(ledger),
      () => clock,
    );
    const [first, ...others] = await Promise.all(Array.from({ length: 50 }, () => pages.metrics()));
    expect(new Set(others)).toEqual(new Set([first]));
    expect(counted).toBe(OPEN_STATES.length);
    clock += 31_000;
    await pages.metrics();
    expect(counted).toBe(2 * OPEN_STATES.length);
  });

  test("one that could not be read is asked for again by the next", async () => {
    const ledger = await inEachState();
    let broken = true;
    const pages = ownPages(
      async () => {
        if (broken) throw new Error("told by the test");
        return partsOf(ledger);
      },
      () => NOW,
    );
    await expect(pages.status()).rejects.toThrow("told by the test");
    broken = false;
    expect(JSON.parse(await pages.status())).toMatchObject({ format: 1 });
  });
});

describeWithOracle("the metrics, read by Prometheus's own parser", () => {
  let read: (page: string) => ReadPage;
  beforeAll(() => {
    read = prometheusOracle();
  }, 300_000);

  test("of an empty mirror and of one with all there is are without a fault that promtool finds", async () => {
    const empty = read(printMetrics(await readFigures(partsOf(new MemoryLedger()))));
    expect(empty).toMatchObject({ error: "", problems: [] });
    expect(Object.keys(empty.families).sort()).toEqual([
      "modferry_blocks",
      "modferry_paused",
      "modferry_versions",
    ]);

    const ledger = await inEachState();
    await ledger.moveWatermark({ feed: "index", timestamp: "2026-11-23T09:00:00Z", revision: 0 });
    await setPause(ledger, { until: NOW + MINUTE, reason: "a new disk", by: "me@here" });
    await noteTick({ ledger, now: () => NOW }, "plan", async () => ({}));
    const stop = { at: NOW, reason: "401", probeAt: NOW };
    const value = { notBefore: NOW - MINUTE };
    await ledger.writeItem({ kind: "upstream", name: "proxy.example.com", revision: 0, value });
    await ledger.writeItem({ kind: "upstream", name: "proxy.example.com/", revision: 0, value: { stop } });
    const evidence = sha256Of(Buffer.from("fork"));
    const database = 'sum.example.org"\\\n} 1\nforged 1\u00fc';
    await ledger.writeStop({ database, at: NOW, evidence });
    const full = read(printMetrics(await readFigures(partsOf(ledger, [database]))));
    expect(full).toMatchObject({ error: "", problems: [] });
    const samples = Object.fromEntries(
      Object.entries(full.families).map(([name, { type, samples: found }]) => {
        expect(type).toBe("GAUGE");
        return [name, found.map(({ labels, value: figure }) => [...Object.values(labels), figure])];
      }),
    );
    expect(samples).toEqual({
      modferry_feed_freshness_seconds: [["index", 1_800]],
      modferry_feed_complete_until_timestamp_seconds: [["index", Date.UTC(2026, 10, 23, 9) / 1000]],
      modferry_feed_watermark_timestamp_seconds: [["index", Date.UTC(2026, 10, 23, 9) / 1000]],
      modferry_versions: OPEN_STATES.map((state) => [state, 1]),
      modferry_oldest_version_age_seconds: OPEN_STATES.map((state, at) => [state, 3_600 * (at + 1)]),
      modferry_last_tick_timestamp_seconds: [["plan", NOW / 1000]],
      modferry_last_tick_success_timestamp_seconds: [["plan", NOW / 1000]],
      modferry_last_tick_duration_seconds: [["plan", 0]],
      modferry_sumdb_tree_size: [[database, 0]],
      modferry_sumdb_stopped: [[database, 1]],
      modferry_upstream_stopped: [["proxy.example.com", 1]],
      modferry_upstream_throttled: [["proxy.example.com", 0]],
      modferry_paused: [[1]],
      modferry_blocks: [
        ["true", 0],
        ["false", 0],
      ],
    });
  });
});
