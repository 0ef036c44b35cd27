import type { SQSEvent } from "aws-lambda";
import { expect, test } from "vitest";
import { eachMessage } from "../../functions/each-message.ts";
import { FunctionLog } from "../../functions/function-log.ts";
import { parseOrder } from "../../mirror/orders.ts";

const written: string[] = [];
const log = new FunctionLog({ mirror: "mirror", program: "work" }, (text) => written.push(text));
const batch = (...bodies: string[]) =>
  ({ Records: bodies.map((body, at) => ({ messageId: `m${at}`, body })) }) as SQSEvent;

test("those that throw come back, and no other", async () => {
  const done: string[] = [];
  const reply = await eachMessage(batch("a", "bad", "c"), log, async (body) => {
    if (body === "bad") throw new Error("told by the test");
    done.push(body);
  });
  expect(reply).toEqual({ batchItemFailures: [{ itemIdentifier: "m1" }] });
  expect(done).toEqual(["a", "c"]);
  expect(written.map((line) => JSON.parse(line))).toMatchObject([
    { event: { action: "message-failed" }, labels: { message_id: "m1" }, error: { type: "transient" } },
  ]);
});

test("a message that does not parse fails alone, though its parser throws at once", async () => {
  const orders: unknown[] = [];
  const order = '{"kind":"fetch","path":"example.com/a","versions":["v1.0.0"]}';
  const reply = await eachMessage(batch("{", order), log, (body) => {
    const parsed = parseOrder(body);
    orders.push(parsed);
    return Promise.resolve();
  });
  expect(reply).toEqual({ batchItemFailures: [{ itemIdentifier: "m0" }] });
  expect(orders).toHaveLength(1);
});

test("an empty batch and one that is done well name no failure", async () => {
  expect(await eachMessage(batch(), log, async () => {})).toEqual({ batchItemFailures: [] });
  expect(await eachMessage(batch("a"), log, async () => {})).toEqual({ batchItemFailures: [] });
});
