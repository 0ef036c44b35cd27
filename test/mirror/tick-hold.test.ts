import { afterEach, expect, test, vi } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import type { MirrorError } from "../../mirror/errors.ts";
import { collectGarbage } from "../../mirror/garbage/collect.ts";
import type { MirrorParts } from "../../mirror/parts.ts";
import { reconcileTick } from "../../mirror/reconcile.ts";
import { takeSnapshot } from "../../mirror/snapshot/take.ts";
import { Subscriptions } from "../../mirror/subscription.ts";
import { tick } from "../../mirror/tick.ts";
import { ALL_TICKS, holdTicks, type TickHoldParts } from "../../mirror/tick-hold.ts";
import { underLease } from "../../mirror/tick-lease.ts";

afterEach(() => vi.useRealTimers());

/** A clock that goes on by `step` with each look at it. */
function world(step = 0) {
  const ledger = new MemoryLedger();
  const clock = { now: 1_000_000 };
  const waited: string[] = [];
  const parts = (owner: string): TickHoldParts => ({
    ledger,
    now: () => {
      clock.now += step;
      return clock.now;
    },
    owner,
    mirror: "aws:team",
    waiting: (lease) => waited.push(lease),
  });
  const runs = async (name: string) =>
    (await underLease({ ledger, now: () => clock.now }, name, "function", async () => true)) === true;
  return { ledger, clock, waited, parts, runs };
}

test("while ticks are held none of them runs, others do, and afterwards all do", async () => {
  const { parts, runs } = world();
  const hold = await holdTicks(parts("a"), ["garbage"]);
  expect([await runs("garbage"), await runs("plan")]).toEqual([false, true]);
  hold.check();
  await hold.release();
  expect(await runs("garbage")).toBe(true);
  const all = await holdTicks(parts("a"), ALL_TICKS);
  expect(await Promise.all(ALL_TICKS.map(runs))).toEqual([false, false, false, false]);
  await all.release();
  expect(await Promise.all(ALL_TICKS.map(runs))).toEqual([true, true, true, true]);
});

test("the ticks are those of the functions, by the names that they take their leases by", async () => {
  const { ledger, clock, parts } = world();
  const now = () => clock.now;
  // None looks at anything else before its lease.
  const mirror = { ledger, now } as unknown as MirrorParts;
  const ran = async () => [
    (await tick(mirror, { subscriptions: new Subscriptions([]), indexes: [] }, "function")).outcome,
    (await reconcileTick(mirror, "function").catch(() => undefined))?.skipped,
    (await takeSnapshot(mirror as never, { owner: "function" }).catch(() => undefined))?.outcome,
    (await collectGarbage(mirror as never, { owner: "function" } as never).catch(() => undefined))?.outcome,
  ];
  const hold = await holdTicks(parts("a"), ALL_TICKS);
  expect(await ran()).toEqual(["skipped", true, "busy", "at work elsewhere"]);
  await hold.release();
  const after = await ran();
  expect(after[0]).toBe("ticked");
  expect(after.slice(1)).not.toContain(true);
  expect(after.slice(2)).toEqual([undefined, undefined]);
});

test("a tick that is at work is waited for, and told of once", async () => {
  const { ledger, clock, parts, waited } = world();
  await ledger.takeLease("plan", "function", clock.now, clock.now + 300_000);
  setTimeout(() => void ledger.releaseLease("plan", "function"), 1_500);
  const hold = await holdTicks(parts("a"), ALL_TICKS);
  expect(waited).toEqual(["plan"]);
  await hold.release();
});

test.each([
  ["plan", /^aws:team: its feeds are being read; `modferry pause` them, and try again in five minutes$/],
  ["reconcile", /^aws:team: its function for reconcile is at work; try again in five minutes$/],
  ["by-hand", /^aws:team: an import, a rollback or a rebuild is under way by another operator; try again/],
])("who waits for %s for too long is told so in a line, and holds nothing", async (name, line) => {
  const { ledger, clock, parts, runs } = world(30_000);
  await ledger.takeLease(name, "other", clock.now, clock.now + 3_600_000);
  const error = await holdTicks(parts("a"), ALL_TICKS).catch((thrown: MirrorError) => thrown);
  expect(error).toMatchObject({ class: "misuse", message: expect.stringMatching(line) });
  for (const other of ALL_TICKS) expect([other, await runs(other)]).toEqual([other, other !== name]);
});

test("a hold is renewed as long as its process lives, and ends by itself soon after", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const { clock, parts, runs } = world();
  const hold = await holdTicks(parts("a"), ["garbage"]);
  for (let round = 0; round < 10; round++) {
    clock.now += 25_000;
    await vi.advanceTimersByTimeAsync(25_000);
    hold.check();
    expect(await runs("garbage")).toBe(false);
  }
  // Killed: nobody renews it.
  clock.now += 100_000;
  expect(await runs("garbage")).toBe(true);
});

test("who slept until others could go on writes no more, also where nobody did", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const { ledger, clock, parts } = world();
  const hold = await holdTicks(parts("a"), ["garbage"]);
  clock.now += 95_000;
  const message = /^aws:team: this process gave no sign of life for too long/;
  expect(() => hold.check()).toThrow(message);
  await vi.advanceTimersByTimeAsync(25_000);
  expect(() => hold.check(), "after it has woken").toThrow(message);
  await hold.release();
  expect(await ledger.takeLease("garbage", "b", clock.now, clock.now + 1)).toBe(true);
});

test("what was lost to somebody else is not given back by release", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const { ledger, clock, parts, runs } = world();
  const hold = await holdTicks(parts("a"), ["garbage"]);
  clock.now += 95_000;
  expect(await ledger.takeLease("garbage", "b", clock.now, clock.now + 90_000)).toBe(true);
  await hold.release();
  expect(await runs("garbage")).toBe(false);
});
