import { describe, expect, test } from "vitest";
import { parseModuleVersion } from "../../gomod/version.ts";
import { completeUntil } from "../../mirror/complete-until.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { problemOf, tick } from "../../mirror/tick.ts";
import { indexOnly, MadeIndex, microStamp, subscribed } from "./made-index.ts";
import { MadeMirror, MINUTE } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const HOUR = 60 * MINUTE;

function world() {
  const upstream = new MadeUpstream();
  for (const name of ["a@v1.0.0", "b@v1.0.0", "b@v1.1.0"]) upstream.add(`example.com/${name}`);
  const mirror = new MadeMirror(upstream);
  const index = new MadeIndex();
  const read = async (...subscriptions: unknown[]) => {
    mirror.clock.ms += 10 * MINUTE;
    index.see(`other.example/x@v1.${index.lines.length}.0`, microStamp(mirror.clock.ms - 1_000));
    const ticked = await tick(mirror.parts, indexOnly(index, subscribed(...subscriptions)), "one");
    if (ticked.outcome !== "ticked") throw new Error(ticked.outcome);
    return ticked;
  };
  const lists = () =>
    [...upstream.asked].filter(([what]) => what.startsWith("list ")).map(([, count]) => count);
  return { upstream, mirror, index, read, lists };
}

const A = { modules: ["example.com/a"], versions: "all" };
const B = { modules: ["example.com/b"], versions: "all" };

describe("modules that a subscription names outright, on an index feed", () => {
  test("bring what there is of them, also where they are subscribed to later; each is asked once", async () => {
    const { mirror, read, lists } = world();
    expect((await read(A)).named).toMatchObject({ asked: 1, found: 1, failed: [] });
    await mirror.drain();
    for (let i = 0; i < 3; i++) expect((await read(A)).named).toBeUndefined();
    expect(lists()).toEqual([1]);
    mirror.clock.ms += 24 * HOUR;
    expect((await read(A, B)).named).toMatchObject({ asked: 2, found: 2 });
    const [record] = await mirror.ledger.read([parseModuleVersion("example.com/b@v1.1.0")]);
    expect(record).toMatchObject({ feed: "index", state: "PENDING" });
    expect((await completeUntil(mirror.ledger, "index", mirror.clock.ms))?.open).toBe(2);
    await mirror.drain();
    expect(await mirror.text("example.com/b/@v/list")).toBe("v1.0.0\nv1.1.0\n");
    expect((await completeUntil(mirror.ledger, "index", mirror.clock.ms))?.open).toBe(0);
    expect((await read(A, B)).named).toBeUndefined();
  });

  test("that do not answer are asked again until they do, and the tick says so; what is no module is no fault", async () => {
    const { mirror, upstream, read } = world();
    upstream.wrong.set("list example.com/b", new MirrorError("transient", "b", "b: 502"));
    const all = [A, B, { modules: ["example.com"], versions: "all" }];
    const first = await read(...all);
    expect(first.named).toMatchObject({ asked: 3, found: 1, failing: ["example.com/b"] });
    expect(problemOf(first)).toBe("named modules: 1 modules cannot be asked: b: 502");
    await mirror.drain();
    const second = await read(...all);
    // It has failed for no time yet, so it is asked again at once.
    expect(problemOf(second)).toBe("named modules: 1 modules cannot be asked: b: 502");
    mirror.clock.ms += 10_000;
    await read(...all);
    const waiting = await read(...all);
    expect(problemOf(waiting)).toBe("named modules: 1 modules cannot be asked: example.com/b");
    upstream.wrong.clear();
    mirror.clock.ms += HOUR;
    const third = await read(...all);
    expect([third.named?.found, problemOf(third)]).toEqual([2, undefined]);
    expect((await read(...all)).named).toBeUndefined();
  });

  test("without what their highest version retracts, where that is to be skipped", async () => {
    const { mirror, upstream, read } = world();
    upstream.add("example.com/b@v1.2.0", { text: "module example.com/b\n\ngo 1.16\n\nretract v1.1.0\n" });
    const skip = { ...B, retracted: "skip" };
    expect((await read(skip)).named?.found).toBe(1);
    await mirror.drain();
    expect((await read(skip)).named?.found).toBe(1);
    await mirror.drain();
    expect(await mirror.text("example.com/b/@v/list")).toBe("v1.0.0\nv1.2.0\n");
    expect((await read(skip)).named).toBeUndefined();
  });
});
