import { expect, test } from "vitest";
import { FunctionLog } from "../../functions/function-log.ts";
import { obeyGarbageOrder } from "../../functions/garbage-order.ts";
import { run, stateOf } from "../mirror/garbage/garbage-runs.ts";
import { MadeMirror } from "../mirror/made-mirror.ts";
import { MadeUpstream } from "../mirror/made-upstream.ts";

const A = "example.com/a@v1.0.0";
const BY = "op@host";

async function world() {
  const upstream = new MadeUpstream();
  upstream.database.grow(3);
  upstream.add(A);
  const mirror = new MadeMirror(upstream);
  await mirror.request({ wishes: [A] }, "team/app");
  const written: string[] = [];
  const log = new FunctionLog({ mirror: "mirror", program: "collect" }, (text) => written.push(text));
  const obey = (event: unknown) => obeyGarbageOrder(mirror.parts, log, event);
  return { mirror, written, obey };
}

test("a schedule's event is no order", async () => {
  const { obey, written } = await world();
  for (const event of [undefined, null, {}, "drop", { "detail-type": "Scheduled Event" }])
    expect(await obey(event)).toBe(false);
  expect(written).toEqual([]);
});

test("a drop counts for the next run, and an approval of the list that is too large lets it go on; the log names who", async () => {
  const { mirror, obey, written } = await world();
  expect(await obey({ drop: "team/app", by: BY })).toBe(true);
  expect(written.join()).toContain(BY);
  mirror.clock.ms += 86_400_000;
  const settings = { largestShare: 0.1 };
  const { list } = await run(mirror, { settings });
  expect(list).toMatchObject({ stopped: true, versions: 1, from: undefined });
  mirror.clock.ms += 2 * 86_400_000;
  expect((await run(mirror, { settings })).acted).toBeUndefined();
  expect(await obey({ approve: list?.run, by: BY })).toBe(true);
  expect((await run(mirror, { settings })).acted).toMatchObject({ removing: 1, finished: true });
  expect(await stateOf(mirror, A)).toMatchObject({ state: "REMOVING" });
});

test.each([
  [{ drop: "team/none", by: BY }, "no request of that name"],
  [{ drop: "../up", by: BY }, "not a request's name"],
  [{ drop: "team/app" }, "by"],
  [{ drop: "team/app", by: BY, reason: "x" }, "reason"],
  [{ approve: "20260131T235959000Z", by: BY }, "no list of that name waits"],
  [{ approve: "../../x", by: BY }, "not a run's name"],
  [{ approve: "20260131T235959000Z", by: "" }, "by"],
])("%j is refused, and its caller told why", async (event, message) => {
  const { obey, written } = await world();
  await expect(obey(event)).rejects.toThrow(message);
  expect(written).toEqual([]);
});
