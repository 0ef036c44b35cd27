import { expect, test, vi } from "vitest";
import type { RequestKey } from "../../mirror/orders.ts";
import type { RequestRecord } from "../../mirror/requests.ts";
import type { LedgerFixture } from "./ledger-contract.ts";
import { rejectionOf } from "./rejection.ts";

const LAG = { timeout: 10_000, interval: 50 };
const TIME = "20260101T000000000Z";
const opened = (name: string): RequestRecord => ({
  name,
  time: TIME,
  revision: 0,
  state: "OPEN",
  tier: "tidy",
  total: 0,
  missing: 0,
});

/** Tests of requests and their orders; each has requests of its own. */
export function ledgerRequestTests(fixture: () => LedgerFixture): void {
  const written = async (record: RequestRecord): Promise<RequestRecord> => {
    const answer = await fixture().ledger.writeRequest(record);
    if (answer === "changed") throw new Error("changed");
    return answer;
  };

  test("a request that is due at no whole millisecond is refused, and not stored", async () => {
    const error = await rejectionOf(fixture().ledger.writeRequest({ ...opened("whole"), due: 1.5 }));
    expect([error.class, error.message]).toEqual(["misuse", expect.stringContaining("due: 1.5 is no whole")]);
    expect(await fixture().ledger.readRequest({ name: "whole", time: TIME })).toBeUndefined();
  });

  test("a request is read back field by field, with its new revision", async () => {
    const record = opened("fields");
    const first = await written(record);
    expect(first).toEqual({ ...record, revision: 1 });
    expect(await fixture().ledger.readRequest({ name: "fields", time: TIME })).toEqual(first);
    expect(
      await fixture().ledger.readRequest({ name: "fields", time: "20260101T000000001Z" }),
    ).toBeUndefined();
    const refused: RequestRecord = {
      ...first,
      state: "REFUSED",
      tier: "build",
      total: 7,
      missing: 3,
      error: "go.mod:1: no",
    };
    expect(await written(refused)).toEqual({ ...refused, revision: 2 });
    const { error: _error, ...without } = refused;
    expect(await written({ ...without, revision: 2 })).toEqual({ ...without, revision: 3 });
    expect(await fixture().ledger.readRequest({ name: "fields", time: TIME })).toEqual({
      ...without,
      revision: 3,
    });
  });

  test("a request is forgotten at its revision alone, with what it waits for, and can come anew", async () => {
    const { ledger, other = ledger } = fixture();
    const key = { name: "forgotten", time: TIME };
    const stored = await written({ ...opened("forgotten"), state: "ENDED", endedAt: 12, due: 5 });
    expect(stored.endedAt).toBe(12);
    await ledger.openOrders(key, [1, 2, 3]);
    expect(await ledger.forgetRequest({ ...stored, revision: 0 })).toBe(false);
    expect(await ledger.forgetRequest({ ...stored, revision: 2 })).toBe(false);
    expect(await ledger.readRequest(key)).toEqual(stored);
    expect((await ledger.closeOrder(key, 3)).open).toBeGreaterThan(0);
    const both = await Promise.all([ledger.forgetRequest(stored), other.forgetRequest(stored)]);
    expect(both.filter((isGone) => isGone)).toHaveLength(1);
    expect(await ledger.readRequest(key)).toBeUndefined();
    for await (const request of ledger.requests()) expect(request.name).not.toBe("forgotten");
    await vi.waitFor(async () => {
      const due = await ledger.dueRequests(10, 1_000);
      expect(due.map(({ name }) => name)).not.toContain("forgotten");
    }, LAG);
    expect(await ledger.closeOrder(key, 9)).toEqual({ open: 0 });
    expect(await ledger.writeRequest(opened("forgotten"))).toEqual({ ...opened("forgotten"), revision: 1 });
  });

  test("requests gives every one of them, more than a page, each once", async () => {
    const { ledger, other = ledger } = fixture();
    const names = Array.from({ length: 620 }, (_, n) => `all-${n}`);
    await Promise.all(names.map((name) => written(opened(name))));
    const found: string[] = [];
    for await (const { name, time, state } of other.requests())
      if (name.startsWith("all-")) found.push(`${name} ${time} ${state}`);
    expect(found.sort()).toEqual(names.map((name) => `${name} ${TIME} OPEN`).sort());
  });

  test("a request is written only over the revision that was read; of writers at once one wins", async () => {
    expect(await fixture().ledger.writeRequest({ ...opened("revision"), revision: 3 })).toBe("changed");
    const first = await written(opened("revision"));
    expect(await fixture().ledger.writeRequest(opened("revision"))).toBe("changed");
    const { ledger, other = ledger } = fixture();
    const race = Array.from({ length: 16 }, (_, n) =>
      (n % 2 ? ledger : other).writeRequest({ ...first, total: n }),
    );
    const winners = (await Promise.all(race)).filter((answer) => answer !== "changed");
    expect(winners).toHaveLength(1);
    expect(await ledger.readRequest(first)).toEqual(winners[0]);
  });

  test("dueRequests gives what is due and nothing else, at most as many as asked", async () => {
    const { ledger } = fixture();
    const records: RequestRecord[] = [];
    for (const n of [1, 2, 3]) records.push(await written({ ...opened(`due-${n}`), due: 1000 * n }));
    const dues = async (before: number, limit: number) =>
      (await ledger.dueRequests(before, limit)).map((r) => r.due);
    await vi.waitFor(async () => expect((await dues(2000, 100)).sort()).toEqual([1000, 2000]), LAG);
    await vi.waitFor(async () => expect(await dues(3000, 2)).toHaveLength(2), LAG);
    expect(await dues(999, 100)).toEqual([]);
    for (const record of records) {
      const { due: _due, ...rest } = record;
      await written(rest);
    }
    await vi.waitFor(async () => expect(await dues(3000, 100)).toEqual([]), LAG);
  });

  test("closing the last open order says zero, whichever comes first, and twice is once", async () => {
    const { ledger } = fixture();
    const request: RequestKey = { name: "orders", time: TIME };
    const neighbour: RequestKey = { name: "orders", time: "20260101T000000001Z" };
    await ledger.openOrders(request, [0, 1, 2]);
    await ledger.openOrders(request, [2, 1, 0]);
    await ledger.openOrders(neighbour, [0]);
    expect((await ledger.closeOrder(request, 1)).open).toBeGreaterThan(0);
    expect((await ledger.closeOrder(request, 1)).open).toBeGreaterThan(0);
    expect((await ledger.closeOrder(request, 0)).open).toBeGreaterThan(0);
    expect((await ledger.closeOrder(request, 9)).open).toBeGreaterThan(0);
    expect((await ledger.closeOrder(request, 2)).open).toBe(0);
    expect((await ledger.closeOrder(request, 2)).open).toBe(0);
    expect((await ledger.closeOrder(neighbour, 1)).open).toBeGreaterThan(0);
    expect((await ledger.closeOrder(neighbour, 0)).open).toBe(0);
    expect((await ledger.closeOrder({ name: "never-opened", time: TIME }, 0)).open).toBe(0);
  });

  test("opening no orders is no error, and 2,000 are opened in one call", async () => {
    const { ledger } = fixture();
    await ledger.openOrders({ name: "none", time: TIME }, []);
    const request: RequestKey = { name: "many", time: TIME };
    const numbers = Array.from({ length: 2000 }, (_, n) => n);
    await ledger.openOrders(request, numbers);
    const last = numbers.splice(1999, 1)[0] ?? 0;
    await Promise.all(numbers.slice(0, 10).map((number) => ledger.closeOrder(request, number)));
    expect((await ledger.closeOrder(request, last)).open).toBeGreaterThan(0);
  });

  test("of workers that close the last orders at once, at least one is told zero", async () => {
    const { ledger, other = ledger } = fixture();
    const request: RequestKey = { name: "close-race", time: TIME };
    const numbers = Array.from({ length: 12 }, (_, n) => n);
    await ledger.openOrders(request, numbers);
    const answers = await Promise.all(numbers.map((n) => (n % 2 ? ledger : other).closeOrder(request, n)));
    expect(answers.some(({ open }) => open === 0)).toBe(true);
    expect((await ledger.closeOrder(request, 0)).open).toBe(0);
  });
}
