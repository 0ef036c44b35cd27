import { describe, expect, test } from "vitest";
import { acceptRequest } from "../../../mirror/accept.ts";
import { dropRequest } from "../../../mirror/garbage/drops.ts";
import { handIn } from "../../../mirror/inbox.ts";
import { openSnapshot } from "../../../mirror/snapshot/open-snapshot.ts";
import { takeSnapshot } from "../../../mirror/snapshot/take.ts";
import { MadeMirror, requestBody } from "../made-mirror.ts";
import { MadeUpstream } from "../made-upstream.ts";
import { memorySpool } from "../snapshot/snapshot-world.ts";
import { DAY, run, runs, stateOf } from "./garbage-runs.ts";

const A = "example.com/a@v1.0.0";
const OWN = "corp.example/x@v1.0.0";

/** A mirror that has collected one version that a database covers, and one that none does. */
async function collected(): Promise<{ readonly upstream: MadeUpstream; readonly mirror: MadeMirror }> {
  const upstream = new MadeUpstream();
  upstream.database.grow(3);
  upstream.add(A);
  upstream.add(OWN, {}, false);
  const mirror = new MadeMirror(upstream, { unproven: "corp.example" });
  await mirror.request({ wishes: [A, OWN] }, "one");
  await dropRequest(mirror.parts, "one", "op@host");
  await runs(mirror, { settings: { largestShare: 1, internal: "collect" } });
  expect(await stateOf(mirror, A)).toMatchObject({ state: "REMOVED" });
  expect(await stateOf(mirror, OWN)).toMatchObject({ state: "REMOVED" });
  return { upstream, mirror };
}

const requestsOf = async ({ ledger }: MadeMirror) => {
  const found: string[] = [];
  for await (const { name, state } of ledger.requests()) found.push(`${name} ${state}`);
  return found;
};

test("what was collected is known for 400 days; what no database covers is known for ever, so that it cannot come back with other bytes", async () => {
  const { mirror } = await collected();
  const journal = mirror.ledger.journalLines.length;
  mirror.clock.ms += 395 * DAY;
  expect((await run(mirror)).forgotten.versions).toBe(0);
  expect(await stateOf(mirror, A)).toMatchObject({ state: "REMOVED" });
  mirror.clock.ms += 10 * DAY;
  expect((await run(mirror)).forgotten.versions).toBe(1);
  expect(await stateOf(mirror, A)).toBeUndefined();
  mirror.clock.ms += 4_000 * DAY;
  expect((await run(mirror)).forgotten.versions).toBe(0);
  expect(await stateOf(mirror, OWN)).toMatchObject({ state: "REMOVED" });
  expect(mirror.ledger.journalLines).toHaveLength(journal);
});

test("what was forgotten comes back as new when it is wanted again", async () => {
  const { mirror } = await collected();
  mirror.clock.ms += 500 * DAY;
  await run(mirror);
  await mirror.request({ wishes: [A] }, "two");
  expect(await stateOf(mirror, A)).toEqual({ state: "READY", held: "whole", listed: true });
  expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
});

test("a snapshot that is made from one of before, and one that reads all, say the same of what is forgotten", async () => {
  const { mirror } = await collected();
  const take = async (full: boolean) => {
    const { tree, vault, ledger, clock } = mirror;
    const parts = { tree, vault, ledger, now: clock.now, spool: memorySpool };
    const taken = await takeSnapshot(parts, { owner: "test", closedAfter: 0, full });
    if (taken.outcome !== "taken" && taken.outcome !== "unchanged") throw new Error(taken.outcome);
    return taken.outcome === "taken" ? taken.header.name : taken.name;
  };
  await mirror.request({ wishes: [A] }, "two");
  const before = await take(false);
  await dropRequest(mirror.parts, "two", "op@host");
  await runs(mirror, { settings: { largestShare: 1, internal: "collect" } });
  // The newest snapshot always stays, and files of what it names with it.
  await take(false);
  mirror.clock.ms += 10 * DAY;
  await runs(mirror, { settings: { largestShare: 1, internal: "collect" } });
  expect(await stateOf(mirror, A)).toMatchObject({ state: "REMOVED" });
  mirror.clock.ms += 500 * DAY;
  expect((await run(mirror)).forgotten.versions).toBe(1);
  const after = await take(false);
  expect(after).not.toBe(before);
  const snapshot = after === undefined ? undefined : await openSnapshot(mirror.vault, after);
  for await (const entry of snapshot?.entries() ?? []) expect(entry.path).not.toBe("example.com/a");
  expect(await take(true)).toBe(after);
});

test("a request that has ended is known for 90 days, and never forgotten while an object of it is left", async () => {
  const { mirror } = await collected();
  expect(await requestsOf(mirror)).toEqual(["one ENDED"]);
  let time = "";
  for await (const request of mirror.ledger.requests()) time = request.time;
  const inbox = `inbox/requests/one/${time}.json`;
  mirror.clock.ms += 80 * DAY;
  expect((await run(mirror)).forgotten.requests).toBe(0);
  mirror.clock.ms += 20 * DAY;
  await mirror.vault.put(inbox, Buffer.from("{}"));
  // This run finds the object, and only notes that it is nobody's.
  expect((await run(mirror)).forgotten.requests).toBe(0);
  expect(await requestsOf(mirror)).toEqual(["one ENDED"]);
  await mirror.vault.remove(inbox);
  expect((await run(mirror)).forgotten.requests).toBe(1);
  expect(await requestsOf(mirror)).toEqual([]);
  // Whoever drops the name once more is told that there is none.
  await expect(dropRequest(mirror.parts, "one", "op@host")).rejects.toThrow("no request of that name");
});

test("no term is shorter than messages about it may live", async () => {
  const { mirror } = await collected();
  mirror.clock.ms += 9 * DAY;
  const settings = { largestShare: 1, removed: "1d", ended: "1d" };
  expect((await run(mirror, { settings })).forgotten).toEqual({ versions: 0, requests: 0 });
  mirror.clock.ms += 9 * DAY;
  expect((await run(mirror, { settings })).forgotten).toEqual({ versions: 1, requests: 1 });
});

test("a request that was refused goes as any other that is over", async () => {
  const upstream = new MadeUpstream();
  const mirror = new MadeMirror(upstream);
  const refused = await handIn(mirror.parts, "bad", requestBody({ files: { "go.mod": "no go.mod" } }));
  await expect(acceptRequest(mirror.parts, refused)).rejects.toThrow("unknown directive");
  expect((await mirror.ledger.readRequest(refused))?.state).toBe("REFUSED");
  await runs(mirror);
  expect(await requestsOf(mirror)).toEqual(["bad REFUSED"]);
  mirror.clock.ms += 100 * DAY;
  await runs(mirror);
  expect(await requestsOf(mirror)).toEqual(["bad ENDED"]);
  mirror.clock.ms += 100 * DAY;
  await runs(mirror);
  expect(await requestsOf(mirror)).toEqual([]);
});

test("lists that upstreams have given for a request go when it is done, or over", async () => {
  const upstream = new MadeUpstream();
  upstream.database.grow(3);
  upstream.add(A);
  const mirror = new MadeMirror(upstream);
  const done = await mirror.request({ wishes: [A] }, "one");
  const open = await mirror.request({ wishes: ["example.com/none@v1.0.0"] }, "two");
  const listsOf = ({ name, time }: typeof done) => `requests/${name}/${time}/lists.ndjson.zst`;
  for (const request of [done, open]) await mirror.vault.put(listsOf(request), Buffer.from("kept"));
  await runs(mirror);
  expect(await mirror.vault.get(listsOf(done), 100)).toBeUndefined();
  expect(await mirror.vault.get(listsOf(open), 100)).toBeDefined();
  // The request itself goes on.
  expect((await mirror.ledger.readRequest(done))?.state).toBe("DONE");
  expect(await mirror.vault.get(`requests/one/${done.time}/closure.ndjson.zst`, 10_000)).toBeDefined();
  expect(await stateOf(mirror, A)).toMatchObject({ state: "READY", listed: true });
  await dropRequest(mirror.parts, "two", "op@host");
  await runs(mirror);
  expect(await mirror.vault.get(listsOf(open), 100)).toBeUndefined();
});

describe("that a name was dropped", () => {
  const dropOf = async ({ ledger }: MadeMirror, name = "one") => {
    const item = await ledger.readItem("control", `drop/${name}`);
    return item?.value.at as number | undefined;
  };

  test("is forgotten once the ledger knows no request that it ended, and not before", async () => {
    const { mirror } = await collected();
    expect(await dropOf(mirror)).toBeDefined();
    mirror.clock.ms += 80 * DAY;
    await run(mirror);
    expect([await requestsOf(mirror), await dropOf(mirror)]).toEqual([["one ENDED"], expect.any(Number)]);
    mirror.clock.ms += 20 * DAY;
    await run(mirror);
    expect([await requestsOf(mirror), await dropOf(mirror)]).toEqual([[], undefined]);
  });

  test("is known for as long as messages about its requests may live, though none is left", async () => {
    const { mirror } = await collected();
    for await (const request of mirror.ledger.requests()) await mirror.ledger.forgetRequest(request);
    mirror.clock.ms += 10 * DAY;
    await run(mirror);
    expect(await dropOf(mirror)).toBeDefined();
    mirror.clock.ms += 2 * DAY;
    await run(mirror);
    expect(await dropOf(mirror)).toBeUndefined();
  });

  test("stays while the inbox has one from before it that nobody has accepted yet, and then ends that, too", async () => {
    const { mirror } = await collected();
    const late = await handIn(mirror.parts, "one", requestBody({ wishes: [A] }));
    mirror.clock.ms += 1;
    await dropRequest(mirror.parts, "one", "op@host");
    mirror.clock.ms += 200 * DAY;
    await run(mirror);
    expect(await requestsOf(mirror)).toEqual([]);
    expect(await dropOf(mirror)).toBeDefined();
    await acceptRequest(mirror.parts, late);
    await runs(mirror);
    expect(await requestsOf(mirror)).toEqual(["one ENDED"]);
    mirror.clock.ms += 100 * DAY;
    await runs(mirror);
    expect([await requestsOf(mirror), await dropOf(mirror)]).toEqual([[], undefined]);
  });

  test("goes though the name has a newer request, which is kept", async () => {
    const { mirror } = await collected();
    const again = await mirror.request({ wishes: [A] }, "one");
    mirror.clock.ms += 89 * DAY;
    await run(mirror);
    expect(await dropOf(mirror)).toBeDefined();
    // The one from before was forgotten, and the newer one is handed in anew, so that it does not expire.
    await mirror.request({ wishes: [A] }, "one");
    mirror.clock.ms += 30 * DAY;
    await runs(mirror);
    expect(await dropOf(mirror)).toBeUndefined();
    expect((await mirror.ledger.readRequest(again))?.state).not.toBe("OPEN");
    expect(await stateOf(mirror, A)).toMatchObject({ state: "READY", listed: true });
  });

  test("of another name, or one that begins so, says nothing of it", async () => {
    const { mirror } = await collected();
    await mirror.request({ wishes: [A] }, "one/more");
    await mirror.request({ wishes: [A] }, "two");
    mirror.clock.ms += 100 * DAY;
    await run(mirror);
    expect(await dropOf(mirror)).toBeUndefined();
  });

  test("again just as it would be forgotten stays", async () => {
    const { mirror } = await collected();
    mirror.clock.ms += 100 * DAY;
    const requests = mirror.ledger.requests.bind(mirror.ledger);
    let reads = 0;
    let again: number | undefined;
    mirror.ledger.requests = async function* () {
      yield* requests();
      // Between what it read and what it deletes: a request is handed in, accepted, and dropped at once.
      if (++reads < 2) return;
      mirror.ledger.requests = requests;
      await mirror.request({ wishes: [A] }, "one");
      mirror.clock.ms += 1;
      again = (await dropRequest(mirror.parts, "one", "op@host")).at;
    };
    await run(mirror);
    expect(reads).toBe(2);
    expect(await dropOf(mirror)).toBe(again);
    await runs(mirror);
    expect(await stateOf(mirror, A)).toMatchObject({ state: "REMOVED" });
  });

  test("is left by a run that dies as it deletes it, or is gone; the next one goes on", async () => {
    const { mirror } = await collected();
    mirror.clock.ms += 100 * DAY;
    const inner = mirror.ledger.deleteItem.bind(mirror.ledger);
    for (const isDone of [false, true]) {
      mirror.ledger.deleteItem = async (item) => {
        if (isDone) await inner(item);
        throw new Error("died");
      };
      await expect(run(mirror)).rejects.toThrow("died");
      expect((await dropOf(mirror)) === undefined).toBe(isDone);
      mirror.clock.ms += DAY;
    }
    mirror.ledger.deleteItem = inner;
    expect((await run(mirror)).outcome).toBe("ran");
    expect([await requestsOf(mirror), await dropOf(mirror)]).toEqual([[], undefined]);
  });
});
