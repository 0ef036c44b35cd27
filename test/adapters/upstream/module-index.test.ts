import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HttpModuleIndex } from "../../../adapters/upstream/module-index.ts";
import { indexStamp } from "../../../gomod/index-stamp.ts";
import { type LoopbackIndex, startIndex } from "../../upstream/loopback-index.ts";
import { mirrorError, quickTools } from "./fault-server.ts";

const SINCE = indexStamp("2026-11-23T09:30:00.123456Z");
let server: LoopbackIndex;
let index: HttpModuleIndex;

beforeEach(async () => {
  server = await startIndex([
    { Path: "example.com/old", Version: "v1.0.0", Timestamp: "2026-11-23T09:30:00.123455Z" },
    { Path: "example.com/Sample", Version: "v1.0.0", Timestamp: SINCE },
    { Path: "example.com/b", Version: "v2.0.0+incompatible", Timestamp: "2026-11-23T09:31:00Z" },
  ]);
  index = new HttpModuleIndex(server.url, { tools: quickTools() });
});

afterEach(async () => {
  await index.close();
  await server.close();
});

describe("a module index over http", () => {
  test("is asked with since verbatim and a limit, since inclusive", async () => {
    const page = await index.page(SINCE);
    expect(page.entries.map(({ version, stamp }) => `${version.path}@${version.version} ${stamp}`)).toEqual([
      `example.com/Sample@v1.0.0 ${SINCE}`,
      "example.com/b@v2.0.0+incompatible 2026-11-23T09:31:00Z",
    ]);
    expect(server.asked.map((query) => query.toString())).toEqual([
      `since=${encodeURIComponent(SINCE)}&limit=2000`,
    ]);
  });

  test("its own path may be named or left out, and lie below another", async () => {
    const named = new HttpModuleIndex(`${server.url}/index`);
    expect((await named.page(SINCE)).lines).toBe(2);
    await named.close();
    expect(() => new HttpModuleIndex(`${server.url}/index?token=hush`)).toThrow(/has a query/);
    expect(() => new HttpModuleIndex(`${server.url}/index?token=hush`)).not.toThrow(/hush/);
    expect(() => new HttpModuleIndex("ftp://index.example")).toThrow(/http/);
  });

  test("an index with nothing new answers nothing, which is a page", async () => {
    expect(await index.page(indexStamp("2027-01-01T00:00:00Z"))).toEqual({
      entries: [],
      lines: 0,
      skipped: 0,
    });
  });

  test("429 is tried again, and is transient with its Retry-After where it stays", async () => {
    let answers = 0;
    server.fault = (_, reply) => {
      if (answers++ > 0) return false;
      reply.writeHead(429).end();
      return true;
    };
    expect((await index.page(SINCE)).lines).toBe(2);
    server.fault = (_, reply) => {
      reply.writeHead(429, { "retry-after": "120" }).end("slow down");
      return true;
    };
    expect(await mirrorError(index.page(SINCE))).toMatchObject({ class: "transient", retryAfter: 120_000 });
  });

  test.each([
    ["a sign-in page", "<html>sign in</html>"],
    ["a sign-in page after a byte order mark", "\uFEFF<!DOCTYPE html>"],
    ["an error as text", "upstream is sad\n"],
    ["one JSON array", "[]\n"],
  ])("%s with status 200 is malformed, with the reply as evidence", async (_, body) => {
    server.fault = (_, reply) => {
      reply.writeHead(200).end(body);
      return true;
    };
    const error = await mirrorError(index.page(SINCE));
    expect(error.class).toBe("malformed");
    expect(error.evidence?.byteLength).toBeGreaterThan(0);
  });

  test("an endless answer is cut off", async () => {
    server.fault = (_, reply) => {
      const chunk = Buffer.alloc(1 << 20, "{}\n");
      const send = () => {
        while (!reply.destroyed && reply.write(chunk));
        if (!reply.destroyed) reply.once("drain", send);
      };
      send();
      return true;
    };
    expect(await mirrorError(index.page(SINCE))).toMatchObject({ class: "malformed" });
  });

  test("lines that are too long, out of order or nobody's version do not lose the others", async () => {
    server.fault = (_, reply) => {
      const line = (Path: string, Timestamp: string) =>
        `${JSON.stringify({ Path, Version: "v1.0.0", Timestamp })}\n`;
      reply.end(
        line("example.com/late", "2026-11-23T10:00:00Z") +
          line("x".repeat(100_000), "2026-11-23T09:30:01Z") +
          line("example.com/early", "2026-11-23T09:30:02Z") +
          line("..", "2026-11-23T09:30:02Z"),
      );
      return true;
    };
    const { entries, lines, skipped } = await index.page(SINCE);
    expect(entries.map(({ version }) => version.path)).toEqual(["example.com/late", "example.com/early"]);
    expect([lines, skipped]).toEqual([4, 2]);
  });
});
