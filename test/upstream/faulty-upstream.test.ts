import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { goClient } from "../go-client.ts";
import { describeWithGo } from "../go-command.ts";
import { type FaultyUpstream, startFaultyUpstream } from "./faulty-upstream.ts";
import { startUpstream } from "./loopback-upstream.ts";
import { fillModuleCache } from "./module-cache.ts";

const zip = Buffer.from("the true zip of example.com/a, even length");
const otherZip = Buffer.from("the zip of example.com/b");
const zipPath = "/example.com/a/@v/v1.0.0.zip";

let upstream: Server;
let faulty: FaultyUpstream;

beforeAll(async () => {
  upstream = createServer((request, response) => {
    response.setHeader("content-type", "application/zip");
    response.end(request.url === "/example.com/b/@v/v1.0.0.zip" ? otherZip : zip);
  });
  await new Promise<void>((listening) => upstream.listen(0, "127.0.0.1", listening));
  faulty = await startFaultyUpstream(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
});

afterEach(() => {
  faulty.faults.clear();
  faulty.clearLog();
});

afterAll(async () => {
  await faulty.close();
  upstream.close();
});

const ask = (init: RequestInit = {}) => fetch(faulty.url + zipPath, init);
const bodyOf = async (response: Response) => Buffer.from(await response.arrayBuffer());

test("without a fault the answer passes unaltered", async () => {
  const response = await ask();
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/zip"]);
  expect(await bodyOf(response)).toEqual(zip);
});

test("flip-byte alters one bit of one byte and keeps the length", async () => {
  faulty.faults.set(zipPath, { kind: "flip-byte", at: 4 });
  const body = await bodyOf(await ask());
  expect(body.length).toBe(zip.length);
  expect([...body.keys()].filter((index) => body[index] !== zip[index])).toEqual([4]);
});

test("cut with a matching length looks like a whole, shorter body", async () => {
  faulty.faults.set(zipPath, { kind: "cut", length: "matching", keep: 7 });
  const response = await ask();
  expect(response.headers.get("content-length")).toBe("7");
  expect(await bodyOf(response)).toEqual(zip.subarray(0, 7));
});

test("cut with the original length ends before what Content-Length promises", async () => {
  faulty.faults.set(zipPath, { kind: "cut", length: "original", keep: 7 });
  const response = await ask();
  expect(response.headers.get("content-length")).toBe(String(zip.length));
  const seen: Buffer[] = [];
  await expect(async () => {
    for await (const chunk of response.body ?? []) seen.push(Buffer.from(chunk));
  }).rejects.toThrow("terminated");
  expect(Buffer.concat(seen)).toEqual(zip.subarray(0, 7));
});

test("html and empty come with status 200", async () => {
  faulty.faults.set(zipPath, { kind: "html" });
  const page = await ask();
  expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  expect(await page.text()).toMatch(/^<!DOCTYPE html>/);
  faulty.faults.set(zipPath, { kind: "empty" });
  const nothing = await ask();
  expect([nothing.status, await nothing.text()]).toEqual([200, ""]);
});

test("other answers with what another path has", async () => {
  faulty.faults.set(zipPath, { kind: "other", path: "/example.com/b/@v/v1.0.0.zip" });
  expect(await bodyOf(await ask())).toEqual(otherZip);
});

test.each([500, 403, 429])(
  "status %i comes with its Retry-After, on the matched path alone",
  async (status) => {
    faulty.faults.set(/\.zip$/, { kind: "status", status, retryAfter: 3 });
    const response = await ask();
    expect([response.status, response.headers.get("retry-after")]).toEqual([status, "3"]);
    expect((await fetch(`${faulty.url}/example.com/a/@v/v1.0.0.mod`)).status).toBe(200);
  },
);

test("hang takes the request and never answers", async () => {
  faulty.faults.set(zipPath, { kind: "hang" });
  await expect(ask({ signal: AbortSignal.timeout(300) })).rejects.toThrow("timeout");
  expect(faulty.log).toHaveLength(1);
});

test("trickle sends the true body byte by byte", async () => {
  faulty.faults.set(zipPath, { kind: "trickle", everyMs: 5 });
  const start = Date.now();
  expect(await bodyOf(await ask())).toEqual(zip);
  expect(Date.now() - start).toBeGreaterThan(zip.length * 3);
});

test("endless goes on as long as the client reads", async () => {
  faulty.faults.set(zipPath, { kind: "endless" });
  const response = await ask();
  expect(response.headers.get("content-length")).toBeNull();
  let read = 0;
  for await (const chunk of response.body ?? []) {
    read += chunk.length;
    if (read > 20_000_000) break; // leaving the loop closes the connection
  }
  expect(read).toBeGreaterThan(20_000_000);
});

test("redirect-loop is given up by the client, redirect leads to the other host", async () => {
  faulty.faults.set(zipPath, { kind: "redirect-loop" });
  await expect(ask()).rejects.toMatchObject({ cause: { message: "redirect count exceeded" } });
  faulty.faults.set(zipPath, { kind: "redirect", to: "http://other.example.test/a.zip" });
  const response = await ask({ redirect: "manual" });
  expect([response.status, response.headers.get("location")]).toEqual([
    302,
    "http://other.example.test/a.zip",
  ]);
});

test("a fault set for one time heals, of two patterns the later wins, and the log tells who answered", async () => {
  faulty.faults.set(/\/@v\//g, { kind: "status", status: 500 });
  faulty.faults.set(zipPath, { kind: "status", status: 503 }, 1);
  const statuses = [(await ask()).status, (await ask()).status, (await ask()).status];
  faulty.faults.clear();
  statuses.push((await fetch(`${faulty.url}/github.com/%21burnt%21sushi/toml/@v/list`)).status);
  expect(statuses).toEqual([503, 500, 500, 200]);
  expect(faulty.log.map(({ path, fault }) => [path, fault])).toEqual([
    [zipPath, "status"],
    [zipPath, "status"],
    [zipPath, "status"],
    ["/github.com/!burnt!sushi/toml/@v/list", undefined],
  ]);
});

describeWithGo("the go command in front of a faulty upstream", () => {
  test("refuses a zip or .mod that the private database disproves, and passes once the fault is gone", async () => {
    const world = await startUpstream({ trees: [await fillModuleCache("shouting")] });
    const liar = await startFaultyUpstream(world.url);
    const client = await goClient({ goproxy: liar.url, gosumdb: world.vkey });
    try {
      const toml = "/github.com/!burnt!sushi/toml/@v/v1.3.2";
      const download = () => client.run(["mod", "download", "github.com/BurntSushi/toml@v1.3.2"]);

      liar.faults.set(`${toml}.mod`, { kind: "flip-byte" });
      expect(await download()).toMatchObject({ code: 1, stderr: expect.stringContaining("SECURITY ERROR") });
      liar.faults.clear();
      liar.faults.set(`${toml}.zip`, {
        kind: "other",
        path: "/github.com/!puerkito!bio/purell/@v/v1.2.1.zip",
      });
      expect((await download()).code).toBe(1);
      liar.faults.clear();
      liar.faults.set(/^\/sumdb\/.*\/lookup\//, { kind: "flip-byte", at: 80 });
      await client.clearModCache();
      expect((await download()).code).toBe(1);
      liar.faults.clear();
      await client.clearModCache();
      expect(await download()).toMatchObject({ code: 0 });
    } finally {
      await client.dispose();
      await liar.close();
      await world.close();
    }
  });
});
