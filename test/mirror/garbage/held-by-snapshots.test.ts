import { beforeEach, describe, expect, test } from "vitest";
import { moveMark } from "../../../mirror/bundle/mark.ts";
import { dropRequest } from "../../../mirror/garbage/drops.ts";
import { listSnapshots } from "../../../mirror/snapshot/catalog.ts";
import { pinSnapshot, unpinSnapshot } from "../../../mirror/snapshot/pin.ts";
import type { SnapshotName } from "../../../mirror/snapshot/snapshot-name.ts";
import { takeSnapshot } from "../../../mirror/snapshot/take.ts";
import { MadeMirror } from "../made-mirror.ts";
import { MadeUpstream } from "../made-upstream.ts";
import { memorySpool } from "../snapshot/snapshot-world.ts";
import { DAY, run, runs, stateOf } from "./garbage-runs.ts";

const A = "example.com/a@v1.0.0";
const REMOVED = { state: "REMOVED", held: "nothing", listed: false };

describe("a version that only a snapshot has", () => {
  let mirror: MadeMirror;
  let name: SnapshotName;

  const take = async (): Promise<SnapshotName> => {
    const { tree, vault, ledger, clock } = mirror;
    const parts = { tree, vault, ledger, now: clock.now, spool: memorySpool };
    const taken = await takeSnapshot(parts, { owner: "test", closedAfter: 0 });
    if (taken.outcome !== "taken") throw new Error(`no snapshot: ${taken.outcome}`);
    return taken.header.name;
  };

  beforeEach(async () => {
    const upstream = new MadeUpstream();
    upstream.database.grow(3);
    upstream.add("example.com/b@v1.0.0");
    upstream.add(A, { requires: ["example.com/b@v1.0.0"] });
    mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: [A] }, "one");
    await mirror.request({ wishes: ["example.com/b@v1.0.0"] }, "two");
    mirror.clock.ms += DAY;
    name = await take();
    await dropRequest(mirror.parts, "one", "op@host");
  });

  test("goes off its list, and keeps its files until the snapshot has expired", async () => {
    await runs(mirror);
    expect(await stateOf(mirror, A)).toEqual({ state: "REMOVING", held: "whole", listed: false });
    expect(await mirror.text("example.com/a/@v/v1.0.0.mod")).toContain("module example.com/a");
    // The newest never expires: what is being collected is no more in the next one.
    const next = await take();
    mirror.clock.ms += 7 * DAY;
    expect((await run(mirror)).expired).toEqual([name]);
    expect(await stateOf(mirror, A)).toEqual(REMOVED);
    await runs(mirror);
    const snapshots = await listSnapshots(mirror);
    expect(snapshots.map((entry) => [entry.name, entry.state])).toEqual([
      [name, "expired"],
      [next, "kept"],
    ]);
    const left: string[] = [];
    for await (const key of mirror.vault.keys(`snapshots/${name}/`)) left.push(key);
    expect(left).toEqual([]);
  });

  test.each([
    [
      "is pinned",
      async () => await pinSnapshot(mirror.ledger, { snapshot: name, reason: "release", by: "op", at: 0 }),
    ],
    [
      "is where bundles have brought this mirror to",
      async () => await moveMark(mirror.ledger, { snapshot: name, at: 0 }),
    ],
  ])("stays as it is while that %s", async (_what, hold) => {
    await hold();
    await take().catch(() => undefined);
    mirror.clock.ms += 30 * DAY;
    await runs(mirror);
    expect(await stateOf(mirror, A)).toEqual({ state: "READY", held: "whole", listed: true });
  });

  test("stays while a lease on it runs, and no longer", async () => {
    const until = mirror.clock.ms + 3 * DAY;
    await pinSnapshot(mirror.ledger, {
      snapshot: name,
      holder: "export",
      reason: "export",
      by: "op",
      at: 0,
      until,
    });
    await run(mirror);
    mirror.clock.ms += DAY;
    expect((await run(mirror)).acted?.removing ?? 0).toBe(0);
    mirror.clock.ms += 3 * DAY;
    await runs(mirror);
    expect(await stateOf(mirror, A)).toMatchObject({ state: "REMOVING" });
    await unpinSnapshot(mirror.ledger, name, "export");
  });

  test("is kept after all where somebody pins the snapshot while it is on its way out", async () => {
    await runs(mirror);
    await pinSnapshot(mirror.ledger, { snapshot: name, reason: "release", by: "op", at: 0 });
    const { kept } = await run(mirror);
    expect(kept).toBe(1);
    expect(await stateOf(mirror, A)).toMatchObject({ state: "READY", held: "whole" });
  });

  test("is not touched while a snapshot is being taken", async () => {
    await run(mirror);
    mirror.clock.ms += DAY;
    await mirror.ledger.takeLease("snapshot", "another", mirror.clock.ms, mirror.clock.ms + 300_000);
    expect(await run(mirror)).toMatchObject({ unfinished: true, acted: undefined, kept: 0 });
    expect(await stateOf(mirror, A)).toMatchObject({ state: "READY", listed: true });
  });
});
