import { describe, expect, test } from "vitest";
import { parseModuleVersion } from "../../gomod/version.ts";
import { block } from "../../mirror/block.ts";
import { completeUntil } from "../../mirror/complete-until.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { BROKEN_AFTER } from "../../mirror/failed-record.ts";
import { openWindow } from "../../mirror/feed-work.ts";
import { ORDER_LOST_AFTER } from "../../mirror/records.ts";
import { tick } from "../../mirror/tick.ts";
import { unblock } from "../../mirror/unblock.ts";
import { freshRecord } from "../contract/ledger-samples.ts";
import { indexOnly, MadeIndex, microStamp } from "./made-index.ts";
import { MadeMirror, MINUTE, type ProcessOptions } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A mirror of an index that sees something of nobody's each time it is asked. */
class World {
  readonly upstream = new MadeUpstream();
  readonly index = new MadeIndex();
  readonly mirror: MadeMirror;

  constructor(options: ProcessOptions = {}, over?: World) {
    if (over !== undefined) {
      this.upstream = over.upstream;
      this.index = over.index;
    }
    this.mirror = new MadeMirror(this.upstream, options, over?.mirror);
  }

  see(name: string, requires: string[] = []): void {
    this.upstream.add(name, { requires });
    this.index.see(name, microStamp(this.mirror.clock.ms - MINUTE));
  }

  /** An hour, at whose end all is done that a minute's and a tick's functions do. */
  async hours(count: number): Promise<void> {
    for (let hour = 0; hour < count; hour++) {
      this.mirror.clock.ms += HOUR - MINUTE;
      await this.mirror.pass(1);
      await this.tick();
    }
  }

  async tick(): Promise<void> {
    this.index.see(
      `other.example/x@v1.${this.index.lines.length}.0`,
      microStamp(this.mirror.clock.ms - 1_000),
    );
    await tick(this.mirror.parts, indexOnly(this.index), "one");
    await this.mirror.drain();
  }

  async state(name: string): Promise<string | undefined> {
    return (await this.mirror.ledger.read([parseModuleVersion(name)]))[0]?.state;
  }

  /** How many hours the feed is behind, in whole hours; and how many roots are at work in the first of them. */
  async behind(): Promise<readonly [hours: number, open: number]> {
    const complete = await completeUntil(this.mirror.ledger, "index", this.mirror.clock.ms);
    if (complete === undefined) throw new Error("never read");
    return [Math.floor((this.mirror.clock.ms - Date.parse(complete.until)) / HOUR), complete.open];
  }

  /** Nothing comes from upstream. */
  breakDown(): void {
    this.upstream.allWrong = (_, subject) => new MirrorError("transient", subject, `${subject}: 502`);
  }

  fail(what: string, errorClass: "transient" | "absent"): void {
    this.upstream.wrong.set(what, new MirrorError(errorClass, what, `${what}: told by the test`));
  }
}

describe("what a feed waits for, however late it comes back to work", () => {
  test("what comes out of the cooldown and fails holds its feed back at its own stamp", async () => {
    const world = new World({ policy: { cooldown: { age: "7d" } } });
    world.see("example.com/a@v1.0.0");
    await world.tick();
    expect(await world.state("example.com/a@v1.0.0")).toBe("HELD");
    expect(await world.behind()).toEqual([0, 0]);
    await world.hours(7 * 24 - 2);
    expect(await world.behind()).toEqual([0, 0]);
    world.breakDown();
    await world.hours(5);
    expect(await world.state("example.com/a@v1.0.0")).toBe("FAILED");
    const [hours, open] = await world.behind();
    expect([hours >= 7 * 24, open]).toEqual([true, 1]);
    world.upstream.allWrong = undefined;
    await world.hours(7);
    expect(await world.mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
    expect(await world.behind()).toEqual([0, 0]);
  });

  test("what nobody takes up although its cooldown is over holds it back too, from the next hour on", async () => {
    const world = new World({ policy: { cooldown: { age: "2d" } } });
    world.see("example.com/a@v1.0.0");
    await world.tick();
    // Feeds are read, but nobody reconciles.
    world.mirror.clock.ms += 2 * DAY - 30 * MINUTE;
    await world.tick();
    expect(await world.behind()).toEqual([0, 0]);
    world.mirror.clock.ms += 2 * HOUR;
    await world.tick();
    const [hours, open] = await world.behind();
    expect(await world.state("example.com/a@v1.0.0")).toBe("HELD");
    expect([hours >= 48, open]).toEqual([true, 1]);
    await world.mirror.pass(1);
    expect(await world.behind()).toEqual([0, 0]);
  });

  test("what another policy lets in, and what is unblocked, holds it back until it is here", async () => {
    const refusing = new World({ policy: { rules: [{ name: "no", deny: ["example.com"], reason: "no" }] } });
    refusing.see("example.com/a@v1.0.0");
    refusing.see("example.com/b@v1.0.0");
    await block(refusing.mirror.parts, "example.com/b@v1.0.0", "bad", "me");
    await refusing.tick();
    await refusing.hours(30);
    expect([
      await refusing.state("example.com/a@v1.0.0"),
      await refusing.state("example.com/b@v1.0.0"),
    ]).toEqual(["DENIED", "BLOCKED"]);
    expect(await refusing.behind()).toEqual([0, 0]);
    const world = new World({ policy: { largestZip: 1e9 } }, refusing);
    world.breakDown();
    await unblock(world.mirror.parts, "example.com/b@v1.0.0", "me");
    await world.hours(2);
    expect([await world.state("example.com/a@v1.0.0"), await world.state("example.com/b@v1.0.0")]).toEqual([
      "FAILED",
      "FAILED",
    ]);
    const [hours, open] = await world.behind();
    expect([hours >= 30, open]).toEqual([true, 2]);
    world.upstream.allWrong = undefined;
    await world.hours(6);
    expect(await world.behind()).toEqual([0, 0]);
  });

  test("one that never heals holds it back until it is BROKEN, and not when it is tried again", async () => {
    const world = new World();
    world.see("example.com/bad@v1.0.0");
    world.see("example.com/gone@v1.0.0");
    world.fail("zip example.com/bad@v1.0.0", "transient");
    world.fail("zip example.com/gone@v1.0.0", "absent");
    await world.tick();
    expect([await world.state("example.com/gone@v1.0.0"), await world.behind()]).toEqual(["GONE", [0, 1]]);
    let isBroken = false;
    const seen = new Set<string | undefined>();
    for (let hour = 0; hour < 24 * 10; hour++) {
      world.mirror.clock.ms += HOUR;
      // What is ordered and not worked on yet is PENDING.
      const { drain } = world.mirror;
      world.mirror.drain = async () => {
        seen.add(await world.state("example.com/gone@v1.0.0"));
        if (isBroken) {
          seen.add(`then ${await world.state("example.com/bad@v1.0.0")}`);
          // The last tick was an hour ago.
          expect(await world.behind()).toEqual([1, 0]);
        }
        await drain.call(world.mirror);
      };
      await world.mirror.pass(1);
      world.mirror.drain = drain;
      await world.tick();
      isBroken ||= (await world.state("example.com/bad@v1.0.0")) === "BROKEN";
    }
    expect([...seen].sort()).toEqual(["GONE", "PENDING", "then BROKEN", "then PENDING"]);
    expect(await world.behind()).toEqual([0, 0]);
  });

  test("a retry is one of what was given up only where it had failed for good before", () => {
    const NOW = Date.UTC(2026, 10, 23);
    const fresh = freshRecord(parseModuleVersion("example.com/a@v1.0.0"));
    const record = { ...fresh, feed: "index", feedTime: "2026-11-20T07:00:00Z", due: NOW + ORDER_LOST_AFTER };
    const lastError = { class: "transient", message: "502" } as const;
    const window = { feed: "index", window: "2026-11-20T07" };
    const failing = { ...record, state: "PENDING", lastError, attempts: 8 } as const;
    expect(openWindow({ ...record, state: "PENDING" })).toEqual(window);
    expect(openWindow({ ...failing, failingSince: NOW - BROKEN_AFTER + 1 })).toEqual(window);
    expect(openWindow({ ...failing, failingSince: NOW - BROKEN_AFTER })).toBeUndefined();
    expect(openWindow({ ...failing, attempts: 7, failingSince: NOW - BROKEN_AFTER })).toEqual(window);
    const stopped = { class: "stopped", message: "" } as const;
    expect(openWindow({ ...failing, lastError: stopped, failingSince: NOW - 90 * DAY })).toEqual(window);
    for (const of of ["absent", "withheld"] as const)
      expect(
        openWindow({ ...failing, lastError: { class: of, message: "" }, failingSince: NOW }),
      ).toBeUndefined();
    const denied = { class: "denied", message: "" } as const;
    expect(openWindow({ ...record, state: "PENDING", lastError: denied })).toEqual(window);
  });
});

describe("a root that waits for its closure", () => {
  test("holds its feed back until it is listed, however long its own files have been here", async () => {
    const world = new World();
    world.upstream.add("example.com/d@v1.0.0");
    world.see("example.com/a@v1.0.0", ["example.com/d@v1.0.0"]);
    world.fail("zip example.com/d@v1.0.0", "transient");
    await world.tick();
    expect(await world.state("example.com/a@v1.0.0")).toBe("READY");
    await world.hours(5);
    expect(await world.mirror.text("example.com/a/@v/list")).toBe("");
    const [hours, open] = await world.behind();
    expect([hours >= 5, open]).toEqual([true, 1]);
    world.upstream.wrong.clear();
    await world.hours(7);
    expect(await world.mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
    expect(await world.behind()).toEqual([0, 0]);
  });

  test("does not once the rest of its closure is not to be had, and does again when that is at work again", async () => {
    const world = new World();
    world.upstream.add("example.com/d@v1.0.0");
    world.see("example.com/a@v1.0.0", ["example.com/d@v1.0.0"]);
    world.fail("zip example.com/d@v1.0.0", "absent");
    await world.tick();
    expect(await world.state("example.com/d@v1.0.0")).toBe("GONE");
    expect(await world.behind()).toEqual([0, 0]);
    await world.hours(3);
    expect(await world.behind()).toEqual([0, 0]);
    // It is there again, but does not come.
    world.fail("zip example.com/d@v1.0.0", "transient");
    await world.hours(24);
    expect(await world.state("example.com/d@v1.0.0")).toBe("FAILED");
    const [hours] = await world.behind();
    expect(hours).toBeGreaterThanOrEqual(27);
  });

  test.each([
    ["is not there", "absent"],
    ["does not come for now", "transient"],
  ] as const)("whose graph has a go.mod that %s", async (_, errorClass) => {
    const world = new World();
    world.upstream.add("example.com/d@v1.0.0");
    world.see("example.com/a@v1.0.0", ["example.com/d@v1.0.0"]);
    world.fail("mod example.com/d@v1.0.0", errorClass);
    await world.tick();
    await world.hours(8);
    expect(await world.state("example.com/a@v1.0.0")).toBe("READY");
    const [hours] = await world.behind();
    expect(hours >= 8).toBe(errorClass === "transient");
    world.upstream.wrong.clear();
    await world.hours(24);
    expect(await world.mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
    expect(await world.behind()).toEqual([0, 0]);
  });

  test("does not where its dependency is kept out, nor where it is blocked after it was listed", async () => {
    const world = new World({ policy: { rules: [{ name: "no-d", deny: ["dep.example"], reason: "no" }] } });
    world.upstream.add("dep.example/d@v1.0.0");
    world.upstream.add("example.com/e@v1.0.0");
    world.see("example.com/a@v1.0.0", ["dep.example/d@v1.0.0"]);
    world.see("example.com/b@v1.0.0", ["example.com/e@v1.0.0"]);
    await world.tick();
    await world.hours(1);
    expect(await world.behind()).toEqual([0, 0]);
    expect(await world.mirror.text("example.com/b/@v/list")).toBe("v1.0.0\n");
    await block(world.mirror.parts, "example.com/e@v1.0.0", "bad", "me");
    expect(await world.mirror.text("example.com/b/@v/list")).toBe("");
    await world.hours(2);
    expect(await world.behind()).toEqual([0, 0]);
  });
});
