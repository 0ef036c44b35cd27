import { describe, expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import {
  liftPause,
  maintenanceWindows,
  readPause,
  readPauseUnder,
  setMaintenance,
  setPause,
} from "../../mirror/pause.ts";
import { tick } from "../../mirror/tick.ts";
import { subscribed } from "./made-index.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const HOUR = 3_600_000;
/** A Monday. */
const MONDAY = Date.UTC(2026, 10, 23);

test("a pause lasts until its time or until it is lifted, and another replaces it", async () => {
  const ledger = new MemoryLedger();
  expect(await readPause(ledger, MONDAY)).toBeUndefined();
  await setPause(ledger, { until: MONDAY + HOUR, reason: "freeze", by: "ops" });
  expect(await readPause(ledger, MONDAY)).toEqual({ until: MONDAY + HOUR, reason: "freeze", by: "ops" });
  expect(await readPause(ledger, MONDAY + HOUR)).toBeUndefined();
  await setPause(ledger, { reason: "for good", by: "ops" });
  expect(await readPause(ledger, MONDAY + 1000 * HOUR)).toEqual({ reason: "for good", by: "ops" });
  expect(await liftPause(ledger)).toBe(true);
  expect(await liftPause(ledger)).toBe(false);
  expect(await readPause(ledger, MONDAY)).toBeUndefined();
});

test("maintenance windows come every week, past midnight too, and outlast a pause", async () => {
  const ledger = new MemoryLedger();
  await setMaintenance(ledger, [{ days: ["sun"], from: "22:00", to: "02:00", reason: "backup" }]);
  await setPause(ledger, { until: MONDAY + HOUR, reason: "freeze", by: "ops" });
  expect((await readPause(ledger, MONDAY))?.reason).toBe("freeze");
  expect(await readPause(ledger, MONDAY + HOUR)).toEqual({
    until: MONDAY + 2 * HOUR,
    reason: "backup",
    by: "maintenance window",
  });
  await liftPause(ledger);
  expect((await readPause(ledger, MONDAY - 2 * HOUR))?.reason).toBe("backup");
  expect(await readPause(ledger, MONDAY - 2 * HOUR - 1)).toBeUndefined();
  expect(await readPause(ledger, MONDAY + 2 * HOUR)).toBeUndefined();
  expect(await readPause(ledger, MONDAY + 23 * HOUR)).toBeUndefined();
  expect((await readPause(ledger, MONDAY + 7 * 24 * HOUR))?.reason).toBe("backup");
  await setMaintenance(ledger, []);
  expect(await readPause(ledger, MONDAY)).toBeUndefined();
});

test("a window of the whole day, each day, never ends", async () => {
  const ledger = new MemoryLedger();
  await setMaintenance(ledger, [{ from: "00:00", to: "00:00", reason: "migration" }]);
  for (const hours of [0, 5, 23, 24])
    expect((await readPause(ledger, MONDAY + hours * HOUR))?.reason).toBe("migration");
});

test("two operators at once: both orders are whole, none is lost half", async () => {
  const ledger = new MemoryLedger();
  await Promise.all([
    setPause(ledger, { reason: "one", by: "a" }),
    setMaintenance(ledger, [{ from: "01:00", to: "02:00", reason: "two" }]),
  ]);
  expect((await readPause(ledger, MONDAY))?.reason).toBe("one");
  await liftPause(ledger);
  expect((await readPause(ledger, MONDAY + HOUR))?.reason).toBe("two");
});

test("what is no pause is refused with the field", async () => {
  const ledger = new MemoryLedger();
  await expect(setPause(ledger, { reason: "a\nb", by: "ops" })).rejects.toThrow(/pause: reason: .*control/);
  await expect(setMaintenance(ledger, [{ from: "25:00", to: "02:00", reason: "x" }])).rejects.toThrow(
    /22:30/,
  );
  await ledger.writeItem({ kind: "control", name: "pause", revision: 0, value: { until: 5 } });
  await expect(readPause(ledger, MONDAY)).rejects.toThrow(/pause: until/);
});

describe("the maintenance windows of a configuration", () => {
  const SUNDAYS = { days: ["sun" as const], from: "22:00", to: "02:00", reason: "backup" };
  const world = () => {
    const calls: string[] = [];
    const ledger = new MemoryLedger(({ method, key }) => void calls.push(`${method} ${key}`));
    const mirror = new MadeMirror(new MadeUpstream());
    mirror.clock.ms = MONDAY;
    const nothing = { subscriptions: subscribed(), indexes: [] };
    const ticked = async (maintenance?: readonly (typeof SUNDAYS)[]) => {
      calls.length = 0;
      return await tick(
        { ...mirror.parts, ledger },
        { ...nothing, ...(maintenance && { maintenance }) },
        "one",
      );
    };
    return { mirror, ledger, calls, ticked };
  };

  test("are obeyed by the first tick, which alone writes them down, and shown by the ledger", async () => {
    const { mirror, ledger, calls, ticked } = world();
    const paused = { until: MONDAY + 2 * HOUR, reason: "backup", by: "maintenance window" };
    expect(await ticked([SUNDAYS])).toEqual({ outcome: "paused", pause: paused });
    expect(calls.filter((call) => call.startsWith("ledger.writeItem"))).toEqual(["ledger.writeItem pause"]);
    expect(await readPause(ledger, MONDAY)).toEqual(paused);
    expect((await ticked([SUNDAYS])).outcome).toBe("paused");
    expect(calls).toEqual(["ledger.readItem pause"]);
    mirror.clock.ms = MONDAY + 2 * HOUR;
    expect((await ticked([SUNDAYS])).outcome).toBe("ticked");
    expect(calls.filter((call) => call.startsWith("ledger.writeItem"))).toEqual([]);
  });

  test("replace those of yesterday's, or end them, and take nothing from an operator's pause", async () => {
    const { mirror, ledger, calls, ticked } = world();
    await ticked([SUNDAYS]);
    expect((await ticked([{ ...SUNDAYS, to: "00:00" }])).outcome).toBe("ticked");
    await ticked([SUNDAYS]);
    await setPause(ledger, { until: MONDAY + HOUR, reason: "freeze", by: "ops" });
    expect(await ticked([])).toMatchObject({ outcome: "paused", pause: { reason: "freeze" } });
    mirror.clock.ms = MONDAY + HOUR;
    expect((await ticked([])).outcome).toBe("ticked");
    expect(calls.filter((call) => /writeItem|deleteItem/.test(call))).toEqual([]);
    // A run without a configuration leaves alone what one with it has set.
    await ticked([SUNDAYS]);
    expect((await ticked()).outcome).toBe("paused");
  });

  test("fit into the ledger beside the longest pause", async () => {
    const ledger = new MemoryLedger();
    const most = Array.from({ length: 14 }, () => ({ from: "22:00", to: "02:00", reason: "x".repeat(20) }));
    expect(maintenanceWindows.safeParse(most).success).toBe(true);
    expect(maintenanceWindows.safeParse([...most, most[0]]).success).toBe(false);
    await setPause(ledger, { until: MONDAY, reason: "x".repeat(300), by: "y".repeat(200) });
    expect(await readPauseUnder(ledger, maintenanceWindows.parse(most), MONDAY + HOUR)).toMatchObject({
      reason: "x".repeat(20),
    });
  });
});
