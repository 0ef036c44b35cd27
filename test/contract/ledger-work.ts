import { expect, test, vi } from "vitest";
import { moduleVersion } from "../../gomod/version.ts";
import { LARGEST_ITEM, type LedgerItem, type RecordChange } from "../../mirror/ledger-entries.ts";
import type { State, VersionRecord } from "../../mirror/records.ts";
import type { LedgerFixture } from "./ledger-contract.ts";
import { freshRecord, NOW } from "./ledger-samples.ts";
import { rejectionOf } from "./rejection.ts";

/** How long an index may lag behind what was written. */
const LAG = { timeout: 10_000, interval: 50 };

/** Tests of states, of feeds' open work, and of the small items beside the records. */
export function ledgerWorkTests(fixture: () => LedgerFixture): void {
  const recordIn = (path: string, minor: number, state: State, wantedAt = NOW): VersionRecord => ({
    ...freshRecord(moduleVersion(path, `v1.${minor}.0`)),
    state,
    wantedAt,
  });
  const written = async (records: readonly VersionRecord[]) => {
    const stored = await fixture().ledger.write(records.map((record) => ({ record })));
    return stored.map((record) => {
      if (record === "changed") throw new Error("nobody else writes these");
      return record;
    });
  };
  const named = (records: readonly VersionRecord[]) =>
    records.map(({ path, version }) => `${path}@${version}`);

  test("records in a state are found with the longest wanted first, page by page, until they leave it", async () => {
    const { ledger } = fixture();
    const paths = ["example.com/state/a", "example.com/state/b", "example.com/State/C"];
    const held = await written(
      paths.flatMap((path, at) => [
        recordIn(path, 1, "HELD", NOW + 1000 - at),
        recordIn(path, 2, "HELD", NOW + 500),
        recordIn(path, 3, "DENIED"),
        recordIn(path, 4, "READY"),
      ]),
    );
    const inOrder = [
      "example.com/State/C@v1.2.0",
      "example.com/state/a@v1.2.0",
      "example.com/state/b@v1.2.0",
      "example.com/State/C@v1.1.0",
      "example.com/state/b@v1.1.0",
      "example.com/state/a@v1.1.0",
    ];
    await vi.waitFor(async () => {
      expect(named(await ledger.inState("HELD", { limit: 100 }))).toEqual(inOrder);
    }, LAG);
    expect(await ledger.countState("HELD")).toEqual({ count: 6, oldest: NOW + 500 });
    for (const size of [1, 2, 4]) {
      const pages: string[] = [];
      for (let after: VersionRecord | undefined; ; ) {
        const page = await ledger.inState("HELD", { limit: size, ...(after === undefined ? {} : { after }) });
        expect(page.length).toBeLessThanOrEqual(size);
        pages.push(...named(page));
        after = page.at(-1);
        if (after === undefined) break;
      }
      expect(pages).toEqual(inOrder);
    }
    await written(
      held.filter(({ state }) => state === "HELD").map((record) => ({ ...record, state: "READY" })),
    );
    await vi.waitFor(async () => {
      expect(await ledger.inState("HELD", { limit: 100 })).toEqual([]);
      expect(await ledger.countState("HELD")).toEqual({ count: 0 });
    }, LAG);
    expect(await ledger.countState("DENIED")).toEqual({ count: 3, oldest: NOW });
  });

  const openOf = async (feed: string, before?: string) => {
    const found: Record<string, number> = {};
    for await (const { window, open } of fixture().ledger.openWork(feed, before)) found[window] = open;
    return found;
  };

  test("open work is counted with the records: by feed and window, up to a window, and not when a write loses", async () => {
    const { ledger, other = ledger } = fixture();
    const at = (window: string, change: 1 | -1, feed = "index") => [{ feed, window, change }];
    const stored: VersionRecord[] = [];
    const add = async (minor: number, window: string, feed?: string) => {
      const record = recordIn("example.com/work", minor, "PENDING");
      const [result] = await ledger.write([{ record, work: at(window, 1, feed) }]);
      if (result === undefined || result === "changed") throw new Error("nobody else writes these");
      stored.push(result);
    };
    for (let minor = 0; minor < 12; minor++) await add(minor, minor < 9 ? "2026-11-23T14" : "2026-11-23T09");
    await add(12, "2026-11-23T14", "index/other");
    expect(await openOf("index")).toEqual({ "2026-11-23T09": 3, "2026-11-23T14": 9 });
    expect(Object.keys(await openOf("index"))).toEqual(["2026-11-23T09", "2026-11-23T14"]);
    expect(await openOf("index", "2026-11-23T14")).toEqual({ "2026-11-23T09": 3 });
    expect(await openOf("index", "2026-11-23T09")).toEqual({});
    // What is at work is never forgotten, and what is done is counted anew when it is at work again.
    await ledger.forgetWork("index", "2026-11-24T00");
    expect(await openOf("index")).toEqual({ "2026-11-23T09": 3, "2026-11-23T14": 9 });
    expect(await openOf("index/other")).toEqual({ "2026-11-23T14": 1 });
    // Two writers settle each record at once: one of them wins, and counts.
    const settle = (record: VersionRecord): RecordChange => ({
      record: { ...record, state: "READY" },
      journal: { event: "held", version: record, at: NOW },
      work: at(
        record.version < "v1.9.0" && record.version !== "v1.10.0" && record.version !== "v1.11.0"
          ? "2026-11-23T14"
          : "2026-11-23T09",
        -1,
      ),
    });
    const ours = stored.slice(0, 12);
    const results = await Promise.all([ledger, other].map((handle) => handle.write(ours.map(settle))));
    expect(results.flat().filter((result) => result === "changed")).toHaveLength(12);
    expect(await openOf("index")).toEqual({});
    await ledger.forgetWork("index", "2026-11-23T10");
    await ledger.forgetWork("index", "2026-11-23T10");
    await add(13, "2026-11-23T09");
    await add(14, "2026-11-23T14");
    expect(await openOf("index")).toEqual({ "2026-11-23T09": 1, "2026-11-23T14": 1 });
    expect(await openOf("index/other")).toEqual({ "2026-11-23T14": 1 });
  });

  test("a count that is forgotten while others are added to it loses none of them", async () => {
    const { ledger, other = ledger } = fixture();
    const window = "2026-11-20T07";
    for (let round = 0; round < 5; round++) {
      const adding = Array.from({ length: 8 }, (_, minor) => {
        const record = recordIn(`example.com/race${round}`, minor, "PENDING");
        return other.write([{ record, work: [{ feed: "race", window, change: 1 as const }] }]);
      });
      await Promise.all([...adding, ledger.forgetWork("race", "2026-11-20T08")]);
      expect(await openOf("race")).toEqual({ [window]: 8 });
      const stored = (await Promise.all(adding)).flat();
      for (const record of stored)
        if (record !== "changed")
          await ledger.write([
            { record: { ...record, state: "READY" }, work: [{ feed: "race", window, change: -1 as const }] },
          ]);
      expect(await openOf("race")).toEqual({});
    }
  });

  const itemsOf = async (kind: LedgerItem["kind"]) => {
    const found: LedgerItem[] = [];
    for await (const item of fixture().ledger.items(kind)) found.push(item);
    return found;
  };

  test("an item is written over the revision that was read, and found by kind and name", async () => {
    const { ledger, other = ledger } = fixture();
    const value = { reason: 'ü "quoted" \n line', until: 1.5, deep: [{ a: null }, true] };
    const first: LedgerItem = { kind: "block", name: "example.com/*", revision: 0, value };
    expect(await ledger.readItem("block", first.name)).toBeUndefined();
    expect(await ledger.writeItem(first)).toEqual({ ...first, revision: 1 });
    expect(await other.readItem("block", first.name)).toEqual({ ...first, revision: 1 });
    expect(await ledger.readItem("control", first.name)).toBeUndefined();
    expect(await other.writeItem(first)).toBe("changed");
    const racers = await Promise.all(
      [1, 2, 3, 4].map((racer) => ledger.writeItem({ ...first, revision: 1, value: { racer } })),
    );
    expect(racers.filter((result) => result !== "changed")).toHaveLength(1);
    expect(await ledger.writeItem({ ...first, kind: "control" })).not.toBe("changed");
    for (const name of ["b", "B", "a/é", "a"]) await ledger.writeItem({ ...first, name });
    expect((await itemsOf("block")).map(({ name }) => name)).toEqual(["B", "a", "a/é", "b", "example.com/*"]);
  });

  test("an item is deleted at its revision alone", async () => {
    const { ledger } = fixture();
    const item: LedgerItem = { kind: "upstream", name: "proxy.example.com", revision: 0, value: {} };
    expect(await ledger.deleteItem(item)).toBe(false);
    await ledger.writeItem(item);
    expect(await ledger.deleteItem(item)).toBe(false);
    expect(await ledger.deleteItem({ ...item, revision: 2 })).toBe(false);
    expect(await ledger.deleteItem({ ...item, revision: 1 })).toBe(true);
    expect(await ledger.deleteItem({ ...item, revision: 1 })).toBe(false);
    expect(await itemsOf("upstream")).toEqual([]);
    expect(await ledger.writeItem(item)).toEqual({ ...item, revision: 1 });
  });

  test("an item that is too large is refused by name, and what was there stays", async () => {
    const { ledger } = fixture();
    const item: LedgerItem = { kind: "control", name: "large", revision: 0, value: { a: 1 } };
    await ledger.writeItem(item);
    const large = { ...item, revision: 1, value: { text: "ü".repeat(LARGEST_ITEM / 2) } };
    const error = await rejectionOf(ledger.writeItem(large));
    expect(error).toMatchObject({ class: "misuse", message: expect.stringContaining("control large: ") });
    expect(await ledger.readItem("control", "large")).toEqual({ ...item, revision: 1 });
  });
}
