import { describe, expect, test } from "vitest";
import { modulePath } from "../../gomod/module-path.ts";
import { version } from "../../gomod/version.ts";
import { groupOrders } from "../../mirror/dispatch.ts";
import { reconcile } from "../../mirror/reconcile.ts";
import { reportOf } from "../../mirror/request-desk.ts";
import { work } from "../../mirror/work.ts";
import { MadeMirror, MINUTE } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

/** A module with so many dependencies, whose lists and `@latest` each take `slow` ms of a unit of work's 300 s. */
function slowMirror(dependencies: number, slow: { readonly list?: number; readonly mod?: number }) {
  const upstream = new MadeUpstream();
  const requires = Array.from({ length: dependencies }, (_, n) => `example.com/d${n}@v1.0.0`);
  for (const name of requires) upstream.add(name);
  upstream.add("example.com/a@v1.0.0", { requires });
  let left = 300_000;
  const taking =
    <T extends readonly unknown[], R>(ms: number, ask: (...args: T) => Promise<R>) =>
    async (...args: T) => {
      left -= ms;
      return await ask(...args);
    };
  upstream.list = taking(slow.list ?? 0, upstream.list);
  upstream.mod = taking(slow.mod ?? 0, upstream.mod);
  const mirror = new MadeMirror(upstream);
  /** What the cloud does in a minute: reconcile, and each order with 300 s. */
  const minute = async () => {
    mirror.clock.ms += MINUTE;
    await reconcile(mirror.parts, { onlyWriter: false });
    for (let next = mirror.queue.take(); next !== undefined; next = mirror.queue.take()) {
      left = 300_000;
      await work(mirror.parts, next.order, { remaining: () => left });
    }
  };
  return { upstream, mirror, minute };
}

describe("a resolution that does not fit its time", () => {
  test("over many slow lists goes on from those that it has, and asks none of them twice", async () => {
    const { upstream, mirror, minute } = slowMirror(80, { list: 10_000 });
    const request = await mirror.accept({ wishes: ["example.com/a@v1.0.0"], tier: "upgrade" });
    for (let minutes = 0; minutes < 7; minutes++) await minute();
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect((await mirror.ledger.readRequest(request))?.tries).toBeUndefined();
    for (const [asked, times] of upstream.asked)
      if (asked.startsWith("list ")) expect([asked, times]).toEqual([asked, 1]);
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
  });

  test("over many versions asked as latest goes on in the same way", async () => {
    const { upstream, mirror, minute } = slowMirror(60, { list: 10_000 });
    const wishes = Array.from({ length: 60 }, (_, n) => `example.com/d${n}@latest`);
    const request = await mirror.accept({ wishes });
    for (let minutes = 0; minutes < 5; minutes++) await minute();
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(Math.max(...upstream.asked.values())).toBe(1);
  });

  test("over many go.mod files goes on from those that are stored", async () => {
    const { upstream, mirror, minute } = slowMirror(80, { mod: 10_000 });
    const request = await mirror.accept({ wishes: ["example.com/a@v1.0.0"] });
    for (let minutes = 0; minutes < 6; minutes++) await minute();
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    for (const [asked, times] of upstream.asked)
      if (asked.startsWith("mod ")) expect([asked, times]).toEqual([asked, 1]);
  });

  test("that never does is INCOMPLETE after eight tries, says why, and is tried again after growing waits", async () => {
    const { mirror } = slowMirror(3, {});
    const request = await mirror.accept({ wishes: ["example.com/a@v1.0.0"] }, "team/app");
    let tries = 0;
    const minutes = async (count: number, remaining: number) => {
      for (let minute = 0; minute < count; minute++) {
        mirror.clock.ms += MINUTE;
        await reconcile(mirror.parts, { onlyWriter: false });
        for (let next = mirror.queue.take(); next !== undefined; next = mirror.queue.take()) {
          if (next.order.kind === "resolve") tries++;
          await work(mirror.parts, next.order, { remaining: () => remaining });
        }
      }
    };
    await minutes(7, 10_000);
    expect((await reportOf(mirror.parts, request))?.state).toBe("OPEN");
    await minutes(1, 10_000);
    expect(tries).toBe(8);
    const report = await reportOf(mirror.parts, request);
    expect(report).toMatchObject({
      state: "INCOMPLETE",
      missing: [{ subject: `team/app/${request.time}`, state: "transient" }],
    });
    expect(report?.missing[0]?.message).toMatch(/8 times in a row; last: .*no time left/);
    expect(report?.missing[0]?.due).toBeGreaterThan(mirror.clock.ms);
    await minutes(24 * 60, 10_000);
    expect(tries).toBeGreaterThan(10);
    expect(tries).toBeLessThan(30);
    mirror.clock.ms += 2 * 24 * 60 * MINUTE;
    await minutes(5, 300_000);
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
  });
});

describe("orders of one module", () => {
  const sized = (count: number, zipSize?: number) =>
    Array.from({ length: count }, (_, n) => ({
      path: modulePath("example.com/a"),
      version: version(`v1.${n}.0`),
      wanted: "whole" as const,
      held: "nothing" as const,
      ...(zipSize === undefined ? {} : { zipSize }),
    }));
  const counts = (of: Parameters<typeof groupOrders>[0]) =>
    groupOrders(of).map((order) => order.versions.length);

  test("are bounded by count, and by the bytes of their zips where these are known or likely", () => {
    expect(counts(sized(40))).toEqual([16, 16, 8]);
    expect(counts(sized(6, 500_000_000))).toEqual([3, 3]);
    expect(counts(sized(2, 2_000_000_000))).toEqual([1, 1]);
    // One known size speaks for its module.
    expect(counts([...sized(1, 500_000_000), ...sized(5)])).toEqual([3, 3]);
    expect(counts(sized(20, 500_000_000).map((some) => ({ ...some, wanted: "mod" })))).toEqual([16, 4]);
    expect(counts(sized(20, 500_000_000).map((some) => ({ ...some, held: "whole" })))).toEqual([16, 4]);
  });
});
