import type { SQSEvent } from "aws-lambda";
import { beforeEach, expect, test, vi } from "vitest";
import { parseNotification } from "../../functions/notification.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { handIn } from "../../mirror/inbox.ts";
import { requestInboxKey } from "../../mirror/requests.ts";
import { MadeMirror, requestBody } from "../mirror/made-mirror.ts";
import { MadeUpstream } from "../mirror/made-upstream.ts";

const mirror = vi.hoisted(() => ({ parts: undefined as unknown }));
vi.mock("../../functions/parts.ts", () => ({ mirrorParts: () => mirror.parts }));
vi.mock("../../functions/environment.ts", () => ({ readFunctionEnvironment: () => ({}) }));

const TIME = "20261123T093000000Z";
const KEY = `inbox/requests/team-app/${TIME}.json`;
/** As in Amazon S3's example of an event message, with what we do not read left out. */
const notify = (...keys: string[]) =>
  JSON.stringify({
    Records: keys.map((key) => ({
      eventVersion: "2.1",
      eventName: "ObjectCreated:Put",
      s3: { bucket: { name: "vault" }, object: { key, size: 1 } },
    })),
  });
const testEvent = JSON.stringify({ Service: "Amazon S3", Event: "s3:TestEvent", Bucket: "vault" });

test("a notification names its requests", () => {
  const team = { name: "team-app", time: TIME };
  expect(parseNotification(notify(KEY, KEY.replace("team-app", "b")))).toEqual({
    requests: [team, { name: "b", time: TIME }],
    others: [],
  });
});

test("S3's test event names nothing, and is no error", () => {
  expect(parseNotification(testEvent)).toEqual({ requests: [], others: [] });
});

test("keys are form-encoded", () => {
  const encoded = KEY.replaceAll("/", "%2F").replace("-", "%2D");
  expect(parseNotification(notify(encoded)).requests).toEqual([{ name: "team-app", time: TIME }]);
});

test.each([
  "inbox/requests/team+app/20261123T093000000Z.json", // a space
  "inbox/requests/%zz/20261123T093000000Z.json",
  "inbox/requests/%ff/20261123T093000000Z.json",
  "inbox/requests/..%2F..%2Fx/20261123T093000000Z.json",
  "inbox/requests/a//20261123T093000000Z.json",
  "inbox/requests/a/today.json",
  "inbox/requests/",
  "requests/a/20261123T093000000Z.json",
  "",
])("%s is no request's key, and the next one is read all the same", (key) => {
  expect(parseNotification(notify(key, KEY))).toEqual({
    requests: [{ name: "team-app", time: TIME }],
    others: [key],
  });
});

test.each(["", "{", "[]", '{"Records":[{}]}', '{"Records":"x"}'])(
  "%s is no notification: it throws",
  (body) => {
    expect(() => parseNotification(body)).toThrow();
  },
);

test("s3:TestEvent is acknowledged; what is no notification comes back alone", async () => {
  expect(await handle(testEvent)).toEqual([]);
  expect(await handle("{", testEvent)).toEqual(["m0"]);
});

let made: MadeMirror;
beforeEach(() => {
  made = new MadeMirror(new MadeUpstream());
  mirror.parts = made.parts;
});

test("a request in the inbox is noted", async () => {
  const request = await handIn(made.parts, "team-app", requestBody({ wishes: ["example.com/a@v1.0.0"] }));
  const body = notify(requestInboxKey(request));
  expect(await handle(body)).toEqual([]);
  expect((await made.ledger.readRequest(request))?.state).toBe("OPEN");
});

test("one that does not parse is REFUSED and acknowledged", async () => {
  const request = { name: "team-app", time: TIME };
  await made.vault.put(KEY, Buffer.from("no JSON"));
  expect(await handle(notify(KEY))).toEqual([]);
  expect((await made.ledger.readRequest(request))?.state).toBe("REFUSED");
});

test("while the vault does not answer, the message comes back", async () => {
  const error = new MirrorError("transient", "vault", "vault: does not answer");
  vi.spyOn(made.vault, "get").mockRejectedValue(error);
  expect(await handle(notify(KEY))).toEqual(["m0"]);
});

async function handle(...bodies: string[]): Promise<string[]> {
  vi.resetModules();
  const { handler } = await import("../../functions/accept-request.ts");
  const event = { Records: bodies.map((body, at) => ({ messageId: `m${at}`, body })) } as SQSEvent;
  return (await handler(event)).batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
}
