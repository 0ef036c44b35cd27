import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { sha256Of } from "../../mirror/body.ts";
import type { Stop, Watermark } from "../../mirror/ledger-entries.ts";
import type { SignedHead } from "../../sumdb/client.ts";
import type { LedgerFixture } from "./ledger-contract.ts";
import { NOW } from "./ledger-samples.ts";

function headOf(size: number, signature = "first"): SignedHead {
  const hash = createHash("sha256").update(`${size}`).digest();
  const note = Buffer.from(`go.sum database tree\n${size}\n${hash.toString("base64")}\n\n— ${signature}\n`);
  return { size, hash, note };
}

const text = ({ size, hash, note }: SignedHead) =>
  `${size} ${Buffer.from(hash).toString("hex")} ${Buffer.from(note).toString("base64")}`;

/** Tests of what only grows or moves on: published heads, watermarks, leases. */
export function ledgerSeriesTests(fixture: () => LedgerFixture): void {
  const headsOf = async (database: string) => {
    const found: string[] = [];
    for await (const head of fixture().ledger.heads(database)) found.push(text(head));
    return found;
  };

  test("heads are listed by growing size and the newest is the largest, in whatever order they came", async () => {
    const { ledger } = fixture();
    const sizes = [100, 9, 2 ** 40, 10, 1, 2 ** 33];
    expect(await ledger.readHead("sum.example.com")).toBeUndefined();
    for (const size of sizes) await ledger.addHead("sum.example.com", headOf(size));
    const newest = await ledger.readHead("sum.example.com");
    expect(newest && text(newest)).toBe(text(headOf(2 ** 40)));
    expect(await headsOf("sum.example.com")).toEqual(
      [...sizes].sort((a, b) => a - b).map((size) => text(headOf(size))),
    );
  });

  test("databases have heads of their own", async () => {
    const { ledger } = fixture();
    await ledger.addHead("sum.example.org", headOf(5));
    await ledger.addHead("sum.example.org/sub", headOf(6));
    expect(await headsOf("sum.example.org")).toEqual([text(headOf(5))]);
    expect((await ledger.readHead("sum.example.org"))?.size).toBe(5);
    expect(await headsOf("sum.example")).toEqual([]);
  });

  test("adding a head twice is adding it once, and none ever takes another's place", async () => {
    const { ledger } = fixture();
    await Promise.all([1, 2, 3].map(() => ledger.addHead("sum.example.net", headOf(7))));
    await ledger.addHead("sum.example.net", headOf(7, "signed again"));
    expect(await headsOf("sum.example.net")).toEqual([text(headOf(7))]);
  });

  test("a database is stopped for every worker until that stop is lifted; the first stop stays", async () => {
    const { ledger, other = ledger } = fixture();
    const evidence = (text: string) => sha256Of(Buffer.from(text));
    const stop: Stop = { database: "sum.example.com/stop", at: NOW, evidence: evidence("fork") };
    expect(await ledger.readStop(stop.database)).toBeUndefined();
    await ledger.writeStop(stop);
    expect(await other.readStop(stop.database)).toEqual(stop);
    expect(await ledger.readStop("sum.example.com")).toBeUndefined();
    const later: Stop = { ...stop, at: NOW + 1, evidence: evidence("another fork") };
    await other.writeStop(later);
    expect(await ledger.readStop(stop.database)).toEqual(stop);
    await other.liftStop(later);
    expect(await ledger.readStop(stop.database)).toEqual(stop);
    await other.liftStop(stop);
    await other.liftStop(stop);
    expect(await ledger.readStop(stop.database)).toBeUndefined();
    await ledger.writeStop(later);
    expect(await other.readStop(stop.database)).toEqual(later);
  });

  test("of workers that stop a database at once one's stop is the one that all read", async () => {
    const { ledger, other = ledger } = fixture();
    const database = "sum.example.com/race";
    const stops = Array.from({ length: 16 }, (_, n) => ({
      database,
      at: n,
      evidence: sha256Of(Buffer.of(n)),
    }));
    await Promise.all(stops.map((stop, n) => (n % 2 ? ledger : other).writeStop(stop)));
    const [one, two] = [await ledger.readStop(database), await other.readStop(database)];
    expect(stops).toContainEqual(one);
    expect(two).toEqual(one);
  });

  test("a watermark keeps its stamp verbatim and moves only from the revision that was read", async () => {
    const { ledger, other = ledger } = fixture();
    const start: Watermark = { feed: "index", timestamp: "2024-01-02T03:04:05.123456700Z", revision: 0 };
    expect(await ledger.readWatermark("index")).toBeUndefined();
    expect(await ledger.moveWatermark({ ...start, revision: 1 })).toBe("changed");
    const first = await ledger.moveWatermark(start);
    expect(first).toEqual({ ...start, revision: 1 });
    expect(await ledger.moveWatermark(start)).toBe("changed");
    if (first === "changed") return;
    const moved: Watermark = { ...first, cursor: "a/b@v1", timestamp: "2024-01-02T03:04:05.1234567Z" };
    expect(await other.moveWatermark(moved)).toEqual({ ...moved, revision: 2 });
    expect(await ledger.moveWatermark(first)).toBe("changed");
    expect(await ledger.readWatermark("index")).toEqual({ ...moved, revision: 2 });
    const { cursor: _cursor, ...without } = moved;
    expect(await ledger.moveWatermark({ ...without, revision: 2 })).toEqual({ ...without, revision: 3 });
    expect(await ledger.readWatermark("index")).toEqual({ ...without, revision: 3 });
    expect(await ledger.readWatermark("inde")).toBeUndefined();
  });

  test("a lease is one owner's until it runs out, and the owner may renew it", async () => {
    const { ledger, other = ledger } = fixture();
    expect(await ledger.takeLease("tick", "a", NOW, NOW + 1000)).toBe(true);
    expect(await other.takeLease("tick", "b", NOW + 999, NOW + 2000)).toBe(false);
    expect(await ledger.takeLease("tick", "a", NOW + 500, NOW + 1500)).toBe(true);
    expect(await other.takeLease("tick", "b", NOW + 1499, NOW + 3000)).toBe(false);
    expect(await other.takeLease("tick", "b", NOW + 1500, NOW + 3000)).toBe(true);
    expect(await ledger.takeLease("tick", "a", NOW + 1500, NOW + 3000)).toBe(false);
    expect(await ledger.takeLease("tock", "a", NOW, NOW + 1000)).toBe(true);
  });

  test("a lease is given back by its owner only", async () => {
    const { ledger } = fixture();
    expect(await ledger.takeLease("back", "a", NOW, NOW + 1000)).toBe(true);
    await ledger.releaseLease("back", "b");
    expect(await ledger.takeLease("back", "b", NOW, NOW + 1000)).toBe(false);
    await ledger.releaseLease("back", "a");
    await ledger.releaseLease("back", "a");
    expect(await ledger.takeLease("back", "b", NOW, NOW + 1000)).toBe(true);
  });

  test("of owners that take a free lease at once one gets it", async () => {
    const { ledger, other = ledger } = fixture();
    const race = Array.from({ length: 16 }, (_, n) =>
      (n % 2 ? ledger : other).takeLease("race", `${n}`, NOW, NOW + 1000),
    );
    expect((await Promise.all(race)).filter(Boolean)).toHaveLength(1);
  });
}
