import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type OpenedUpstream, openUpstream } from "../../../adapters/upstream/open-upstream.ts";
import { EVIDENCE_LIMIT } from "../../../mirror/errors.ts";
import {
  type Answer,
  type FaultServer,
  mirrorError,
  ok,
  other,
  otherPath,
  quickTools,
  raw,
  sample,
  samplePath,
  startFaultServer,
  status,
  zipBytes,
} from "./fault-server.ts";

/** For replies that never come; the others get time enough for a busy machine. */
const quick = { headers: 150, idle: 150 };
const patient = { headers: 10_000, idle: 10_000, whole: 20_000 };

let server: FaultServer;
let upstream: OpenedUpstream;
let address: string;
let waits: number[];

beforeEach(async () => {
  server = await startFaultServer();
  waits = [];
  const url = server.url.replace("http://", "http://some%40one:hush%21@");
  address = `${url}/go`;
  upstream = openUpstream(address, { timing: patient, tools: quickTools(waits) });
});

afterEach(async () => {
  await upstream.close();
  await server.close();
});

/** `/go` is the upstream's prefix in these tests. */
function answer(path: string, reply: Answer): void {
  server.answers.set(`/go${path}`, reply);
}

const page = "<!DOCTYPE html><html><body>Please sign in</body></html>";
const head = (length: number | undefined, more = "") =>
  `HTTP/1.1 200 OK\r\n${length === undefined ? "" : `Content-Length: ${length}\r\n`}${more}\r\n`;

describe("a faulty reply to a .mod ends in its class, naming module, version and file, in one line without secrets", () => {
  const cases: readonly [string, string, number, Answer][] = [
    // what, class, requests, answer
    ["404", "absent", 1, status(404, "no such module")],
    ["410", "absent", 1, status(410)],
    ["401", "unauthorized", 1, status(401)],
    ["407", "unauthorized", 1, status(407)],
    ["500", "transient", 4, status(500, page, { "content-type": "text/html" })],
    ["503", "transient", 4, status(503)],
    ["429", "transient", 4, status(429)],
    ["408", "transient", 4, status(408)],
    ["425", "transient", 4, status(425)],
    ["204", "malformed", 1, status(204)],
    ["206 that was not asked for", "malformed", 1, status(206, "module x")],
    ["304 that was not asked for", "malformed", 1, status(304)],
    ["HTML with 200", "malformed", 1, ok(page, { "content-type": "text/plain" })],
    ["HTML after blank lines and a byte order mark", "malformed", 1, ok(`\ufeff\n \t${page}`)],
    ["nothing with 200", "malformed", 1, ok("")],
    ["gzip that says so", "malformed", 1, ok("\x1f\x8bxxxx", { "content-encoding": "gzip" })],
    ["plain text that says it is gzip", "malformed", 1, ok("module x", { "content-encoding": "gzip" })],
    ["gzip that does not say so", "malformed", 1, ok(Buffer.from([0x1f, 0x8b, 8, 0]))],
    ["a body cut short of its length, closed", "transient", 4, raw(`${head(100)}module x`, "end")],
    ["a body cut short of its length, reset", "transient", 4, raw(`${head(100)}module x`, "reset")],
    [
      "a body without a length, reset",
      "transient",
      4,
      raw(`${head(undefined, "Connection: close\r\n")}module x`, "reset"),
    ],
    [
      "chunks cut off",
      "transient",
      4,
      raw(`${head(undefined, "Transfer-Encoding: chunked\r\n")}5\r\nmodul`, "end"),
    ],
    ["a length above the limit", "malformed", 1, raw(head(17 << 20))],
    ["a length that is no number", "transient", 4, raw("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx")],
    [
      "two different lengths",
      "transient",
      4,
      raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
    ],
    ["length and chunks together", "transient", 4, raw(head(4, "Transfer-Encoding: chunked\r\n"))],
    ["no HTTP at all", "transient", 4, raw("SSH-2.0-OpenSSH_9.6\r\n\r\n")],
    ["closed without an answer", "transient", 4, raw("", "end")],
    ["reset without an answer", "transient", 4, raw("", "reset")],
    ["headers of 100 KB", "malformed", 1, raw(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(100_000)}\r\n\r\n`)],
    ["hang before headers", "transient", 4, () => {}],
    ["hang after some header bytes", "transient", 4, raw("HTTP/1.1 200 OK\r\nContent-")],
    ["hang in the body", "transient", 4, raw(`${head(100)}module x`)],
  ];
  test.each(cases)("%s: %s", async (what, errorClass, requests, reply) => {
    if (what.startsWith("hang")) upstream = openUpstream(address, { timing: quick, tools: quickTools() });
    answer(`${samplePath}.mod`, reply);
    const error = await mirrorError(upstream.mod(sample));
    expect(error.class).toBe(errorClass);
    expect(error.subject).toBe("example.com/Sample/mod@v1.2.3.mod");
    expect(error.message.startsWith("example.com/Sample/mod@v1.2.3.mod: ")).toBe(true);
    expect(error.message).toContain(`${server.url}/go`);
    expect(error.message).not.toMatch(/[\n\r]|hush|some|c29tZ/);
    expect(server.asked.length).toBe(requests);
    expect(upstream.counts()).toMatchObject({ mod: requests, retry: requests - 1, probe: 0 });
  });

  test("the first 64 KB of what is malformed are the evidence", async () => {
    const big = page + "x".repeat(100_000);
    answer(`${samplePath}.mod`, ok(big));
    const { evidence } = await mirrorError(upstream.mod(sample));
    expect(Buffer.from(evidence ?? []).toString()).toBe(big.slice(0, EVIDENCE_LIMIT));
  });
});

describe("what is legal for one file is not for another", () => {
  test("an empty list is a list", async () => {
    answer("/example.com/other/@v/list", ok(""));
    expect((await upstream.list(other.path)).byteLength).toBe(0);
  });
  test("an HTML list is malformed", async () => {
    answer("/example.com/other/@v/list", ok(page));
    expect((await mirrorError(upstream.list(other.path))).class).toBe("malformed");
  });
  test.each([
    ["latest", "/example.com/other/@latest", () => upstream.latest(other.path)],
    ["info", `${otherPath}.info`, () => upstream.info(other)],
    ["zip", `${otherPath}.zip`, () => upstream.zip(other)],
    [
      "lookup",
      "/sumdb/sum.example.com/lookup/example.com/other@v1.0.0",
      () => upstream.sumdb("sum.example.com").lookup(other),
    ],
    ["tree head", "/sumdb/sum.example.com/latest", () => upstream.sumdb("sum.example.com").latest()],
    [
      "tile",
      "/sumdb/sum.example.com/tile/8/0/000.p/2",
      () => upstream.sumdb("sum.example.com").tile({ level: 0, index: 0, width: 2 }),
    ],
  ])("an empty or HTML %s is malformed", async (_, path, ask) => {
    answer(path, ok(""));
    expect((await mirrorError(ask())).class).toBe("malformed");
    answer(path, ok(page));
    expect((await mirrorError(ask())).class).toBe("malformed");
  });
  test("a zip begins with PK, whatever Content-Type says", async () => {
    answer(`${otherPath}.zip`, ok(zipBytes(), { "content-type": "text/html" }));
    expect(await upstream.zip(other)).toEqual(zipBytes());
    answer(`${otherPath}.zip`, ok(Buffer.alloc(100, 7)));
    expect((await mirrorError(upstream.zip(other))).message).toContain("no zip");
  });
  test("a tile has exactly its width × 32 bytes", async () => {
    const path = "/sumdb/sum.example.com/tile/8/1/x001/234.p/3";
    const source = upstream.sumdb("sum.example.com");
    const tile = { level: 1, index: 1234, width: 3 };
    answer(path, ok(Buffer.alloc(96, 5)));
    expect(await source.tile(tile)).toEqual(Buffer.alloc(96, 5));
    for (const size of [95, 97, 64]) {
      answer(path, ok(Buffer.alloc(size, 5)));
      const error = await mirrorError(source.tile(tile));
      expect([error.class, error.subject]).toEqual(["malformed", "sum.example.com/tile/8/1/x001/234.p/3"]);
    }
  });
});

describe("time is bounded in every phase", () => {
  const during = async (reply: Answer, timing: object) => {
    answer(`${samplePath}.zip`, reply);
    const startedAt = performance.now();
    const tools = { ...quickTools(), sleep: () => Promise.reject(new Error("one try is enough here")) };
    const once = openUpstream(`${server.url}/go`, { timing: { ...patient, ...timing }, tools });
    const error = await mirrorError(once.zip(sample));
    await once.close();
    return { error, took: performance.now() - startedAt };
  };
  test("a trickle that is never silent is cut by the least rate", async () => {
    const { error, took } = await during(
      (_, response) => {
        response.writeHead(200, { "content-length": 1_000_000 });
        const timer = setInterval(() => response.write("P"), 20);
        response.on("close", () => clearInterval(timer));
      },
      { rateWindow: 300, leastRate: 1000 },
    );
    expect(error.message).toContain("less than 1000 bytes a second");
    expect(took).toBeLessThan(5000);
  });
  test("a body above the least rate is cut when the whole has taken too long", async () => {
    const { error, took } = await during(
      (_, response) => {
        response.writeHead(200);
        const timer = setInterval(() => response.write(Buffer.alloc(500, "P")), 20);
        response.on("close", () => clearInterval(timer));
      },
      { rateWindow: 300, leastRate: 100, whole: 1200 },
    );
    expect(error.message).toContain("not done after 1.2 s");
    expect(took).toBeGreaterThan(1100);
  });
  test("headers that come a byte at a time, never silent and never whole, are cut", async () => {
    const { error, took } = await during(
      (request) => {
        request.socket.write("HTTP/1.1 200 OK\r\nX: ");
        const timer = setInterval(() => request.socket.write("x"), 20);
        request.socket.on("close", () => clearInterval(timer));
      },
      { headers: 400 },
    );
    expect(error.message).toContain("did not answer within 0.4 s");
    expect(took).toBeLessThan(5000);
  });
  test("redirects do not begin the whole time anew", async () => {
    let hops = 0;
    const { error } = await during(
      (_, response) => {
        const location = `/go${samplePath}.zip?${hops++}`;
        server.answers.set(location, server.answers.get(`/go${samplePath}.zip`) ?? status(500));
        setTimeout(() => response.writeHead(302, { location }).end(), 150);
      },
      { whole: 400 },
    );
    expect(error.message).toContain("was not done after 0.4 s");
    expect(hops).toBeLessThan(6);
  });
  test("informational replies do not keep a request alive", async () => {
    const { error, took } = await during(
      (request) => {
        const timer = setInterval(() => request.socket.write("HTTP/1.1 103 Early Hints\r\n\r\n"), 20);
        request.socket.on("close", () => clearInterval(timer));
      },
      { headers: 150 },
    );
    expect(error.message).toContain("did not answer within 0.15 s");
    expect(took).toBeLessThan(5000);
  });
  test("a TLS handshake that never ends is a connection that never came", async () => {
    const { createServer } = await import("node:net");
    const mute = createServer((socket) => socket.on("error", () => {}));
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const address = mute.address();
    const port = typeof address === "object" ? address?.port : 0;
    const tools = { ...quickTools(), sleep: () => Promise.reject(new Error("once")) };
    const once = openUpstream(`https://127.0.0.1:${port}`, { timing: { connect: 200 }, tools });
    const error = await mirrorError(once.mod(sample));
    expect([error.class, error.message]).toEqual(["transient", expect.stringContaining("within 0.2 s")]);
    await once.close();
    mute.close();
  });
});

test("waiting for a free connection is not the upstream's time", async () => {
  answer(`${samplePath}.mod`, (_, response) => void setTimeout(() => response.end("module x"), 100));
  const narrow = openUpstream(address, { timing: { ...patient, whole: 1000 }, connections: 2 });
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: 30 }, () => narrow.mod(sample)));
  expect(performance.now() - startedAt).toBeGreaterThan(1400);
  expect(narrow.counts()).toMatchObject({ mod: 30, retry: 0 });
  await narrow.close();
});

test("an endless body is cut at the file's limit", async () => {
  answer(`${samplePath}.info`, (_, response) => {
    response.writeHead(200);
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65536, "{"))) {}
    };
    response.on("drain", more);
    more();
  });
  const error = await mirrorError(upstream.info(sample));
  expect([error.class, error.message]).toEqual(["malformed", expect.stringContaining("1048576")]);
  expect(error.evidence?.byteLength).toBe(EVIDENCE_LIMIT);
});

test("a server's plain-text reason is passed on in one line, unless it holds what we sent", async () => {
  answer(
    `${samplePath}.mod`,
    status(404, "not found: unknown revision\nsecond line", { "content-type": "text/plain; charset=utf-8" }),
  );
  expect((await mirrorError(upstream.mod(sample))).message).toContain("(404: not found: unknown revision)");
  answer(`${samplePath}.mod`, status(404, "not for hush!", { "content-type": "text/plain" }));
  expect((await mirrorError(upstream.mod(sample))).message).toContain("(404)");
  answer(`${samplePath}.mod`, status(404, "red \x1b[31m", { "content-type": "text/plain" }));
  expect((await mirrorError(upstream.mod(sample))).message).toContain("(404)");
});

test("nobody listening is transient and says so", async () => {
  await server.close();
  const error = await mirrorError(upstream.mod(sample));
  expect([error.class, error.message]).toEqual(["transient", expect.stringContaining("refuses connections")]);
  expect(waits).toEqual([1000, 3000, 9000]);
});

test("a thousand faulty replies leave no connection, transfer or timer behind, and good ones still pass", async () => {
  const faults: Answer[] = [
    raw(`${head(100)}module x`, "end"),
    raw(`${head(100)}module x`, "reset"),
    raw(`${head(undefined, "Connection: close\r\n")}module x`, "reset"),
    ok(page),
    ok("module x", { "content-encoding": "br" }),
    status(500, "x".repeat(200_000)),
    status(429),
    raw("nonsense\r\n\r\n"),
    raw(head(17 << 20)),
    raw(`${head(4)}module x and more that belongs to no reply`),
    raw("", "reset"),
    (_, response) => void response.writeHead(200).end("module x"),
  ];
  const handles = () => process.getActiveResourcesInfo().filter((kind) => kind.startsWith("TCP")).length;
  const before = handles();
  let turn = 0;
  answer(`${samplePath}.mod`, (request, response) => faults[turn++ % faults.length]?.(request, response));
  const once = openUpstream(`${server.url}/go`, {
    timing: patient,
    tools: { ...quickTools(), sleep: () => Promise.reject(new Error("once")) },
  });
  const results = await Promise.allSettled(Array.from({ length: 1000 }, () => once.mod(sample)));
  const good = results.filter((result) => result.status === "fulfilled").length;
  expect(good).toBeGreaterThan(50);
  expect(server.open()).toBeLessThanOrEqual(16);
  await once.close();
  await expect.poll(() => server.open()).toBe(0);
  await expect.poll(handles).toBeLessThanOrEqual(before);
});
