import { describe, expect, test } from "vitest";
import { parseModuleVersion } from "../../gomod/version.ts";
import { completeUntil } from "../../mirror/complete-until.ts";
import { tick } from "../../mirror/tick.ts";
import { answerIndex, printLines } from "../upstream/loopback-index.ts";
import { indexOnly, MadeIndex, microStamp, subscribed } from "./made-index.ts";
import { MadeMirror, MINUTE } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const HOUR = 60 * MINUTE;
const ALONE = subscribed({ modules: ["example.com"], versions: "all", follow: "none" });

/** An index that gives at most `most` lines in an answer, and what a mirror has read of it. */
class Capped {
  readonly index = new MadeIndex();
  readonly mirror = new MadeMirror(new MadeUpstream());
  #seen = 0;

  constructor(most: number) {
    this.index.fault = (since) =>
      Buffer.from(printLines(answerIndex(this.index.lines, since as never, most)));
  }

  see(stamp: string): void {
    this.index.see(`example.com/m${this.#seen++}@v1.0.0`, stamp);
  }

  /** @returns how often the index was asked. */
  async tick(from?: string): Promise<number> {
    this.index.asked.length = 0;
    const ticked = await tick(this.mirror.parts, indexOnly(this.index, ALONE, from), "one");
    if (ticked.outcome !== "ticked") throw new Error(ticked.outcome);
    for (const { problem } of ticked.indexes) if (problem !== undefined) throw problem;
    return this.index.asked.length;
  }

  /** Versions of the index that no record knows. */
  async unknown(): Promise<string[]> {
    const names = this.index.lines.map(({ Path, Version }) => `${Path}@${Version}`);
    const records = await this.mirror.ledger.read(names.map((name) => parseModuleVersion(name)));
    return names.filter((_, at) => records[at] === undefined);
  }
}

describe("an index that gives fewer lines in an answer than the protocol allows", () => {
  test.each([10, 20, 37, 500])("of %i is read to its end, tick by tick", async (most) => {
    const world = new Capped(most);
    const start = world.mirror.clock.ms;
    for (let i = 0; i < 2 * most + 3; i++) world.see(microStamp(start - 50 * MINUTE + i * 1_000));
    await world.tick(microStamp(start - HOUR));
    expect(await world.unknown()).toEqual([]);
    // The overlap alone has more than an answer holds, exactly as many, and fewer.
    for (const more of [1, most, 1, 0, 2, most - 1, 0, 1]) {
      world.mirror.clock.ms += 10 * MINUTE;
      for (let i = 0; i < more; i++) world.see(microStamp(world.mirror.clock.ms - 9 * MINUTE + i));
      await world.tick();
      expect(await world.unknown()).toEqual([]);
    }
    world.mirror.clock.ms += 10 * MINUTE;
    await world.tick();
    const complete = await completeUntil(world.mirror.ledger, "index", world.mirror.clock.ms);
    expect(complete?.open).toBeGreaterThan(0);
  });

  test("of exactly as many as the overlap has: what comes after it is found", async () => {
    const world = new Capped(20);
    const start = world.mirror.clock.ms;
    // One by one, so that no answer ever shows that there was more.
    for (let i = 0; i < 20; i++) {
      world.see(microStamp(start + i * MINUTE));
      world.mirror.clock.ms = start + i * MINUTE + 1_000;
      await world.tick(i === 0 ? microStamp(start - MINUTE) : undefined);
    }
    for (let i = 0; i < 5; i++) {
      world.see(microStamp(start + 20 * MINUTE + i));
      world.mirror.clock.ms += MINUTE;
      await world.tick();
      expect(await world.unknown()).toEqual([]);
    }
  });

  test("with more of one moment than an answer holds: it is said, and what comes later is found", async () => {
    const world = new Capped(20);
    const at = microStamp(world.mirror.clock.ms - 10 * MINUTE);
    for (let i = 0; i < 25; i++) world.see(at);
    for (let i = 0; i < 3; i++) world.see(microStamp(world.mirror.clock.ms - 9 * MINUTE + i));
    await world.tick();
    expect(await world.unknown()).toHaveLength(5);
    expect(world.mirror.events).toContainEqual({ event: "indexOverfull", feed: "index", stamp: at });
  });

  test("once it has given many lines at once, an idle tick asks once, however many are in the overlap", async () => {
    const world = new Capped(2_000);
    const start = world.mirror.clock.ms;
    for (let i = 0; i < 900; i++) world.see(microStamp(start - 2 * HOUR + i * 1_000));
    for (let i = 0; i < 300; i++) world.see(microStamp(start - 20 * MINUTE + i * 1_000));
    await world.tick(microStamp(start - 3 * HOUR));
    expect(await world.tick()).toBe(1);
    world.see(microStamp(start - MINUTE));
    expect(await world.tick()).toBe(2);
    expect(await world.tick()).toBe(1);
    expect(world.mirror.events.filter(({ event }) => event === "indexOverfull")).toEqual([]);
  });
});

describe("a stamp long before the time that the index was asked for", () => {
  test("makes no version older than that time: the cooldown holds it, and its work counts there", async () => {
    const upstream = new MadeUpstream();
    upstream.add("example.com/evil@v1.0.0");
    const mirror = new MadeMirror(upstream, { policy: { cooldown: { age: "7d" } } });
    const index = new MadeIndex();
    index.see("other.example/x@v1.0.0", microStamp(mirror.clock.ms - 1_000));
    await tick(mirror.parts, indexOnly(index), "one");
    mirror.clock.ms += HOUR;
    const forged = { Path: "example.com/evil", Version: "v1.0.0", Timestamp: "2019-04-10T19:08:52.997264Z" };
    index.fault = () => Buffer.from(`${JSON.stringify(forged)}\n`);
    await tick(mirror.parts, indexOnly(index), "one");
    await mirror.drain();
    const [record] = await mirror.ledger.read([parseModuleVersion("example.com/evil@v1.0.0")]);
    expect(record?.state).toBe("HELD");
    expect(record?.feedTime).toMatch(/^2026-11-23T09:00:00/);
    expect(await mirror.text("example.com/evil/@v/v1.0.0.zip")).toBeUndefined();
  });

  test("nor one between the last entry of an index that has been silent for long and when it was last read", async () => {
    const upstream = new MadeUpstream();
    upstream.add("example.com/evil@v1.0.0");
    const mirror = new MadeMirror(upstream, { policy: { cooldown: { age: "7d" } } });
    const index = new MadeIndex();
    const old = microStamp(mirror.clock.ms - 10 * 24 * HOUR);
    index.see("other.example/x@v1.0.0", old);
    await tick(mirror.parts, indexOnly(index, undefined, old), "one");
    mirror.clock.ms += 2 * HOUR;
    index.see("example.com/evil@v1.0.0", microStamp(mirror.clock.ms - 9 * 24 * HOUR));
    await tick(mirror.parts, indexOnly(index), "one");
    await mirror.drain();
    const [record] = await mirror.ledger.read([parseModuleVersion("example.com/evil@v1.0.0")]);
    expect(record?.state).toBe("HELD");
    expect(mirror.clock.ms - Date.parse(record?.feedTime ?? "")).toBeLessThan(3 * HOUR);
  });
});
