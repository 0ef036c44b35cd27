import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { GetItemCommand } from "@aws-sdk/client-dynamodb";
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type AwsSettings, dynamoDbClient, s3Client } from "../../../adapters/aws/clients.ts";
import { fromSdk } from "../../../adapters/aws/errors.ts";
import { environmentEgress } from "../../../adapters/egress/egress.ts";
import { trustExtraCa } from "../../../adapters/egress/root-certificates.ts";
import { type LoopbackProxy, startLoopbackProxy } from "./loopback-proxy.ts";
import { makePrivateCa } from "./private-ca.ts";

const HOST = "aws.corp.example";
const ca = makePrivateCa("aws", [HOST, "127.0.0.1"]);
let proxy: LoopbackProxy;
let bodies: string[];
let expected: (string | undefined)[];
const aws = createServer(ca.server, async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  bodies.push(body);
  expected.push(request.headers.expect);
  response.writeHead(200).end(request.method === "GET" ? "stored" : "{}");
});

beforeAll(async () => {
  trustExtraCa(ca.file, "egress.extraCa");
  await new Promise<void>((listening) => aws.listen(0, "127.0.0.1", listening));
});
afterAll(() => aws.close());
beforeEach(async () => {
  bodies = [];
  expected = [];
  proxy = await startLoopbackProxy();
  proxy.hosts.set(HOST, (aws.address() as AddressInfo).port);
});
afterEach(async () => {
  aws.closeAllConnections();
  await proxy.close();
});

const settings = (noProxy = "", endpointUrl = `https://${HOST}`): AwsSettings => ({
  region: "us-east-1",
  endpointUrl,
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
  egress: environmentEgress({ HTTPS_PROXY: `http://user:hush@127.0.0.1:${proxy.port}`, NO_PROXY: noProxy }),
});
const limits = { attempts: 1, connection: 500, request: 2_000 };

test("S3 and DynamoDB are asked through the proxy's tunnels, which are kept", async () => {
  const s3 = s3Client(settings());
  for (let call = 0; call < 5; call++) {
    const reply = await s3.send(new GetObjectCommand({ Bucket: "tree", Key: "k" }));
    expect(await reply.Body?.transformToString()).toBe("stored");
  }
  const ledger = dynamoDbClient(settings());
  await ledger.send(new GetItemCommand({ TableName: "ledger", Key: { pk: { S: "x" } } }));
  expect(bodies).toHaveLength(6);
  expect(proxy.asked.map(({ line }) => line)).toEqual([`CONNECT ${HOST}:443`, `CONNECT ${HOST}:443`]);
  s3.destroy();
  ledger.destroy();
});

test("an upload through the proxy, for which the SDK makes a new connection when direct, goes through it too", async () => {
  const s3 = s3Client(settings());
  const body = Buffer.alloc(3_000_000, "z");
  await s3.send(new PutObjectCommand({ Bucket: "tree", Key: "k", Body: body, IfNoneMatch: "*" }));
  expect(bodies.map((text) => text.length)).toEqual([body.length]);
  expect(expected).toEqual([undefined]);
  expect(proxy.asked.map(({ line }) => line)).toEqual([`CONNECT ${HOST}:443`]);
  s3.destroy();
});

test("what NO_PROXY names is asked directly, with Expect", async () => {
  const { port } = aws.address() as AddressInfo;
  const s3 = s3Client(settings("", `https://127.0.0.1:${port}`));
  await s3.send(new PutObjectCommand({ Bucket: "tree", Key: "k", Body: Buffer.alloc(3_000_000) }));
  expect(expected).toEqual(["100-continue"]);
  const named = s3Client(settings("corp.example"), limits);
  await expect(named.send(new GetObjectCommand({ Bucket: "tree", Key: "k" }))).rejects.toThrow(
    /ENOTFOUND|EAI_AGAIN/,
  );
  expect(proxy.asked).toEqual([]);
});

test.each([
  ["wants other credentials", /proxy http:\/\/127\.0\.0\.1:\d+ answered 407/],
  ["hangs", /ETIMEDOUT|not establish|timed out|timeout/i],
] as const)("a proxy that %s ends the call, without its login in the message", async (manner, message) => {
  proxy.manner = manner;
  const s3 = s3Client(settings(), limits);
  const error = await s3
    .send(new GetObjectCommand({ Bucket: "tree", Key: "k" }))
    .catch((thrown: unknown) => thrown);
  const told = fromSdk(error, "bucket tree", "k");
  expect(told.message).toMatch(message);
  expect(told.message).not.toContain("hush");
  s3.destroy();
});

test("a server that the CA does not vouch for is refused inside of the tunnel", async () => {
  const stranger = makePrivateCa("aws-stranger", [HOST]);
  const server = createServer(stranger.server, (_, response) => response.end("taken"));
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  proxy.hosts.set(HOST, (server.address() as AddressInfo).port);
  const s3 = s3Client(settings(), limits);
  await expect(s3.send(new GetObjectCommand({ Bucket: "tree", Key: "k" }))).rejects.toThrow(
    /unable to verify|self.signed|issuer/i,
  );
  s3.destroy();
  server.close();
});
