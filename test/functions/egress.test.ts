import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { APIGatewayProxyEvent, Context } from "aws-lambda";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { ENGINE_FILE, EXTRA_CA_FILE, engineOf } from "../../adapters/configuration/engine.ts";
import { defineMirror } from "../../infra/configuration.ts";
import { type LoopbackProxy, startLoopbackProxy } from "../adapters/egress/loopback-proxy.ts";
import { makePrivateCa } from "../adapters/egress/private-ca.ts";

const AWS = "aws.corp.example";
const UPSTREAM = "goproxy.corp.example";
const TOKEN = "the-token-of-CI";
const ca = makePrivateCa("functions", [AWS, UPSTREAM, "127.0.0.1"]);
const folder = mkdtempSync(join(tmpdir(), "modferry-egress-"));
let proxy: LoopbackProxy;
/** What of AWS was asked, one word each. */
let asked: string[];
let secrets: string[];

/** An AWS that has nothing but secrets; it can be reached through the proxy alone. */
const aws = createServer(ca.server, async (request, reply) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const target = String(request.headers["x-amz-target"] ?? "");
  const json = (value: object) =>
    reply.writeHead(200, { "content-type": "application/x-amz-json-1.0" }).end(JSON.stringify(value));
  asked.push(target === "" ? "s3" : target.replace(/[._].*/, ""));
  if (target.endsWith("GetSecretValue")) {
    const { SecretId } = JSON.parse(body) as { SecretId: string };
    secrets.push(SecretId);
    json({ SecretString: SecretId === "proxy" ? "fn:hush" : TOKEN });
  } else if (target !== "") json({ Items: [], Responses: {}, Count: 0, ScannedCount: 0 });
  else {
    const isPut = request.method === "PUT";
    reply
      .writeHead(isPut ? 200 : 404, { "content-type": "application/xml", etag: '"1"' })
      .end(isPut ? "" : "<Error><Code>NoSuchKey</Code></Error>");
  }
});
const upstream = createServer(ca.server, (_request, reply) => reply.writeHead(404).end());

beforeAll(async () => {
  copyFileSync(ca.file, join(folder, EXTRA_CA_FILE));
  for (const server of [aws, upstream])
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
});
afterAll(() => {
  aws.close();
  upstream.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  asked = [];
  secrets = [];
  proxy = await startLoopbackProxy();
  proxy.hosts.set(AWS, (aws.address() as AddressInfo).port);
  proxy.hosts.set(UPSTREAM, (upstream.address() as AddressInfo).port);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  aws.closeAllConnections();
  upstream.closeAllConnections();
  await proxy.close();
});

/** A function's environment inside of a network without any way out but the proxy. */
function inside(more: { noProxy?: string[]; proxySecret?: string; endpointUrl?: string } = {}): void {
  const { endpointUrl = `https://${AWS}`, ...fields } = more;
  const configuration = defineMirror({
    name: "mirror",
    upstreams: [{ name: "made", url: `https://${UPSTREAM}`, token: { secret: "upstream" } }],
    egress: { proxy: `http://127.0.0.1:${proxy.port}`, extraCa: EXTRA_CA_FILE, ...fields },
  });
  const file = join(folder, ENGINE_FILE);
  writeFileSync(file, JSON.stringify(engineOf(configuration)));
  vi.resetModules();
  const variables = {
    AWS_REGION: "us-east-1",
    AWS_ENDPOINT_URL: endpointUrl,
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    MODFERRY_TREE_BUCKET: "tree",
    MODFERRY_VAULT_BUCKET: "vault",
    MODFERRY_TABLE: "ledger",
    MODFERRY_FRESH_QUEUE_URL: `${endpointUrl}/fresh`,
    MODFERRY_BACKFILL_QUEUE_URL: `${endpointUrl}/backfill`,
    MODFERRY_ENGINE_FILE: file,
    MODFERRY_FETCHES_TILES: "yes",
    MODFERRY_REQUEST_TOKEN_SECRET: "requests",
  };
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
}

const lines = () => new Set(proxy.asked.map(({ line }) => line));
const THROUGH = `CONNECT ${AWS}:443`;
const event = (httpMethod: string, path: string, body: string | null = null) =>
  ({
    httpMethod,
    pathParameters: { proxy: path },
    path: `/${path}`,
    headers: { authorization: `Bearer ${TOKEN}` },
    body,
  }) as unknown as APIGatewayProxyEvent;

test("the endpoint's function asks the tree, the ledger and its secret through the proxy, trusting the private CA", async () => {
  inside();
  const { handler } = await import("../../functions/serve.ts");
  expect((await handler(event("GET", "example.com/a/@v/list"))).statusCode).toBe(404);
  expect(new Set(asked)).toEqual(new Set(["s3", "DynamoDB"]));
  const request = { format: 1, tier: "tidy", files: {}, exact: [], wishes: ["example.com/a@v1.0.0"] };
  const body = JSON.stringify({ ...request, together: true });
  expect((await handler(event("POST", "-/requests/team/app", body))).statusCode).toBe(202);
  expect(secrets).toEqual(["requests"]);
  expect(lines()).toEqual(new Set([THROUGH]));
});

test("each other function asks its stores, queues and upstreams' tokens through the proxy, and so the upstreams", async () => {
  inside();
  const { mirrorParts } = await import("../../functions/parts.ts");
  const { readFunctionEnvironment } = await import("../../functions/environment.ts");
  const { moduleVersion } = await import("../../gomod/version.ts");
  const parts = mirrorParts(readFunctionEnvironment(process.env), () => undefined);
  const version = moduleVersion("example.com/a", "v1.0.0");
  expect(await parts.ledger.read([version])).toEqual([undefined]);
  expect(await parts.vault.get("inbox/requests/none", 1_000)).toBeUndefined();
  await expect(parts.upstream.mod(version)).rejects.toMatchObject({ class: "absent" });
  await parts.queue
    .send("fresh", [{ kind: "fetch", path: version.path, versions: [version.version] }])
    .catch(() => undefined);
  expect(new Set(asked)).toEqual(new Set(["DynamoDB", "s3", "secretsmanager", "AmazonSQS"]));
  expect(secrets).toEqual(["upstream"]);
  expect(lines()).toEqual(new Set([THROUGH, `CONNECT ${UPSTREAM}:443`]));
});

test("the proxy's own login is read directly, and sent with every tunnel", async () => {
  const direct = `https://127.0.0.1:${(aws.address() as AddressInfo).port}`;
  // An address of this machine is asked directly, as what noProxy names.
  inside({ proxySecret: "proxy", endpointUrl: direct });
  const { mirrorParts } = await import("../../functions/parts.ts");
  const { readFunctionEnvironment } = await import("../../functions/environment.ts");
  const { moduleVersion } = await import("../../gomod/version.ts");
  const parts = mirrorParts(readFunctionEnvironment(process.env), () => undefined);
  await expect(parts.upstream.mod(moduleVersion("example.com/a", "v1.0.0"))).rejects.toMatchObject({
    class: "absent",
  });
  expect(new Set(secrets)).toEqual(new Set(["proxy", "upstream"]));
  expect(proxy.asked).toEqual([
    {
      line: `CONNECT ${UPSTREAM}:443`,
      authorization: `Basic ${Buffer.from("fn:hush").toString("base64")}`,
    },
  ]);
});

test("what noProxy names goes past the proxy", async () => {
  inside({ noProxy: [AWS] });
  const { handler } = await import("../../functions/serve.ts");
  // There is no such host but behind the proxy.
  expect((await handler(event("GET", "example.com/a/@v/list"))).statusCode).toBe(503);
  expect([proxy.asked, asked]).toEqual([[], []]);
}, 30_000);

test("a scheduled function has no other way out either", async () => {
  inside();
  const { handler } = await import("../../functions/reconcile.ts");
  const context = { getRemainingTimeInMillis: () => 300_000 } as Context;
  await (handler as (event: unknown, context: Context) => Promise<void>)({}, context).catch(() => undefined);
  expect(asked).toContain("DynamoDB");
  expect(lines()).toEqual(new Set([THROUGH]));
});
