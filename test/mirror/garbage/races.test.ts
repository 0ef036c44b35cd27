import { expect, test } from "vitest";
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
