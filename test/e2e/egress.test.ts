import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type LoopbackProxy, startLoopbackProxy } from "../adapters/egress/loopback-proxy.ts";
import { makePrivateCa } from "../adapters/egress/private-ca.ts";
import { MadeUpstream } from "../mirror/made-upstream.ts";
import { modferry } from "./modferry-command.ts";

/** Known to the proxy alone. */
const HOST = "goproxy.corp.example";
const MODULE = "corp.example/a@v1.0.0";
const ca = makePrivateCa("e2e", [HOST]);
const made = new MadeUpstream().add(MODULE, {}, false);

let folder: string;
let proxy: LoopbackProxy;
let refuses = false;
let asked: string[];
const server = createServer(ca.server, (request, response) => {
  asked.push(request.url ?? "");
  const kind = /^\/corp\.example\/a\/@v\/v1\.0\.0\.(mod|zip|info)$/.exec(request.url ?? "")?.[1] as
    | "mod"
    | "zip"
    | "info"
    | undefined;
  if (refuses) response.writeHead(401).end();
  else if (kind === undefined) response.writeHead(404).end();
  else response.writeHead(200).end(made[kind]);
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-egress-"));
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  proxy = await startLoopbackProxy();
  proxy.hosts.set(HOST, (server.address() as AddressInfo).port);
});
afterAll(async () => {
  await proxy.close();
  server.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  asked = [];
  refuses = false;
});

const sync = (mirror: string, env: Record<string, string>) =>
  modferry(
    [
      "sync",
      MODULE,
      "--mirror",
      join(folder, mirror),
      "--upstream",
      `https://${HOST}`,
      "--no-sumdb",
      "corp.example",
    ],
    { env: { HTTPS_PROXY: `http://user:hush@127.0.0.1:${proxy.port}`, ...env } },
  );

describe("modferry sync behind a bank's proxy", () => {
  test.each(["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"])(
    "with the CA in %s fills a mirror through it",
    async (name) => {
      const run = await sync(name, { [name]: ca.file });
      expect([run.code, asked.length]).toEqual([0, 3]);
      expect(run.stderr + run.stdout).not.toContain("hush");
    },
  );

  test("without the CA ends with 1 and says what is not trusted", async () => {
    const run = await sync("untrusted", {});
    expect(run.code).toBe(1);
    expect(run.stderr).toContain(`certificate of https://${HOST} is not trusted`);
    expect(run.stderr).not.toContain("hush");
    expect(asked).toEqual([]);
  });

  test("with a proxy that it cannot use ends with 2 and names the variable", async () => {
    const run = await sync("socks", { HTTPS_PROXY: "socks5://user:hush@127.0.0.1:1" });
    expect([run.code, run.stderr.trim()]).toEqual([
      2,
      "modferry: HTTPS_PROXY: socks5 proxies are not supported; give an http:// or https:// one",
    ]);
  });

  test("whose upstream refuses us asks once in a run, says so, and goes on in the run after that", async () => {
    refuses = true;
    const env = { SSL_CERT_FILE: ca.file };
    for (let runs = 0; runs < 2; runs++) {
      asked = [];
      const run = await sync("refused", env);
      expect([run.code, asked.length]).toEqual([1, 1]);
      expect(run.stderr).toContain(`upstream ${HOST} refuses us and is not asked`);
    }
    refuses = false;
    const run = await sync("refused", env);
    expect([run.code, run.stderr]).toEqual([0, expect.not.stringContaining("refuses us")]);
  });
});
