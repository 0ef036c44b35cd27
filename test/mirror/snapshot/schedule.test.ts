import { expect, test } from "vitest";
import { snapshotsShape, takeWhenDue } from "../../../mirror/snapshot/schedule.ts";
import { SnapshotWorld } from "./snapshot-world.ts";

const HOUR = 3_600_000;
const OPTIONS = { owner: "tick", closedAfter: 0 };

test("a tick takes one when its time has come, whether something had changed the last time or not", async () => {
  const world = new SnapshotWorld();
  const settings = snapshotsShape.parse({ every: "6h", keep: "1d" });
  const tick = () => takeWhenDue(world.parts, settings, OPTIONS);
  await world.hold("example.com/a@v1.0.0");
  expect(await tick()).toMatchObject({ taken: { outcome: "taken" }, expired: [] });
  world.now += 5 * HOUR;
  await world.hold("example.com/b@v1.0.0");
  expect(await tick()).toBeUndefined();
  // A timer that comes a little early is not put off.
  world.now += HOUR - 20_000;
  expect(await tick()).toMatchObject({ taken: { outcome: "taken" } });
  world.now += 7 * HOUR;
  expect(await tick()).toMatchObject({ taken: { outcome: "unchanged" } });
  world.now += HOUR;
  expect(await tick()).toBeUndefined();
});

test("a tick expires what is older than it is kept, and nothing else", async () => {
  const world = new SnapshotWorld();
  const settings = snapshotsShape.parse({});
  const names: string[] = [];
  for (let day = 0; day < 9; day++) {
    await world.hold(`example.com/a@v1.${day}.0`);
    const done = await takeWhenDue(world.parts, settings, OPTIONS);
    if (done?.taken.outcome !== "taken") throw new Error("not taken");
    names.push(done.taken.header.name);
    expect([day, done.expired]).toEqual([day, day < 7 ? [] : [names[day - 7]]]);
    world.now += 24 * HOUR;
  }
});

test("a tick that fails is tried again by the next, and says so in its note", async () => {
  let broken = true;
  const world = new SnapshotWorld(({ method }) =>
    broken && method === "vault.create" ? { applied: false, sees: new Error("disk full") } : undefined,
  );
  await world.hold("example.com/a@v1.0.0");
  const settings = snapshotsShape.parse({});
  await expect(takeWhenDue(world.parts, settings, OPTIONS)).rejects.toThrow("disk full");
  expect((await world.ledger.readItem("control", "tick/snapshot"))?.value).toMatchObject({
    error: expect.stringContaining("disk full"),
  });
  broken = false;
  expect(await takeWhenDue(world.parts, settings, OPTIONS)).toMatchObject({ taken: { outcome: "taken" } });
});

test.each(["", "1", "0d", "1w", "-1d", "1.5h", "10000d", " 1d"])(
  "%j is no time between snapshots",
  (every) => {
    expect(snapshotsShape.safeParse({ every }).success).toBe(false);
    expect(snapshotsShape.safeParse({ keep: every }).success).toBe(false);
  },
);
