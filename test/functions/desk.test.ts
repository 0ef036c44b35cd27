import type { APIGatewayProxyEvent } from "aws-lambda";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { printRequestBody } from "../../mirror/requests.ts";
import { faultyAws, json, s3Error } from "../adapters/loopback-server.ts";
import { requestBody } from "../mirror/request-body.ts";
import { engineFile } from "./engine-file.ts";

const ENGINE = engineFile({ upstreams: [{ name: "made", url: "http://127.0.0.1:1" }] });
const TOKEN = "the-token-of-CI";
const BODY = Buffer.from(printRequestBody(requestBody({ wishes: ["example.com/a@v1.0.0"] }))).toString(
  "utf8",
);

beforeEach(() => vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

/** The function as Lambda starts it, over an AWS that keeps objects and one secret. */
async function desk(secret: string | undefined = "requests") {
  const stored = new Map<string, string>();
  const world = { token: `${TOKEN}\n`, secrets: 0, storage: true };
  const aws = await faultyAws((request, reply) => {
    const target = String(request.headers["x-amz-target"] ?? "");
    if (target.endsWith("GetSecretValue")) {
      world.secrets++;
      expect(JSON.parse(request.body.toString())).toEqual({ SecretId: "requests" });
      if (world.token === "")
        json(reply, 400, { __type: "x#AccessDeniedException", message: "told by the test" });
      else json(reply, 200, { SecretString: world.token });
    } else if (!world.storage) s3Error(reply, 503, "SlowDown");
    else if (target !== "") json(reply, 200, {});
    else {
      const key = decodeURIComponent((request.url ?? "").replace(/\?.*$/, ""));
      const bytes = stored.get(key);
      if (request.method === "PUT") {
        stored.set(key, request.body.toString());
        reply.writeHead(200, { etag: '"1"' }).end();
      } else if (bytes === undefined) s3Error(reply, 404, "NoSuchKey");
      else reply.writeHead(200, { etag: '"1"', "content-length": Buffer.byteLength(bytes) }).end(bytes);
    }
  });
  vi.resetModules();
  const environment = {
    AWS_REGION: "us-east-1",
    AWS_ENDPOINT_URL: aws.settings.endpointUrl ?? "",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    MODFERRY_TREE_BUCKET: "tree",
    MODFERRY_VAULT_BUCKET: "vault",
    MODFERRY_TABLE: "ledger",
    MODFERRY_ENGINE_FILE: ENGINE,
    MODFERRY_REQUEST_TOKEN_SECRET: secret ?? "",
  };
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  const { handler } = await import("../../functions/serve.ts");
  const ask = (httpMethod: string, proxy: string, more: object = {}) =>
    handler({
      httpMethod,
      // The desk's own resource, whose parameter is what stands behind /-/requests/.
      pathParameters: { request: proxy.replace("-/requests/", "") },
      path: `/${proxy}`,
      requestContext: { path: `/go/${proxy}` },
      headers: { authorization: `Bearer ${TOKEN}` },
      body: null,
      ...more,
    } as unknown as APIGatewayProxyEvent);
  const post = (name: string, body = BODY) =>
    ask("POST", `-/requests/${name}`, { body: Buffer.from(body).toString("base64"), isBase64Encoded: true });
  return { ask, post, stored, world, [Symbol.asyncDispose]: () => aws[Symbol.asyncDispose]() };
}

test("a request that is handed in lies in the inbox, and is told of until it is resolved", async () => {
  await using at = await desk();
  const taken = await at.post("team/app");
  expect([taken.statusCode, taken.body]).toEqual([202, expect.any(String)]);
  const { request } = JSON.parse(taken.body) as { request: string };
  expect(request).toMatch(/^team\/app\/\d{8}T\d{9}Z$/);
  expect(taken.headers).toMatchObject({ Location: `/go/-/requests/${request}`, "Cache-Control": "no-store" });
  expect([...at.stored.keys()]).toEqual([expect.stringContaining(`/inbox/requests/${request}`)]);
  expect([...at.stored.values()][0]).toContain("example.com/a@v1.0.0");
  const told = await at.ask("GET", `-/requests/${request}`);
  expect([told.statusCode, JSON.parse(told.body)]).toEqual([
    200,
    { request, state: "OPEN", total: 0, missing: [] },
  ]);
  expect((await at.ask("GET", "-/requests/team/app/20200101T000000000Z")).statusCode).toBe(404);
});

test("nothing is read or written for whoever lacks the token, and a body that is none is refused in a line", async () => {
  await using at = await desk();
  for (const headers of [{}, { authorization: "Bearer another" }, { Authorization: TOKEN }]) {
    const refused = await at.ask("POST", "-/requests/team/app", { headers, body: BODY });
    expect([refused.statusCode, refused.headers?.["WWW-Authenticate"]]).toEqual([401, "Bearer"]);
    expect(refused.body).not.toContain(TOKEN);
  }
  for (const body of ["", "{", '{"format":9}'])
    expect((await at.post("team/app", body)).statusCode).toBe(400);
  expect((await at.post("../x")).statusCode).toBe(400);
  expect((await at.ask("DELETE", "-/requests/team/app")).statusCode).toBe(405);
  expect(at.stored.size).toBe(0);
});

test("the token is read once in five minutes; where it cannot be, that is a 503 and tried again", async () => {
  await using at = await desk();
  at.world.token = "";
  expect((await at.post("team/app")).statusCode).toBe(503);
  at.world.token = TOKEN;
  at.world.secrets = 0;
  for (let i = 0; i < 3; i++) expect((await at.post("team/app")).statusCode).toBe(202);
  expect(at.world.secrets).toBe(1);
  at.world.token = "a-new-one";
  vi.setSystemTime(Date.now() + 301_000);
  expect((await at.post("team/app")).statusCode).toBe(401);
  expect(at.world.secrets).toBe(2);
}, 60_000);

test("a store that does not answer is a 503, never a request that is lost in silence", async () => {
  await using at = await desk();
  at.world.storage = false;
  const sent = await at.post("team/app");
  expect([sent.statusCode, sent.headers?.["Retry-After"]]).toEqual([503, "5"]);
}, 60_000);

test("without a token in the configuration there is no desk, and no secret is asked for", async () => {
  await using at = await desk("");
  expect((await at.ask("GET", "-/requests/team/app/20200101T000000000Z")).statusCode).toBe(404);
  expect(at.world.secrets).toBe(0);
});
