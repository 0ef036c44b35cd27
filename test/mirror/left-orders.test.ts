import { beforeEach, describe, expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MirrorError } from "../../mirror/errors.ts";
import {
  type LeftOrder,
  leaveOrder,
  ORDER_STANDS,
  readOrder,
  takeOrders,
  withdrawOrder,
} from "../../mirror/left-orders.ts";

const ORDER: LeftOrder = { verb: "unblock", name: "example.com/a@v1.0.0", by: "ann" };

describe("what is left to the writer of a folder", () => {
  let ledger: MemoryLedger;
  let time: number;
  let done: LeftOrder[];
  const now = () => time;
  const take = () =>
    takeOrders(ledger, now, async (order) => {
      done.push(order);
      return { versions: 1 };
    });
  beforeEach(() => {
    ledger = new MemoryLedger();
    time = 1_000_000;
    done = [];
  });

  test("is done once, and answered", async () => {
    const name = await leaveOrder(ledger, ORDER, time);
    await take();
    await take();
    expect(done).toEqual([ORDER]);
    expect((await readOrder(ledger, name))?.answer).toEqual({ done: { versions: 1 } });
  });

  test("is answered with what the writer met; what is no such error is the writer's own", async () => {
    const name = await leaveOrder(ledger, ORDER, time);
    await takeOrders(ledger, now, async () => {
      throw new MirrorError("misuse", "x", "there is no such block");
    });
    expect((await readOrder(ledger, name))?.answer).toEqual({
      class: "misuse",
      message: "there is no such block",
    });
    await leaveOrder(ledger, ORDER, time);
    await expect(takeOrders(ledger, now, () => Promise.reject(new TypeError("bug")))).rejects.toThrow("bug");
  });

  test("is not done once it is withdrawn, nor when whoever left it must be gone", async () => {
    const name = await leaveOrder(ledger, ORDER, time);
    const standing = (await readOrder(ledger, name)) ?? expect.fail();
    expect(await withdrawOrder(ledger, standing)).toBe(true);
    await take();
    await leaveOrder(ledger, ORDER, time);
    time += ORDER_STANDS + 1;
    await take();
    expect(done).toEqual([]);
    for await (const item of ledger.items("control")) expect.fail(item.name);
  });

  test("cannot be withdrawn any more when the writer has begun", async () => {
    const name = await leaveOrder(ledger, ORDER, time);
    const before = (await readOrder(ledger, name)) ?? expect.fail();
    await takeOrders(ledger, now, async () => {
      expect(await withdrawOrder(ledger, before)).toBe(false);
      expect((await readOrder(ledger, name))?.taken).toBe(true);
      return {};
    });
  });

  test.each([
    { at: 1, order: { verb: "rm", name: "/", by: "x" } },
    { at: "now", order: ORDER },
    { at: 1_000_000, order: { ...ORDER, name: "" } },
    {
      at: 1_000_000,
      order: { verb: "resolve-conflict", name: "a", resolution: "keep", by: "x", reason: "y" },
    },
    {},
  ])("that cannot be read is taken away: %j", async (value) => {
    await ledger.writeItem({ kind: "control", name: "left/x", revision: 0, value });
    const name = await leaveOrder(ledger, ORDER, time);
    await take();
    expect(done).toEqual([ORDER]);
    expect(await ledger.readItem("control", "left/x")).toBeUndefined();
    expect(await readOrder(ledger, name)).toBeDefined();
  });

  test("too long a word is refused with its field", async () => {
    await expect(leaveOrder(ledger, { ...ORDER, by: "x".repeat(301) }, time)).rejects.toThrow(
      /^by: .*shorter$/,
    );
  });
});
