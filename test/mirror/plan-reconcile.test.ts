import { describe, expect, test } from "vitest";
import { modulePath } from "../../gomod/module-path.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { noDeadline } from "../../mirror/parts.ts";
import { reconcile } from "../../mirror/reconcile.ts";
import { ORDER_LOST_AFTER } from "../../mirror/records.ts";
import { closureVaultKey } from "../../mirror/requests.ts";
import { TICK_LEASE } from "../../mirror/tick-lease.ts";
import { work } from "../../mirror/work.ts";
import { MadeMirror, MINUTE } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";
import { pollTick } from "./poll-tick.ts";

const FEED = ["example.com/a", "example.com/b", "example.com/c"].map(modulePath);

function threeModules(): MadeUpstream {
  const upstream = new MadeUpstream();
  upstream.database.grow(40);
  upstream.add("example.com/c@v1.0.0");
  upstream.add("example.com/b@v1.0.0", { requires: ["example.com/c@v1.0.0"] });
  upstream.add("example.com/a@v1.0.0", { requires: ["example.com/b@v1.0.0"] });
  upstream.add("example.com/a@v1.1.0", { requires: ["example.com/b@v1.0.0"] });
  return upstream;
}

describe("the poll feed", () => {
  test("lists what is new, once, and again only what has come since", async () => {
    const upstream = threeModules();
    const mirror = new MadeMirror(upstream);
    expect(await pollTick(mirror.parts, FEED, "one")).toMatchObject({ found: 4, failed: [] });
    await mirror.drain();
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.1.0\n");
    upstream.asked.clear();
    expect(await pollTick(mirror.parts, FEED, "one")).toMatchObject({ found: 0 });
    expect(upstream.count()).toBe(FEED.length);
    upstream.add("example.com/c@v1.1.0");
    expect(await pollTick(mirror.parts, FEED, "one")).toMatchObject({ found: 1 });
    await mirror.drain();
    expect(await mirror.text("example.com/c/@v/list")).toBe("v1.0.0\nv1.1.0\n");
  });

  test("what is held as another's dependency is listed too once it is polled", async () => {
    const mirror = new MadeMirror(threeModules());
    await mirror.request({ wishes: ["example.com/a@v1.0.0"] });
    expect(await mirror.text("example.com/c/@v/list")).toBe("");
    await pollTick(mirror.parts, FEED, "one");
    await mirror.drain();
    expect(await mirror.text("example.com/c/@v/list")).toBe("v1.0.0\n");
    expect(await pollTick(mirror.parts, FEED, "one")).toMatchObject({ found: 0 });
  });

  test("a module that fails is named and holds none of the others; an odd list holds nothing at all", async () => {
    const upstream = threeModules();
    upstream.wrong.set("list example.com/a", new MirrorError("transient", "a", "a: 503"));
    upstream.wrong.set("list example.com/b", Buffer.from("v1.0.0\nv7.0.0\nv1\nmaster\n../../x\n\n"));
    const mirror = new MadeMirror(upstream);
    expect(await pollTick(mirror.parts, FEED, "one")).toMatchObject({
      found: 2,
      failed: [{ module: "example.com/a", class: "transient" }],
    });
    await mirror.drain();
    expect(await mirror.text("example.com/b/@v/list")).toBe("v1.0.0\n");
    upstream.wrong.clear();
    // A module that failed is left alone for an hour.
    mirror.clock.ms += 60 * MINUTE;
    expect(await pollTick(mirror.parts, FEED, "one")).toMatchObject({ found: 2 });
  });

  test("two planners never tick at once, and the next goes on when one has died", async () => {
    const mirror = new MadeMirror(threeModules());
    await mirror.ledger.takeLease("plan", "dead", mirror.clock.ms, mirror.clock.ms + TICK_LEASE);
    expect(await pollTick(mirror.parts, FEED, "two")).toBe("skipped");
    mirror.clock.ms += TICK_LEASE + 1;
    expect(await pollTick(mirror.parts, FEED, "two")).toMatchObject({ found: 4 });
    const both = await Promise.all(["three", "four"].map((owner) => pollTick(mirror.parts, FEED, owner)));
    expect(both.filter((one) => one === "skipped")).toHaveLength(1);
  });

  test("a tick that dies between the request and the records is made good by the next", async () => {
    const upstream = threeModules();
    const mirror = new MadeMirror(upstream);
    const write = mirror.ledger.write.bind(mirror.ledger);
    mirror.ledger.write = async () => Promise.reject(new Error("died"));
    await expect(pollTick(mirror.parts, FEED, "one")).rejects.toThrow("died");
    mirror.ledger.write = write;
    expect(await mirror.ledger.readWatermark("poll")).toBeUndefined();
    await pollTick(mirror.parts, FEED, "one");
    await mirror.drain();
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.1.0\n");
    expect(await mirror.ledger.readWatermark("poll")).toMatchObject({ revision: 1 });
    const lines = mirror.ledger.journalLines.map(
      ({ event, version }) => `${event} ${version.path}@${version.version}`,
    );
    expect(new Set(lines).size).toBe(lines.length);
  });
});

describe("reconcile", () => {
  const WISH = { wishes: ["example.com/a@v1.0.0"] };
  const takeAll = (mirror: MadeMirror) => {
    let taken = 0;
    while (mirror.queue.take() !== undefined) taken++;
    return taken;
  };
  const late = async (mirror: MadeMirror, by: number) => {
    mirror.clock.ms += by;
    const result = await reconcile(mirror.parts, { onlyWriter: false });
    await mirror.drain();
    return result;
  };

  test("an OPEN request whose order was lost is resolved, not before its time", async () => {
    const mirror = new MadeMirror(threeModules());
    const request = await mirror.accept(WISH);
    expect(takeAll(mirror)).toBe(1);
    expect(await late(mirror, MINUTE)).toEqual({ orders: 0, failed: [], isFull: false });
    await late(mirror, ORDER_LOST_AFTER);
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
  });

  test("orders that were lost are sent again, and the request is settled by the last of them", async () => {
    const mirror = new MadeMirror(threeModules());
    const request = await mirror.accept(WISH);
    await work(mirror.parts, { kind: "resolve", request }, noDeadline);
    expect(takeAll(mirror)).toBeGreaterThan(2);
    expect(await late(mirror, MINUTE)).toMatchObject({ orders: 0 });
    await late(mirror, ORDER_LOST_AFTER);
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(await late(mirror, ORDER_LOST_AFTER)).toMatchObject({ orders: 0 });
  });

  test("on a desk what is under way is in doubt at once, and nothing is fetched twice for it", async () => {
    const upstream = threeModules();
    const mirror = new MadeMirror(upstream);
    const request = await mirror.accept(WISH);
    await work(mirror.parts, { kind: "resolve", request }, noDeadline);
    takeAll(mirror);
    await reconcile(mirror.parts, { onlyWriter: true });
    await mirror.drain();
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(Math.max(...upstream.asked.values())).toBe(1);
  });

  test("what is more than one tick takes on is taken on by those after it, and they come to an end", async () => {
    const mirror = new MadeMirror(threeModules());
    const requests = [];
    for (let i = 0; i < 101; i++) {
      mirror.clock.ms += 1;
      requests.push(await mirror.accept(WISH));
    }
    takeAll(mirror);
    const since = mirror.clock.ms;
    const look = async () => {
      mirror.clock.ms += 1;
      return await reconcile(mirror.parts, { onlyWriter: true, since });
    };
    expect(await look()).toEqual({ orders: 100, failed: [], isFull: true });
    expect(await look()).toEqual({ orders: 1, failed: [], isFull: false });
    expect(await look()).toEqual({ orders: 0, failed: [], isFull: false });
    await mirror.drain();
    for (const request of requests) expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
  });

  test("a request whose last settling was lost is settled without being ordered again", async () => {
    const upstream = threeModules();
    const mirror = new MadeMirror(upstream);
    const request = await mirror.request(WISH);
    const done = await mirror.ledger.readRequest(request);
    if (done === undefined) throw new Error("not there");
    await mirror.ledger.writeRequest({ ...done, state: "RESOLVED", due: mirror.clock.ms });
    upstream.asked.clear();
    expect(await late(mirror, MINUTE)).toEqual({ orders: 0, failed: [], isFull: false });
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(upstream.count()).toBe(0);
  });

  test("one request that cannot be revived stops no other, and a lost or damaged closure is written anew", async () => {
    const mirror = new MadeMirror(threeModules());
    const broken = await mirror.accept(WISH);
    const other = await mirror.accept({ wishes: ["example.com/c@v1.0.0"] });
    for (const request of [broken, other]) await work(mirror.parts, { kind: "resolve", request }, noDeadline);
    takeAll(mirror);
    const get = mirror.vault.get.bind(mirror.vault);
    mirror.vault.get = async (key, limit) =>
      key === closureVaultKey(broken)
        ? Promise.reject(new MirrorError("transient", key, `${key}: time-out`))
        : await get(key, limit);
    expect((await late(mirror, ORDER_LOST_AFTER + MINUTE)).failed).toEqual([
      expect.stringContaining("time-out"),
    ]);
    expect((await mirror.ledger.readRequest(other))?.state).toBe("DONE");
    mirror.vault.get = get;
    await mirror.vault.put(closureVaultKey(broken), Buffer.from("damaged"));
    await late(mirror, ORDER_LOST_AFTER + MINUTE);
    expect((await mirror.ledger.readRequest(broken))?.state).toBe("DONE");
  });

  test("what the index names although it is done by now is left alone", async () => {
    const upstream = threeModules();
    const mirror = new MadeMirror(upstream);
    const request = await mirror.accept({ exact: ["example.com/c@v1.0.0"] });
    await work(mirror.parts, { kind: "resolve", request }, noDeadline);
    const lagging = await mirror.ledger.due(Number.MAX_SAFE_INTEGER, 10);
    const laggingRequests = await mirror.ledger.dueRequests(Number.MAX_SAFE_INTEGER, 10);
    await mirror.drain();
    mirror.ledger.due = async () => lagging;
    mirror.ledger.dueRequests = async () => laggingRequests;
    expect(await late(mirror, ORDER_LOST_AFTER + MINUTE)).toEqual({ orders: 0, failed: [], isFull: false });
    expect((await mirror.ledger.read([moduleVersion("example.com/c", "v1.0.0")]))[0]?.state).toBe("READY");
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
  });
});
