import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { SpoolFolder } from "../../adapters/local/spool-folder.ts";
import { type OpenedUpstream, openUpstream } from "../../adapters/upstream/open-upstream.ts";
import { startLoopbackProxy } from "../../cli/loopback-proxy.ts";
import { RecordingRelay } from "../../cli/recording-relay.ts";
import { modferry } from "../e2e/modferry-command.ts";

const V = "example.com/!a/@v/";
const INFO = JSON.stringify({
  Version: "v1.2.3-0.20240101000000-0123456789ab",
  Time: "2024-01-01T00:00:00Z",
});
const PASSWORD = "s3cretpassword";
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function serve(listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  closing.push(
    () =>
      new Promise((closed) => {
        server.close(closed);
        server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A relay of an upstream, as a client sees it. */
async function relayOf(
  listener: RequestListener,
  userInfo = "",
): Promise<{ relay: RecordingRelay; url: string }> {
  const address = (await serve(listener)).replace("//", `//${userInfo}`);
  const spools = new SpoolFolder(folder);
  const upstream: OpenedUpstream = openUpstream(address, {
    spool: (chunks, limit, subject) => spools.spool(chunks, limit, subject),
    tools: { clock: Date.now, sleep: async () => {}, random: () => 0 },
  });
  closing.push(() => upstream.close());
  const relay = new RecordingRelay(upstream);
  const proxy = await startLoopbackProxy(relay.answer);
  closing.push(() => proxy.close());
  return { relay, url: proxy.url };
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-relay-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the recording relay", () => {
  test.each<[string, string[]]>([
    [`${V}main.info`, []],
    ["example.com/!a/@latest", ["example.com/!a/@latest"]],
  ])("%s is recorded as the version that it gave, and passed on as it is", async (path, more) => {
    const { relay, url } = await relayOf((_request, response) => void response.end(INFO));
    expect(await (await fetch(`${url}/${path}`)).text()).toBe(INFO);
    expect([...relay.keys]).toEqual([`${V}v1.2.3-0.20240101000000-0123456789ab.info`, ...more]);
  });

  test("an @latest that is none is passed on, and no version is made of it", async () => {
    const { relay, url } = await relayOf((_request, response) => void response.end('{"Version":"../../x"}'));
    expect((await fetch(`${url}/example.com/!a/@latest`)).status).toBe(200);
    expect([...relay.keys]).toEqual(["example.com/!a/@latest"]);
  });

  test.each([
    [404, 404],
    [410, 404],
    [403, 403],
    [500, 503],
    [200, 503],
  ])("upstream's %i with a web page is a %i, and not recorded", async (status, given) => {
    const { relay, url } = await relayOf((request, response) => {
      // The probe: what tells a refusal of one file from a refusal of all.
      if (request.url?.endsWith("/list")) response.end("v1.0.0\n");
      else response.writeHead(status).end("<html>");
    });
    await fetch(`${url}/${V}list`);
    const reply = await fetch(`${url}/${V}v1.0.0.mod`);
    expect(reply.status).toBe(given);
    expect(reply.headers.get("content-type")).toMatch(/^text\/plain/);
    expect([...relay.keys]).toEqual([`${V}list`]);
  });

  test.each([
    "",
    "favicon.ico",
    `${V}v1.0.0.exe`,
    `${V}../../x.info`,
    "example.com/%2e%2e/@v/list",
    `${V}a%2fb.info`,
    `${V}%0a.info`,
    "sumdb/%2e%2e/latest",
  ])("/%s is no path of the protocol: 404, and upstream is not asked", async (path) => {
    let asked = 0;
    const { relay, url } = await relayOf((_request, response) => {
      asked++;
      response.end("x");
    });
    expect((await fetch(`${url}/${path}`)).status).toBe(404);
    expect({ asked, keys: relay.keys.size }).toEqual({ asked: 0, keys: 0 });
  });

  test("without its secret path nobody is answered", async () => {
    let asked = 0;
    const { url } = await relayOf((_request, response) => {
      asked++;
      response.end("v1.0.0\n");
    });
    const { origin, pathname } = new URL(url);
    for (const guess of ["", `/${"0".repeat(pathname.length - 1)}`])
      expect((await fetch(`${origin}${guess}/${V}list`)).status).toBe(404);
    expect((await fetch(url, { method: "POST" })).status).toBe(405);
    expect(asked).toBe(0);
  });

  test("a large zip passes whole through a temporary file, which is gone afterwards", async () => {
    const zip = Buffer.alloc(20 << 20, "PK\u0003\u0004");
    const { url } = await relayOf((_request, response) => void response.end(zip));
    const got = Buffer.from(await (await fetch(`${url}/${V}v1.0.0.zip`)).arrayBuffer());
    expect(got.equals(zip)).toBe(true);
    await expect.poll(() => readdir(folder)).toEqual([]);
  });

  test("the upstream's password is used, and is in nothing that the command is given or told", async () => {
    const sent: (string | undefined)[] = [];
    const address = await serve((request, response) => {
      sent.push(request.headers.authorization);
      response.writeHead(401, { "content-type": "text/plain" }).end(`no: ${request.headers.authorization}\n`);
    });
    const upstream = address.replace("//", `//user:${PASSWORD}@`);
    const script = `env; node -e 'fetch(process.env.GOPROXY + "/example.com/a/@v/list").then((r) => r.text()).then(console.log)'`;
    const flags = ["--to", "r.json", "--upstream", upstream];
    const run = await modferry(["record", ...flags, "--", "sh", "-c", script], { cwd: folder });
    expect(run.code).toBe(0);
    const token = Buffer.from(`user:${PASSWORD}`).toString("base64");
    expect(sent).toContain(`Basic ${token}`);
    expect(run.stdout).toMatch(/^GOPROXY=http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{24}$/m);
    expect(run.stdout).toContain("wants other credentials");
    for (const secret of [PASSWORD, token]) expect(run.stdout + run.stderr).not.toContain(secret);
  });
});
