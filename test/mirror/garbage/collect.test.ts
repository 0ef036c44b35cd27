import { describe, expect, test } from "vitest";
import { wouldCollect } from "../../../mirror/garbage/collect.ts";
import { approveList } from "../../../mirror/garbage/current-list.ts";
import { dropRequest } from "../../../mirror/garbage/drops.ts";
import { MadeMirror } from "../made-mirror.ts";
import { MadeUpstream } from "../made-upstream.ts";
import { DAY, HOUR, optionsOf, partsOf, run, runs, stateOf } from "./garbage-runs.ts";

const shape = { largestShare: 1 };

function upstream(): MadeUpstream {
  const made = new MadeUpstream();
  made.database.grow(5);
  made.add("example.com/d@v1.0.0");
  made.add("example.com/d@v1.1.0");
  made.add("example.com/b@v1.0.0", { requires: ["example.com/d@v1.0.0"] });
  made.add("example.com/c@v1.0.0", { requires: ["example.com/d@v1.1.0", "example.com/b@v1.0.0"] });
  made.add("example.com/a@v1.0.0", { requires: ["example.com/c@v1.0.0"] });
  return made;
}

const moduleKeys = async (mirror: MadeMirror) =>
  (await mirror.keys()).filter((key) => !key.startsWith("sumdb/"));

describe("what a dropped request needed", () => {
  test("is chosen by one run, off its lists by the next, and gone by the one after; what others need stays", async () => {
    const mirror = new MadeMirror(upstream());
    await mirror.request({ wishes: ["example.com/a@v1.0.0"] }, "one");
    await mirror.request({ wishes: ["example.com/b@v1.0.0"] }, "two");
    const before = await mirror.keys();
    await dropRequest(mirror.parts, "one", "op@host");
    mirror.clock.ms += DAY;

    const first = await run(mirror);
    expect(first.list?.versions).toBe(3);
    expect(first.deleted.versions).toBe(0);
    expect(await mirror.keys()).toEqual(before);
    expect(await stateOf(mirror, "example.com/a@v1.0.0")).toMatchObject({ state: "READY", listed: true });

    mirror.clock.ms += DAY;
    const second = await run(mirror);
    expect(second.acted).toMatchObject({ removing: 3, spared: 0, finished: true });
    expect(await stateOf(mirror, "example.com/a@v1.0.0")).toMatchObject({ state: "REMOVING", listed: false });
    expect(await mirror.text("example.com/a/@v/list")).toBe("");
    expect((await moduleKeys(mirror)).filter((key) => !key.endsWith("@latest"))).toEqual(
      before.filter((key) => !key.startsWith("sumdb/") && !key.endsWith("@latest")),
    );

    mirror.clock.ms += DAY;
    const third = await run(mirror);
    expect(third.deleted.versions).toBe(3);
    expect(third.deleted.bytes).toBeGreaterThan(0);
    expect(await stateOf(mirror, "example.com/a@v1.0.0")).toMatchObject({
      state: "REMOVED",
      held: "nothing",
    });
    expect(await moduleKeys(mirror)).toEqual([
      "example.com/a/@v/list",
      "example.com/b/@latest",
      "example.com/b/@v/list",
      "example.com/b/@v/v1.0.0.info",
      "example.com/b/@v/v1.0.0.mod",
      "example.com/b/@v/v1.0.0.zip",
      "example.com/c/@v/list",
      "example.com/d/@v/list",
      "example.com/d/@v/v1.0.0.info",
      "example.com/d/@v/v1.0.0.mod",
      "example.com/d/@v/v1.0.0.zip",
    ]);
    // Heads, tiles and lookups stay.
    const sumdb = (keys: string[]) => keys.filter((key) => key.startsWith("sumdb/"));
    expect(sumdb(await mirror.keys())).toEqual(sumdb(before));
  });

  test("comes back, with its place in the list, when it is wanted again", async () => {
    const mirror = new MadeMirror(upstream());
    await mirror.request({ wishes: ["example.com/a@v1.0.0"] }, "one");
    await dropRequest(mirror.parts, "one", "op@host");
    await runs(mirror);
    expect(await stateOf(mirror, "example.com/c@v1.0.0")).toMatchObject({ state: "REMOVED" });
    await mirror.request({ wishes: ["example.com/a@v1.0.0"] }, "again");
    expect(await stateOf(mirror, "example.com/c@v1.0.0")).toMatchObject({ state: "READY", held: "whole" });
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
  });
});

describe("a version that is needed for its go.mod alone", () => {
  test("keeps that, and loses its zip", async () => {
    const mirror = new MadeMirror(upstream());
    await mirror.request({ wishes: ["example.com/d@v1.0.0"] }, "one");
    await mirror.request({ wishes: ["example.com/a@v1.0.0"] }, "two");
    await dropRequest(mirror.parts, "one", "op@host");
    await runs(mirror);
    expect(await stateOf(mirror, "example.com/d@v1.0.0")).toEqual({
      state: "READY",
      held: "mod",
      listed: false,
    });
    expect((await moduleKeys(mirror)).filter((key) => key.startsWith("example.com/d/@v/v1.0.0"))).toEqual([
      "example.com/d/@v/v1.0.0.mod",
    ]);
    expect(await stateOf(mirror, "example.com/a@v1.0.0")).toMatchObject({ state: "READY", listed: true });
  });
});

describe("between two runs", () => {
  test("what is wanted again after it was chosen is spared, though its record says nothing new of it", async () => {
    const mirror = new MadeMirror(upstream());
    await mirror.request({ wishes: ["example.com/a@v1.0.0"] }, "one");
    await dropRequest(mirror.parts, "one", "op@host");
    mirror.clock.ms += DAY;
    await run(mirror);
    mirror.clock.ms += HOUR;
    await mirror.request({ wishes: ["example.com/c@v1.0.0"] }, "again");
    mirror.clock.ms += DAY;
    const second = await run(mirror);
    expect(second.acted).toMatchObject({ removing: 1 });
    expect(await stateOf(mirror, "example.com/c@v1.0.0")).toMatchObject({ state: "READY", listed: true });
    expect(await stateOf(mirror, "example.com/a@v1.0.0")).toMatchObject({ state: "REMOVING" });
  });

  test("what is wanted again while it is off its list is as it was, without asking upstream", async () => {
    const made = upstream();
    const mirror = new MadeMirror(made);
    await mirror.request({ wishes: ["example.com/a@v1.0.0"] }, "one");
    await dropRequest(mirror.parts, "one", "op@host");
    mirror.clock.ms += DAY;
    await run(mirror);
    mirror.clock.ms += DAY;
    await run(mirror);
    const asked = made.count();
    await mirror.request({ wishes: ["example.com/a@v1.0.0"] }, "again");
    expect(made.count()).toBe(asked);
    expect(await stateOf(mirror, "example.com/a@v1.0.0")).toMatchObject({ state: "READY", listed: true });
    await runs(mirror);
    expect(await stateOf(mirror, "example.com/d@v1.1.0")).toMatchObject({ state: "READY", held: "whole" });
    expect(mirror.ledger.journalLines.filter(({ event }) => event === "revived").length).toBeGreaterThan(2);
  });
});

describe("a list with more than the largest share", () => {
  test("waits until somebody approves it, with an alarm in each run", async () => {
    const mirror = new MadeMirror(upstream());
    await mirror.request({ wishes: ["example.com/a@v1.0.0"] }, "one");
    await dropRequest(mirror.parts, "one", "op@host");
    const options = { settings: { largestShare: 0.5 } };
    const all = await runs(mirror, options);
    expect(all.map(({ list }) => list?.stopped)).toEqual([true, true, true, true]);
    expect(all.map(({ list }) => list?.from)).toEqual([undefined, undefined, undefined, undefined]);
    expect(mirror.events.filter(({ event }) => event === "garbage-stopped")).toHaveLength(4);
    expect(await stateOf(mirror, "example.com/a@v1.0.0")).toMatchObject({ state: "READY", listed: true });
    await approveList(mirror.ledger, all[0]?.list?.run ?? "", "op@host");
    await runs(mirror, options);
    expect(await stateOf(mirror, "example.com/a@v1.0.0")).toMatchObject({ state: "REMOVED" });
  });
});

describe("requests", () => {
  test("are kept until they expire, the newest of each name alone", async () => {
    const mirror = new MadeMirror(upstream());
    await mirror.request({ wishes: ["example.com/d@v1.0.0"] }, "one");
    mirror.clock.ms += HOUR;
    await mirror.request({ wishes: ["example.com/d@v1.1.0"] }, "one");
    await runs(mirror);
    expect(await stateOf(mirror, "example.com/d@v1.0.0")).toMatchObject({ state: "REMOVED" });
    expect(await stateOf(mirror, "example.com/d@v1.1.0")).toMatchObject({ state: "READY", listed: true });
    mirror.clock.ms += 90 * DAY;
    await runs(mirror);
    expect(await stateOf(mirror, "example.com/d@v1.1.0")).toMatchObject({ state: "REMOVED" });
  });

  test("that replace others count only once they are resolved", async () => {
    const made = upstream();
    const mirror = new MadeMirror(made);
    await mirror.request({ wishes: ["example.com/d@v1.0.0"] }, "one");
    mirror.clock.ms += HOUR;
    await mirror.accept({ wishes: ["example.com/d@v1.1.0"] }, "one");
    await runs(mirror);
    expect(await stateOf(mirror, "example.com/d@v1.0.0")).toMatchObject({ state: "READY", listed: true });
  });

  test("whose closure is lost stop the run", async () => {
    const mirror = new MadeMirror(upstream());
    const { name, time } = await mirror.request({ wishes: ["example.com/d@v1.0.0"] }, "one");
    await mirror.vault.remove(`requests/${name}/${time}/closure.ndjson.zst`);
    await expect(run(mirror)).rejects.toThrow("its closure is lost");
  });

  test("that are over and not done are not tried again, and their objects go", async () => {
    const made = upstream();
    const mirror = new MadeMirror(made);
    const lost = await mirror.request({ wishes: ["example.com/none@v1.0.0"] }, "team/app");
    expect((await mirror.ledger.readRequest(lost))?.state).toBe("INCOMPLETE");
    await dropRequest(mirror.parts, "team/app", "op@host");
    await runs(mirror);
    expect((await mirror.ledger.readRequest(lost))?.state).toBe("ENDED");
    expect(await stateOf(mirror, "example.com/none@v1.0.0")).toMatchObject({ state: "REMOVED" });
    const objects: string[] = [];
    for (const prefix of ["requests/", "inbox/"])
      for await (const key of mirror.vault.keys(prefix)) objects.push(key);
    expect(objects).toEqual([]);
  });
});

describe("what is kept for itself", () => {
  test("is what no checksum database covers, unless the configuration says otherwise", async () => {
    const made = upstream();
    made.add("corp.example/x@v1.0.0", {}, false);
    const mirror = new MadeMirror(made, { unproven: "corp.example" });
    await mirror.request({ wishes: ["corp.example/x@v1.0.0"] }, "one");
    await dropRequest(mirror.parts, "one", "op@host");
    await runs(mirror);
    expect(await stateOf(mirror, "corp.example/x@v1.0.0")).toMatchObject({ state: "READY", listed: true });
    await runs(mirror, { settings: { ...shape, internal: "collect" } });
    expect(await stateOf(mirror, "corp.example/x@v1.0.0")).toMatchObject({ state: "REMOVED" });
  });

  test("is the highest listed version of a module, with its closure, as long as anything of the module is whole", async () => {
    const made = upstream();
    made.add("example.com/b@v1.1.0", { requires: ["example.com/d@v1.1.0"] });
    const mirror = new MadeMirror(made);
    await mirror.request({ wishes: ["example.com/b@v1.0.0"] }, "one");
    await mirror.request({ wishes: ["example.com/b@v1.1.0"] }, "two");
    await dropRequest(mirror.parts, "two", "op@host");
    await runs(mirror);
    expect(await stateOf(mirror, "example.com/b@v1.1.0")).toMatchObject({ state: "READY", listed: true });
    expect(await stateOf(mirror, "example.com/d@v1.1.0")).toMatchObject({ state: "READY", held: "whole" });
    await dropRequest(mirror.parts, "one", "op@host");
    await runs(mirror);
    expect(await stateOf(mirror, "example.com/b@v1.1.0")).toMatchObject({ state: "REMOVED" });
  });
});

test("a dry run writes nothing", async () => {
  const mirror = new MadeMirror(upstream());
  await mirror.request({ wishes: ["example.com/a@v1.0.0"] }, "one");
  await dropRequest(mirror.parts, "one", "op@host");
  mirror.clock.ms += DAY;
  const writes = JSON.stringify(await allOf(mirror));
  const { list, chosen } = await wouldCollect(partsOf(mirror), optionsOf());
  expect(list?.versions).toBe(5);
  expect(chosen.versions.map(({ version: { path, version } }) => `${path}@${version}`)).toEqual([
    "example.com/a@v1.0.0",
    "example.com/b@v1.0.0",
    "example.com/c@v1.0.0",
    "example.com/d@v1.0.0",
    "example.com/d@v1.1.0",
  ]);
  expect(JSON.stringify(await allOf(mirror))).toBe(writes);
});

async function allOf(mirror: MadeMirror) {
  const all: unknown[] = [await mirror.keys()];
  for await (const record of mirror.ledger.records()) all.push(record);
  for await (const request of mirror.ledger.requests()) all.push(request);
  for await (const item of mirror.ledger.items("control")) all.push(item);
  for await (const key of mirror.vault.keys("")) all.push(key);
  return all;
}
