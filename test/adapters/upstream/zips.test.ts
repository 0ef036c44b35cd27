import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SpoolFolder } from "../../../adapters/local/spool-folder.ts";
import { HttpClient } from "../../../adapters/upstream/http-client.ts";
import { type OpenedUpstream, openUpstream } from "../../../adapters/upstream/open-upstream.ts";
import { parseUpstreamUrl } from "../../../adapters/upstream/upstream-url.ts";
import { type Body, isSpool, SPOOL_LIMIT, sha256Of } from "../../../mirror/body.ts";
import { MirrorError } from "../../../mirror/errors.ts";
import {
  type Answer,
  type FaultServer,
  mirrorError,
  ok,
  quickTools,
  raw,
  sample,
  samplePath,
  startFaultServer,
  zipBytes,
} from "./fault-server.ts";

const MIB = 1 << 20;
const timing = { headers: 300, idle: 300, whole: 20_000 };
let server: FaultServer;
let folder: string;
let spools: SpoolFolder;
let upstream: OpenedUpstream;

beforeEach(async () => {
  server = await startFaultServer();
  folder = await mkdtemp(join(tmpdir(), "modferry-zips-"));
  spools = new SpoolFolder(folder);
  upstream = openUpstream(server.url, {
    timing,
    tools: quickTools(),
    spool: (chunks, limit) => spools.spool(chunks, limit),
  });
});
afterEach(async () => {
  await upstream.close();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

const answer = (reply: Answer) => server.answers.set(`${samplePath}.zip`, reply);

test.each([
  ["with a length", { "content-length": String(30 * MIB) }],
  ["in chunks", {}],
])("a zip above the spool limit arrives whole in a file, %s", async (_, headers: Record<string, string>) => {
  const zip = zipBytes(30 * MIB);
  answer(ok(zip, headers));
  const body = await upstream.zip(sample);
  if (!isSpool(body)) throw new Error("not spooled");
  expect([body.size, body.sha256]).toEqual([zip.length, createHash("sha256").update(zip).digest("hex")]);
  await body.dispose();
  expect(await readdir(folder)).toEqual([]);
});

test.each([SPOOL_LIMIT - 1, SPOOL_LIMIT])("a zip of %i bytes stays in memory", async (size) => {
  answer(ok(zipBytes(size)));
  const body = await upstream.zip(sample);
  expect(isSpool(body)).toBe(false);
  expect(Buffer.compare(body as Uint8Array, zipBytes(size))).toBe(0);
});

test("a large zip that is cut leaves no file, and the next try heals it", async () => {
  let tries = 0;
  const zip = zipBytes(20 * MIB);
  answer((request, response) => {
    if (tries++ > 1) return ok(zip)(request, response);
    response.writeHead(200, { "content-length": zip.length });
    response.write(zip.subarray(0, 15 * MIB), () => response.destroy());
  });
  const body = await upstream.zip(sample);
  expect(upstream.counts()).toMatchObject({ zip: 3, retry: 2 });
  expect((await readdir(folder)).length).toBe(1);
  if (isSpool(body)) await body.dispose();
});

test.each<[string, string, Answer]>([
  [
    "cut",
    "transient",
    raw(
      Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), zipBytes(12 * MIB)]),
      "reset",
    ),
  ],
  [
    "silent",
    "transient",
    raw(
      Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), zipBytes(12 * MIB)]),
    ),
  ],
  ["a page", "malformed", ok(Buffer.alloc(12 * MIB, "<"))],
])("a large body that is %s is %s and leaves no file", async (_, errorClass, reply) => {
  answer(reply);
  const error = await mirrorError(upstream.zip(sample));
  expect([error.class, error.subject]).toEqual([errorClass, "example.com/Sample/mod@v1.2.3.zip"]);
  expect(await readdir(folder)).toEqual([]);
});

test.each([
  ["in chunks", "Transfer-Encoding: chunked\r\n", "10000\r\n", "\r\n"],
  ["until the connection closes", "Connection: close\r\n", "", ""],
])(
  "an endless zip, %s, is cut at the limit; its file goes, and memory stays small",
  async (_, header, begin, end) => {
    const limit = 64 * MIB;
    const piece = Buffer.concat([Buffer.from(begin), zipBytes(65536), Buffer.from(end)]);
    let sent = 0;
    answer(({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\n${header}\r\n`);
      const more = (): void => {
        do sent += 65536;
        while (!socket.destroyed && socket.write(piece));
      };
      socket.on("drain", more);
      more();
    });
    const client = new HttpClient(parseUpstreamUrl(server.url, "--upstream"));
    const before = process.memoryUsage().rss;
    const path = `${samplePath.slice(1)}.zip`;
    const spool = (chunks: AsyncIterable<Uint8Array>, most: number) => spools.spool(chunks, most);
    const error = await mirrorError(client.get({ subject: "zip", path, limit, spool }));
    await client.close();
    expect([error.class, error.message]).toEqual([
      "malformed",
      expect.stringContaining(`larger than the ${limit} bytes`),
    ]);
    expect(sent).toBeLessThan(limit + 32 * MIB);
    expect(process.memoryUsage().rss - before).toBeLessThan(limit);
    expect(await readdir(folder)).toEqual([]);
  },
);

test("a zip announced above 500 MiB is refused before a byte of it is read", async () => {
  answer(raw(`HTTP/1.1 200 OK\r\nContent-Length: ${500 * MIB + 1}\r\n\r\n`));
  expect((await mirrorError(upstream.zip(sample))).message).toContain("524288001");
});

/** A spool that is slower than any line. */
async function slowly(chunks: AsyncIterable<Uint8Array>): Promise<Body> {
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 40));
  }
  return new Uint8Array(size);
}

test("a slow disk holds the sender back, and waiting for the disk is not the sender's silence", async () => {
  let sent = 0;
  answer((_, response) => {
    response.writeHead(200);
    const more = (): void => {
      while (sent < 64 * MIB) {
        sent += 65536;
        if (!response.write(zipBytes(65536))) return;
      }
      response.end();
    };
    response.on("drain", more);
    more();
  });
  let got = 0;
  const held = openUpstream(server.url, {
    timing: { ...timing, idle: 600 },
    tools: quickTools(),
    spool: async (chunks) => {
      for await (const chunk of chunks) {
        if (got === 0) {
          await new Promise((resolve) => setTimeout(resolve, 1500));
          expect(sent).toBeLessThan(40 * MIB);
        }
        got += chunk.byteLength;
      }
      return zipBytes(4);
    },
  });
  await held.zip(sample);
  expect(got).toBe(64 * MIB);
  await held.close();
});

test("a reset while the reader is held back ends one transfer, not the process", async () => {
  for (const length of ["", "Content-Length: 99999999\r\n"]) {
    const header = `HTTP/1.1 200 OK\r\nConnection: close\r\n${length}\r\n`;
    answer((request) => {
      const { socket } = request;
      socket.write(header);
      socket.write(zipBytes(SPOOL_LIMIT + 3 * MIB));
      setTimeout(() => socket.resetAndDestroy(), 150);
    });
    const slow = openUpstream(server.url, {
      timing: { ...timing, idle: 2000 },
      tools: quickTools(),
      spool: slowly,
    });
    expect((await mirrorError(slow.zip(sample))).class).toBe("transient");
    await slow.close();
  }
});

test("what a full disk throws is thrown on, and the connection is given up", async () => {
  answer(ok(zipBytes(30 * MIB)));
  const full = openUpstream(server.url, {
    timing,
    tools: quickTools(),
    spool: async (chunks) => {
      for await (const _ of chunks) throw new MirrorError("misuse", "disk", "disk: read-only");
      return new Uint8Array();
    },
  });
  expect((await mirrorError(full.zip(sample))).message).toBe("disk: read-only");
  await full.close();
  await expect.poll(() => server.open()).toBe(0);
});

test("a spool that stops before the end is transient, and what it made is disposed of", async () => {
  answer(ok(zipBytes(30 * MIB)));
  let disposed = 0;
  const lazy = openUpstream(server.url, {
    timing,
    tools: { ...quickTools(), sleep: () => Promise.reject(new Error("once")) },
    spool: async () => ({
      size: 1,
      sha256: sha256Of(new Uint8Array()),
      path: "/nowhere",
      read: async () => new Uint8Array(),
      stream: async function* () {},
      dispose: async () => void disposed++,
    }),
  });
  const error = await mirrorError(lazy.zip(sample));
  expect([error.class, error.message]).toEqual(["transient", expect.stringContaining("stopped reading")]);
  expect(disposed).toBe(1);
  await lazy.close();
});

test("stopping ends what runs, what waits for a connection and what waits for a retry, at once", async () => {
  const stop = new AbortController();
  const many = openUpstream(server.url, { signal: stop.signal, connections: 2 });
  server.answers.set(`${samplePath}.mod`, (_, response) => void response.writeHead(500).end());
  answer(() => {});
  const running = [many.mod(sample), ...Array.from({ length: 10 }, () => many.zip(sample))];
  setTimeout(() => stop.abort(), 100);
  const startedAt = performance.now();
  const results = await Promise.all(running.map(mirrorError));
  expect(performance.now() - startedAt).toBeLessThan(1000);
  expect(new Set(results.map((error) => error.class))).toEqual(new Set(["transient"]));
  expect((await mirrorError(many.info(sample))).message).toContain("stopped");
  await expect.poll(() => server.open()).toBe(0);
});
