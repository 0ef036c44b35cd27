import { expect, test } from "vitest";
import { parseModuleVersion } from "../../../gomod/version.ts";
import { collectGarbage } from "../../../mirror/garbage/collect.ts";
import { readCurrentList } from "../../../mirror/garbage/current-list.ts";
import { dropRequest } from "../../../mirror/garbage/drops.ts";
import { readList } from "../../../mirror/garbage/garbage-list.ts";
import { readReferences } from "../../../mirror/garbage/references.ts";
import { sweepVersions } from "../../../mirror/garbage/sweep.ts";
import { MadeMirror, MINUTE } from "../made-mirror.ts";
import { MadeUpstream } from "../made-upstream.ts";
import { DAY, optionsOf, partsOf, run, stateOf } from "./garbage-runs.ts";

const A = "example.com/a@v1.0.0";
const B = "example.com/b@v1.0.0";

async function chosen(): Promise<MadeMirror> {
  const upstream = new MadeUpstream();
  upstream.database.grow(3);
  upstream.add(B);
  upstream.add(A, { requires: [B] });
  const mirror = new MadeMirror(upstream);
  await mirror.request({ wishes: [A] }, "one");
  await dropRequest(mirror.parts, "one", "op@host");
  mirror.clock.ms += DAY;
  await run(mirror);
  mirror.clock.ms += DAY;
  return mirror;
}

test("what is wanted after a run has read all references, and before it takes it, is spared", async () => {
  const mirror = await chosen();
  const kept = async function* () {};
  const references = await readReferences(partsOf(mirror), { ...optionsOf(), kept });
  const current = await readCurrentList(mirror.ledger);
  const list = await readList(mirror.parts, current?.run ?? "", current?.sha256 ?? "");
  expect(list.versions).toHaveLength(2);
  // Both are held: nothing is fetched, and no record says anything but that it was wanted.
  await mirror.request({ wishes: [B] }, "again");
  expect(await sweepVersions(mirror.parts, references, list.versions)).toEqual({ removing: 1, spared: 1 });
  expect(await stateOf(mirror, B)).toMatchObject({ state: "READY", listed: true });
});

test("files stay for a quarter of an hour after a version went off its list", async () => {
  const mirror = await chosen();
  await run(mirror);
  mirror.clock.ms += 10 * MINUTE;
  expect((await run(mirror)).deleted.versions).toBe(0);
  expect(await mirror.text("example.com/a/@v/v1.0.0.mod")).toContain("module example.com/a");
  mirror.clock.ms += 6 * MINUTE;
  expect((await run(mirror)).deleted.versions).toBe(2);
});

test("a drop by a clock that is behind drops what was handed in before it, and takes back none", async () => {
  const mirror = await chosen();
  const request = await mirror.request({ wishes: [B] }, "one");
  const behind = { ...mirror.parts, now: () => mirror.clock.ms - 5 * MINUTE };
  await dropRequest(behind, "one", "op@host");
  const [item] = [await mirror.ledger.readItem("control", "drop/one")];
  expect(item?.value.at).toBeGreaterThanOrEqual(Date.UTC(2026, 10, 23, 9, 30));
  mirror.clock.ms += DAY;
  await run(mirror);
  await dropRequest({ ...mirror.parts, now: () => 0 }, "one", "op@host");
  expect((await mirror.ledger.readItem("control", "drop/one"))?.value.at).toBe(item?.value.at);
  expect(request.name).toBe("one");
});

test("what needs a version and went off its list a moment ago keeps its files for as long as that list is shown", async () => {
  const mirror = await chosen();
  await run(mirror);
  // The run that began with one of them died before the other, and another one went on with that much later.
  mirror.clock.ms += 16 * MINUTE;
  const [root] = await mirror.ledger.read([parseModuleVersion(A)]);
  const since = mirror.clock.ms - 10_000;
  if (root?.removal === undefined) throw new Error("not being collected");
  await mirror.ledger.write([{ record: { ...root, removal: { ...root.removal, since } } }]);
  expect((await run(mirror)).deleted.versions).toBe(0);
  expect(await mirror.text("example.com/b/@v/v1.0.0.mod")).toContain("module example.com/b");
});

test("what went off its list late, for the machine sleeps in the middle of a run, keeps its files for as long as that list is shown", async () => {
  const mirror = await chosen();
  const onDesk = { ...optionsOf(), onlyWriter: true };
  const inner = mirror.tree.replace.bind(mirror.tree);
  mirror.tree.replace = async (key, bytes, previous) => {
    if (key === "example.com/a/@v/list") mirror.clock.ms += 10 * MINUTE;
    return await inner(key, bytes, previous);
  };
  expect((await collectGarbage(partsOf(mirror), onDesk)).acted?.removing).toBe(2);
  mirror.clock.ms += MINUTE;
  expect((await collectGarbage(partsOf(mirror), onDesk)).deleted.versions).toBe(0);
  expect(await mirror.text("example.com/b/@v/v1.0.0.mod")).toContain("module example.com/b");
  mirror.clock.ms += 3 * MINUTE;
  expect((await collectGarbage(partsOf(mirror), onDesk)).deleted.versions).toBe(2);
});

test("what is taken back, and listed, while a run is about to take it off its list is in its list in the end", async () => {
  const mirror = await chosen();
  const inner = mirror.tree.replace.bind(mirror.tree);
  let came = false;
  // The run has read the list, and is about to write it.
  mirror.tree.replace = async (key, bytes, previous) => {
    if (key === "example.com/a/@v/list" && !came) {
      came = true;
      await mirror.request({ wishes: [A] }, "again");
    }
    return await inner(key, bytes, previous);
  };
  await run(mirror);
  expect(came).toBe(true);
  expect(await stateOf(mirror, A)).toMatchObject({ state: "READY", listed: true });
  expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
  expect(await mirror.text("example.com/a/@latest")).toContain("v1.0.0");
});

test("what is taken back, and listed, before a run looks at lists is not taken off again", async () => {
  const mirror = await chosen();
  await run(mirror);
  mirror.clock.ms += 16 * MINUTE;
  const inner = mirror.tree.get.bind(mirror.tree);
  let came = false;
  // Which versions are to go has been read; the lists come next.
  mirror.tree.get = async (key, limit) => {
    if (key === "example.com/b/@v/list" && !came) {
      came = true;
      await mirror.request({ wishes: [B] }, "again");
    }
    return await inner(key, limit);
  };
  await run(mirror);
  expect(came).toBe(true);
  expect(await stateOf(mirror, B)).toMatchObject({ state: "READY", listed: true });
  expect(await mirror.text("example.com/b/@v/list")).toBe("v1.0.0\n");
});
