import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { configuredEgress, type Egress, environmentEgress } from "../../../adapters/egress/egress.ts";
import { trustExtraCa } from "../../../adapters/egress/root-certificates.ts";
import { openUpstream } from "../../../adapters/upstream/open-upstream.ts";
import {
  type Answer,
  mirrorError,
  ok,
  quickTools,
  sample,
  samplePath,
  startFaultServer,
  status,
} from "../upstream/fault-server.ts";
import { type LoopbackProxy, type Manner, startLoopbackProxy } from "./loopback-proxy.ts";
import { makePrivateCa } from "./private-ca.ts";

/** No resolver knows these: what is got from them has come through the proxy. */
const HOST = "goproxy.corp.example";
const STORAGE = "storage.corp.example";
const ca = makePrivateCa("corp", [HOST, STORAGE, "127.0.0.1"]);
const stranger = makePrivateCa("stranger", [HOST]);

let proxy: LoopbackProxy;
let answers: Map<string, Answer>;
let asked: { readonly url: string; readonly authorization: string | undefined }[];
const servers = [ca, stranger].map(({ server }) =>
  createServer(server, (request, response) => {
    const url = `${request.headers.host}${request.url}`;
    asked.push({ url, authorization: request.headers.authorization });
    (answers.get(url) ?? status(404))(request, response);
  }),
);
const portOf = (at: number) => (servers[at]?.address() as AddressInfo | undefined)?.port ?? 1;

beforeAll(async () => {
  trustExtraCa(ca.file, "egress.extraCa");
  for (const server of servers)
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
});
afterAll(() => {
  for (const server of servers) server.close();
});
beforeEach(async () => {
  answers = new Map();
  asked = [];
  proxy = await startLoopbackProxy();
  for (const host of [HOST, STORAGE]) proxy.hosts.set(host, portOf(0));
});
afterEach(async () => {
  for (const server of servers) server.closeAllConnections();
  await proxy.close();
});

const login = "some%40one:hu%3Ash";
const throughProxy = (variables: Record<string, string> = {}): Egress =>
  environmentEgress({ HTTPS_PROXY: `http://${login}@127.0.0.1:${proxy.port}`, ...variables });

/** The sample's go.mod, by way of an egress. */
async function getMod(egress: Egress, url = `https://${HOST}`, connect = 10_000): Promise<string> {
  const upstream = openUpstream(url, { egress, tools: quickTools(), timing: { connect } });
  try {
    return Buffer.from(await upstream.mod(sample)).toString();
  } finally {
    await upstream.close();
  }
}

describe("an https upstream behind a proxy", () => {
  test("is asked through a tunnel; the proxy gets its login and no path, the upstream gets neither login", async () => {
    answers.set(`${HOST}${samplePath}.mod`, ok("module x\n"));
    expect(await getMod(throughProxy())).toBe("module x\n");
    const authorization = `Basic ${Buffer.from("some@one:hu:sh").toString("base64")}`;
    expect(proxy.asked).toEqual([{ line: `CONNECT ${HOST}:443`, authorization }]);
    expect(asked).toEqual([{ url: `${HOST}${samplePath}.mod`, authorization: undefined }]);
  });

  test("is asked through one that is itself spoken to by TLS", async () => {
    answers.set(`${HOST}${samplePath}.mod`, ok("module x\n"));
    const secure = await startLoopbackProxy(ca.server);
    secure.hosts.set(HOST, portOf(0));
    expect(await getMod(environmentEgress({ https_proxy: `https://127.0.0.1:${secure.port}` }))).toBe(
      "module x\n",
    );
    expect(secure.asked).toEqual([{ line: `CONNECT ${HOST}:443`, authorization: undefined }]);
    await secure.close();
  });

  test("may redirect to another host, which the same rules lead to; credentials stay behind", async () => {
    answers.set(
      `${HOST}${samplePath}.mod`,
      status(302, "", { location: `https://${STORAGE}/object?signed` }),
    );
    answers.set(`${STORAGE}/object?signed`, ok("module x\n"));
    expect(await getMod(throughProxy(), `https://user:hush@${HOST}`)).toBe("module x\n");
    expect(proxy.asked.map(({ line }) => line)).toEqual([`CONNECT ${HOST}:443`, `CONNECT ${STORAGE}:443`]);
    expect(asked.map(({ authorization }) => authorization !== undefined)).toEqual([true, false]);
    const direct = throughProxy({ NO_PROXY: STORAGE });
    expect((await mirrorError(getMod(direct))).message).toContain(`the name of https://${STORAGE}`);
  });

  test("is asked many things over the tunnels of its kept connections", async () => {
    answers.set(`${HOST}${samplePath}.mod`, ok("module x\n"));
    const upstream = openUpstream(`https://${HOST}`, { egress: throughProxy(), connections: 3 });
    await Promise.all(Array.from({ length: 60 }, () => upstream.mod(sample)));
    await upstream.close();
    expect(asked).toHaveLength(60);
    expect(proxy.asked.length).toBeLessThanOrEqual(3);
  });

  test("whose certificate is of another CA is not trusted, and the message says what to do", async () => {
    proxy.hosts.set(HOST, portOf(1));
    const error = await mirrorError(getMod(throughProxy()));
    expect(error.class).toBe("transient");
    expect(error.message).toMatch(
      /certificate of https:\/\/goproxy\.corp\.example is not trusted .*NODE_EXTRA_CA_CERTS/,
    );
  });

  test.each<[Manner, string, string, number]>([
    ["wants other credentials", "unauthorized", "wants other credentials (407)", 1],
    ["forbids", "unauthorized", "does not let us through to", 1],
    ["fails", "transient", "answered 502 when asked for", 4],
    ["hangs", "transient", "within 0.2 s", 4],
    ["trickles", "transient", "within 0.2 s", 4],
    ["cuts", "transient", "broke off", 4],
    ["talks first", "transient", "no part of a tunnel", 4],
  ])(
    "of a proxy that %s fails as %s, naming the proxy without its login",
    async (manner, errorClass, text, times) => {
      proxy.manner = manner;
      const error = await mirrorError(
        getMod(throughProxy(), `https://${HOST}`, /hangs|trickles/.test(manner) ? 200 : 10_000),
      );
      expect([error.class, error.subject]).toEqual([errorClass, "example.com/Sample/mod@v1.2.3.mod"]);
      expect(error.message).toContain(text);
      expect(error.message).toContain(`proxy http://127.0.0.1:${proxy.port}`);
      for (let at: unknown = error; at instanceof Error; at = at.cause)
        expect(`${at.message}${JSON.stringify(at)}`).not.toMatch(/hu:sh|hu%3A|some@|some%40|c29tZU/);
      expect(proxy.asked).toHaveLength(times);
    },
  );

  test("of a proxy that nobody runs fails and names the proxy", async () => {
    const { port } = proxy;
    await proxy.close();
    const error = await mirrorError(getMod(environmentEgress({ HTTPS_PROXY: `127.0.0.1:${port}` })));
    expect(error.message).toContain(`the proxy http://127.0.0.1:${port} refuses connections`);
    proxy = await startLoopbackProxy();
  });

  test("that NO_PROXY names is asked directly", async () => {
    const local = `127.0.0.1:${portOf(0)}`;
    answers.set(`${local}${samplePath}.mod`, ok("module x\n"));
    expect(await getMod(throughProxy(), `https://${local}`)).toBe("module x\n");
    await mirrorError(getMod(throughProxy({ no_proxy: "corp.example" })));
    expect(proxy.asked).toEqual([]);
  });
});

test("an http upstream is asked by whole URLs of the proxy; its 407 is the proxy's", async () => {
  const plain = await startFaultServer();
  proxy.hosts.set(HOST, Number(new URL(plain.url).port));
  plain.answers.set(`${samplePath}.mod`, ok("module x\n"));
  const egress = environmentEgress({ HTTP_PROXY: `http://${login}@127.0.0.1:${proxy.port}` });
  expect(await getMod(egress, `http://${HOST}`)).toBe("module x\n");
  const [{ line = "", authorization = undefined } = {}] = proxy.asked;
  expect([line, authorization?.slice(0, 6)]).toEqual([`GET http://${HOST}${samplePath}.mod`, "Basic "]);
  expect(plain.headers[0]?.host).toBe(HOST);
  proxy.manner = "wants other credentials";
  const error = await mirrorError(getMod(egress, `http://${HOST}`));
  expect([error.class, error.message]).toEqual([
    "unauthorized",
    expect.stringContaining("the proxy http://127"),
  ]);
  await plain.close();
});

test("the configuration's proxy takes its login from a secret", async () => {
  answers.set(`${HOST}${samplePath}.mod`, ok("module x\n"));
  const configuration = { proxy: `http://127.0.0.1:${proxy.port}`, proxySecret: "proxy-login", noProxy: [] };
  const egress = configuredEgress(configuration, async (name) => `${name}:hush`);
  expect(await getMod(egress)).toBe("module x\n");
  expect(proxy.asked[0]?.authorization).toBe(`Basic ${Buffer.from("proxy-login:hush").toString("base64")}`);
  const broken = configuredEgress(configuration, async () => "hush without a name");
  const error = await mirrorError(getMod(broken));
  expect([error.class, error.message]).toEqual([
    "unauthorized",
    expect.stringContaining("is not USER:PASSWORD"),
  ]);
  expect(error.message).not.toContain("hush");
});
