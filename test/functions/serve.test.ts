import type { IncomingMessage } from "node:http";
import type { APIGatewayProxyEvent } from "aws-lambda";
import { afterEach, expect, test, vi } from "vitest";
import { type Answer, faultyAws, json, s3Error } from "../adapters/loopback-server.ts";

import { engineFile } from "./engine-file.ts";

/** The gateway's own limit (Amazon API Gateway quotas, integration timeout). */
const GATEWAY_TIMEOUT = 29_000;

const ENGINE = engineFile({ upstreams: [{ name: "made", url: "http://127.0.0.1:1" }] });

afterEach(() => vi.unstubAllEnvs());

/** The function as Lambda starts it, over an AWS that answers as told. */
async function serveOver(answer: Answer) {
  const aws = await faultyAws(answer);
  vi.resetModules();
  vi.stubEnv("AWS_REGION", "us-east-1");
  vi.stubEnv("AWS_ENDPOINT_URL", aws.settings.endpointUrl);
  vi.stubEnv("AWS_ACCESS_KEY_ID", "test");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "test");
  vi.stubEnv("MODFERRY_TREE_BUCKET", "tree");
  vi.stubEnv("MODFERRY_VAULT_BUCKET", "vault");
  vi.stubEnv("MODFERRY_TABLE", "ledger");
  vi.stubEnv("MODFERRY_ENGINE_FILE", ENGINE);
  const { handler } = await import("../../functions/serve.ts");
  const ask = (proxy: string) =>
    handler({ pathParameters: { proxy }, path: `/${proxy}`, headers: {} } as unknown as APIGatewayProxyEvent);
  return { ask, [Symbol.asyncDispose]: () => aws[Symbol.asyncDispose]() };
}

const isLedger = (request: IncomingMessage) => request.headers["x-amz-target"] !== undefined;

test.each([
  [500, "InternalError"],
  [503, "SlowDown"],
  [403, "AccessDenied"],
  [404, "NoSuchBucket"],
  [400, "SomethingNew"],
])("a bucket that answers %i %s is a 503", async (status, code) => {
  await using serve = await serveOver((_request, reply) => s3Error(reply, status, code));
  const sent = await serve.ask("example.com/a/@v/list");
  expect([sent.statusCode, sent.headers?.["Cache-Control"]]).toEqual([503, "no-store"]);
});

test("a key that lacks is a 503 while the ledger cannot say why", async () => {
  await using serve = await serveOver((request, reply) => {
    if (isLedger(request))
      json(reply, 400, { __type: "x#AccessDeniedException", message: "told by the test" });
    else s3Error(reply, 404, "NoSuchKey");
  });
  for (const path of ["example.com/a/@v/list", "example.com/a/@v/v1.0.0.zip"])
    expect((await serve.ask(path)).statusCode).toBe(503);
});

test("a key that lacks and that the ledger does not know is a 404 in text", async () => {
  await using serve = await serveOver((request, reply) => {
    if (isLedger(request)) json(reply, 200, { Items: [], Responses: {}, Count: 0 });
    else s3Error(reply, 404, "NoSuchKey");
  });
  const sent = await serve.ask("example.com/a/@v/list");
  expect([sent.statusCode, sent.headers?.["Content-Type"]]).toEqual([404, "text/plain; charset=utf-8"]);
});

test("a path that is none of a GOPROXY's asks nobody", async () => {
  await using serve = await serveOver((_request, reply) => s3Error(reply, 500, "InternalError"));
  expect((await serve.ask("../vault/inbox")).statusCode).toBe(404);
  expect((await serve.ask("-/healthz")).statusCode).toBe(200);
});

test.each(["bucket", "table"])(
  "a %s that hangs is our 503, before the gateway's own",
  async (which) => {
    await using serve = await serveOver((request, reply) => {
      if (which === "bucket") return;
      if (!isLedger(request)) s3Error(reply, 404, "NoSuchKey");
    });
    const startedAt = Date.now();
    expect((await serve.ask("example.com/a/@v/list")).statusCode).toBe(503);
    // Another store may take as long before it.
    expect(Date.now() - startedAt).toBeLessThan(GATEWAY_TIMEOUT / 2);
  },
  60_000,
);
