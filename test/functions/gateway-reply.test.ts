import { expect, test } from "vitest";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { FunctionLog } from "../../functions/function-log.ts";
import { gatewayReply, requestPath, unavailable } from "../../functions/gateway-reply.ts";
import type { Answer } from "../../mirror/answer.ts";
import { sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { METRICS_TYPE } from "../../mirror/metrics-text.ts";
import type { StoredObject } from "../../mirror/ports.ts";
import type { TreeKey } from "../../mirror/tree-keys.ts";

const log = new FunctionLog({ mirror: "mirror", program: "serve" }, () => {});

const KEY = "example.com/a/@v/v1.0.0.mod" as TreeKey;

/** An answer with this body, as a tree gives it, and whether it was closed. */
async function answerOf(body: Uint8Array) {
  const tree = new MemoryTree();
  await tree.create(KEY, body, sha256Of(body));
  const stored = await tree.open(KEY);
  if (stored === undefined) throw new Error("not stored");
  const state = { closed: 0, read: 0 };
  const object: StoredObject = {
    ...stored,
    size: stored.size,
    etag: stored.etag,
    read: (offset, length) => {
      state.read++;
      return stored.read(offset, length);
    },
    close: async () => {
      state.closed++;
      await stored.close();
    },
  };
  const reply: Answer = { kind: "object", object, type: "text/plain", cacheControl: "public" };
  return { reply, state, etag: `"${stored.etag}"` };
}

test.each([
  // As MiniStack gives it, decoded, and as LocalStack does, not.
  ["github.com/!burnt!sushi/toml/@v/list", "github.com/!burnt!sushi/toml/@v/list"],
  ["github.com/%21burnt%21sushi/toml/@v/list", "github.com/!burnt!sushi/toml/@v/list"],
  ["github.com/gofrs/uuid/@v/v4.4.0%2Bincompatible.mod", "github.com/gofrs/uuid/@v/v4.4.0+incompatible.mod"],
  ["github.com/gofrs/uuid/@v/v4.4.0+incompatible.mod", "github.com/gofrs/uuid/@v/v4.4.0+incompatible.mod"],
  // Decoded once only, and what does not decode is left for the parser of paths to refuse.
  ["a/%2521/@v/list", "a/%21/@v/list"],
  ["a/%zz/@v/list", "a/%zz/@v/list"],
  ["a/%ff/@v/list", "a/%ff/@v/list"],
])("the path %s is %s", (proxy, path) => {
  expect(requestPath({ pathParameters: { proxy }, path: "/ignored" })).toBe(path);
  expect(requestPath({ pathParameters: null, path: `/${proxy}` })).toBe(path);
});

test("text goes as text, with a strong ETag, and the object is closed", async () => {
  const { reply, state, etag } = await answerOf(Buffer.from("module example.com/ä\n"));
  expect(await gatewayReply(reply, {})).toEqual({
    statusCode: 200,
    headers: { "Content-Type": "text/plain", "Cache-Control": "public", ETag: etag },
    body: "module example.com/ä\n",
  });
  expect(state.closed).toBe(1);
});

test("what is no UTF-8 goes in base64, byte for byte", async () => {
  const bytes = Buffer.from([0x6d, 0xff, 0x00, 0xc3, 0x0a]);
  const { reply } = await answerOf(bytes);
  const sent = await gatewayReply(reply, {});
  expect(sent.isBase64Encoded).toBe(true);
  expect(Buffer.from(sent.body, "base64").equals(bytes)).toBe(true);
});

test.each(["If-None-Match", "if-none-match"])(
  "%s with the object's ETag is a 304 without reading it",
  async (name) => {
    const { reply, state, etag } = await answerOf(Buffer.from("module a\n"));
    const sent = await gatewayReply(reply, { [name]: etag });
    expect([sent.statusCode, sent.body, sent.headers?.ETag]).toEqual([304, "", etag]);
    expect(state).toEqual({ closed: 1, read: 0 });
    const other = await answerOf(Buffer.from("module b\n"));
    expect((await gatewayReply(other.reply, { [name]: etag })).statusCode).toBe(200);
  },
);

test("an object that cannot be read to its end is closed, and its error is the caller's", async () => {
  const { reply, state } = await answerOf(Buffer.from("module a\n"));
  if (reply.kind !== "object") throw new Error("no object");
  const error = new MirrorError("transient", "x", "x: cut off");
  const broken: Answer = { ...reply, object: { ...reply.object, read: () => Promise.reject(error) } };
  await expect(gatewayReply(broken, {})).rejects.toBe(error);
  expect(state.closed).toBe(1);
});

test("redirects and errors are not cached; Retry-After is passed on", async () => {
  const redirect = await gatewayReply({ kind: "redirect", location: "https://s3.example.com/x?sig" }, {});
  expect(redirect).toEqual({
    statusCode: 302,
    headers: { Location: "https://s3.example.com/x?sig", "Cache-Control": "no-store" },
    body: "",
  });
  const pending = await gatewayReply({ kind: "text", status: 503, text: "wait\n", retryAfter: 30 }, {});
  expect(pending.headers).toMatchObject({ "Retry-After": "30", "Cache-Control": "no-store" });
  expect(pending.headers?.["Content-Type"]).toBe("text/plain; charset=utf-8");
  const metrics = await gatewayReply({ kind: "text", status: 200, text: "x 1\n", type: METRICS_TYPE }, {});
  expect(metrics.headers).toEqual({ "Content-Type": METRICS_TYPE, "Cache-Control": "no-store" });
});

test.each(["absent", "unauthorized", "misuse", "transient", "malformed"] as const)(
  "whatever a store throws is a 503 and never a 404: %s",
  (errorClass) => {
    const sent = unavailable(new MirrorError(errorClass, "bucket", "bucket: secret detail"), log);
    expect([sent.statusCode, sent.headers?.["Retry-After"]]).toEqual([503, "5"]);
    expect(sent.body).not.toContain("secret detail");
  },
);
