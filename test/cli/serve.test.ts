import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { failed } from "../../mirror/failed-record.ts";
import { want } from "../../mirror/records.ts";
import { type MirrorWorld, mirrorWorld } from "../e2e/mirror-world.ts";
import { type ServedMirror, serveMirror } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { rawBytes, rawRequest } from "./raw-http.ts";

const TIMEOUT = 120_000;
const TOML = "/github.com/!burnt!sushi/toml";
const ZIP = `${TOML}/@v/v1.3.2.zip`;
const IMMUTABLE = "public, max-age=31536000, immutable";
const MINUTE = "public, max-age=60";

describeWithGo("modferry serve", () => {
  let world: MirrorWorld;
  let mirror: string;
  let served: ServedMirror;
  let database: string;

  beforeAll(async () => {
    world = await mirrorWorld(["shouting", "legacy"], { synthetic: 3_000 });
    database = world.upstream.sumdbName;
    const wishes = [
      "github.com/BurntSushi/toml@v1.3.2",
      "github.com/patrickmn/go-cache@v2.1.0+incompatible",
      "github.com/mitchellh/copystructure@v1.0.0",
    ];
    mirror = await world.synced(wishes);
    await plantRecords(mirror);
    served = await serveMirror(mirror);
  });
  afterAll(async () => {
    await served?.stop();
    await world?.close();
  });

  const get = (path: string, headers: Record<string, string> = {}) =>
    rawRequest(served.url, path, { headers });
  const file = (path: string) => readFile(join(mirror, "tree", path));

  test(
    "every file of the tree comes byte for byte, with its length, strong ETag, type and life",
    async () => {
      const types: [RegExp, string, string][] = [
        [/\/@v\/list$/, "text/plain; charset=utf-8", MINUTE],
        [/\/@latest$/, "application/json", MINUTE],
        [/\/@v\/[^/]+\.info$/, "application/json", IMMUTABLE],
        [/\/@v\/[^/]+\.mod$/, "text/plain; charset=utf-8", IMMUTABLE],
        [/\/@v\/[^/]+\.zip$/, "application/zip", MINUTE],
        [/^sumdb\/[^/]+\/latest$/, "text/plain; charset=utf-8", MINUTE],
        [/^sumdb\/[^/]+\/supported$/, "text/plain; charset=utf-8", IMMUTABLE],
        [/^sumdb\/[^/]+\/lookup\//, "text/plain; charset=utf-8", IMMUTABLE],
        [/^sumdb\/[^/]+\/tile\//, "application/octet-stream", IMMUTABLE],
      ];
      const entries = await readdir(join(mirror, "tree"), { recursive: true, withFileTypes: true });
      const names = entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(join(mirror, "tree").length + 1));
      const seen = new Set<number>();
      for (const name of names) {
        const kind = types.findIndex(([pattern]) => pattern.test(name));
        seen.add(kind);
        const reply = await get(`/${name}`);
        const bytes = await file(name);
        expect(reply.body.equals(bytes), name).toBe(true);
        expect({ name, status: reply.status, ...reply.headers }).toMatchObject({
          name,
          status: 200,
          "content-type": types[kind]?.[1],
          "cache-control": types[kind]?.[2],
          "content-length": String(bytes.length),
          "accept-ranges": "bytes",
          "x-content-type-options": "nosniff",
          etag: expect.stringMatching(/^"[^"]+"$/),
        });
        const head = await rawRequest(served.url, `/${name}`, { method: "HEAD" });
        const { date: _a, connection: _b, ...same } = reply.headers;
        expect({ status: head.status, length: head.body.length, ...head.headers }).toMatchObject({
          status: 200,
          length: 0,
          ...same,
        });
      }
      expect(seen.size, "every kind of file was seen").toBe(types.length);
    },
    TIMEOUT,
  );

  test(
    "one path in all its spellings is one file",
    async () => {
      const expected = await file(ZIP);
      for (const path of [ZIP, ZIP.replaceAll("!", "%21"), ZIP.replace("@", "%40"), `${ZIP}?go-get=1`])
        expect((await get(path)).body.equals(expected), path).toBe(true);
      const plus = "/github.com/patrickmn/go-cache/@v/v2.1.0+incompatible.zip";
      const incompatible = await file(plus);
      for (const path of [plus, plus.replace("+", "%2B"), plus.replace("+", "%2b")])
        expect((await get(path)).body.equals(incompatible), path).toBe(true);
    },
    TIMEOUT,
  );

  describe("ranges", () => {
    test.each<[string, (size: number) => [number, number]]>([
      ["bytes=0-9", () => [0, 9]],
      ["bytes=10-", (size) => [10, size - 1]],
      ["bytes=-5", (size) => [size - 5, size - 1]],
      ["bytes=5-99999999999", (size) => [5, size - 1]],
      ["bytes=-99999999999", (size) => [0, size - 1]],
    ])("%s gives that part with 206", async (range, expected) => {
      const bytes = await file(ZIP);
      const [start, end] = expected(bytes.length);
      const reply = await get(ZIP, { range });
      expect([reply.status, reply.headers["content-range"]]).toEqual([
        206,
        `bytes ${start}-${end}/${bytes.length}`,
      ]);
      expect(reply.headers["content-length"]).toBe(String(end - start + 1));
      expect(reply.body.equals(bytes.subarray(start, end + 1))).toBe(true);
    });

    test.each(["bytes=99999999999-", "bytes=-0"])("%s gives 416 with the size", async (range) => {
      const { length } = await file(ZIP);
      const reply = await get(ZIP, { range });
      expect([reply.status, reply.headers["content-range"], reply.body.length]).toEqual([
        416,
        `bytes */${length}`,
        0,
      ]);
    });

    test.each([
      "bytes=1-2,4-5",
      "bytes=5-2",
      "bytes=a-b",
      "lines=1-2",
      "bytes=-",
      `bytes=${"9".repeat(400)}-`,
    ])("%s gives the whole, as RFC 9110 allows", async (range) => {
      const reply = await get(ZIP, { range });
      expect([reply.status, reply.body.length]).toEqual([200, (await file(ZIP)).length]);
    });

    test("a HEAD has no ranges, and If-Range of another file gives the whole", async () => {
      const head = await rawRequest(served.url, ZIP, { method: "HEAD", headers: { range: "bytes=0-9" } });
      const { length } = await file(ZIP);
      expect([head.status, head.headers["content-length"]]).toEqual([200, String(length)]);
      const other = await get(ZIP, { range: "bytes=0-9", "if-range": '"another"' });
      expect([other.status, other.body.length]).toEqual([200, length]);
      const same = await get(ZIP, { range: "bytes=0-9", "if-range": String(head.headers.etag) });
      expect([same.status, same.body.length]).toEqual([206, 10]);
    });
  });

  test("If-None-Match with the ETag gives 304 without a body, with another the file", async () => {
    const { etag = "" } = (await get(ZIP)).headers;
    for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
      const reply = await get(ZIP, { "if-none-match": tag });
      expect([reply.status, reply.body.length, reply.headers.etag], tag).toEqual([304, 0, etag]);
    }
    expect((await get(ZIP, { "if-none-match": '"x"' })).status).toBe(200);
  });

  test.each<[string, number, RegExp]>([
    ["/example.com/none/@v/list", 404, /does not know that module/],
    ["/example.com/none/@latest", 404, /lists no version/],
    [`${TOML}/@v/v1.9.9.zip`, 404, /toml@v1\.9\.9: not in this mirror/],
    [`${TOML}/@v/master.info`, 404, /canonical versions only/],
    ["/github.com/mitchellh/reflectwalk/@v/v9.0.0+incompatible.mod", 404, /not found/],
    ["/example.com/failed/@v/v1.0.0.zip", 503, /example\.com\/failed@v1\.0\.0: \.zip is FAILED: it broke/],
    ["/example.com/failed/@v/v1.0.0.mod", 503, /FAILED/],
    ["/example.com/pending/@v/v1.0.0.info", 503, /PENDING/],
    ["/example.com/conflict/@v/v1.0.0.zip", 403, /CONFLICT/],
    ["/example.com/gone/@v/v1.0.0.zip", 404, /GONE/],
    ["/example.com/withheld/@v/v1.0.0.mod", 404, /WITHHELD/],
    ["/example.com/failed/@v/list", 200, /^$/],
    ["/-/healthz", 200, /^ok\n$/],
    ["/", 404, /GOPROXY/],
    ["/index.html", 404, /GOPROXY/],
    ["/sumdb/other.example/supported", 404, /nothing of that checksum database/],
    ["/sumdb/DATABASE/lookup/example.com/none@v1.0.0", 404, /no record/],
    ["/sumdb/DATABASE/lookup/example.com/failed@v1.0.0", 503, /FAILED/],
    ["/sumdb/DATABASE/tile/8/0/x999/999", 404, /stands at tree size \d+/],
    ["/sumdb/DATABASE/tile/9/0/000", 404, /GOPROXY/],
  ])("%s is %i with a line that says why", async (path, status, text) => {
    const reply = await get(path.replace("DATABASE", database));
    expect([reply.status, reply.body.toString()]).toEqual([status, expect.stringMatching(text)]);
    expect(reply.headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(reply.headers["cache-control"]).toBe("no-store");
    // go shows an error only without control characters (cmd/go/internal/web).
    expect(reply.body.toString().trimEnd()).not.toMatch(/\p{Cc}/u);
    if (status === 503) expect(Number(reply.headers["retry-after"])).toBeGreaterThan(0);
    else expect(reply.headers["retry-after"]).toBeUndefined();
  });

  test(
    "nothing outside of the tree can be named",
    async () => {
      const paths = [
        "/../ledger.sqlite",
        "/%2e%2e/ledger.sqlite",
        "/..%2fledger.sqlite",
        "/.%2e/%2e./ledger.sqlite",
        "/%252e%252e/ledger.sqlite",
        "/..%5cledger.sqlite",
        "/../vault/",
        `/sumdb/${database}/../../../ledger.sqlite`,
        "/sumdb/../../ledger.sqlite/latest",
        "/github.com/../../../etc/@v/list",
        `/github.com/%2e%2e/${"x".repeat(300)}/@v/list`,
        `/${"y".repeat(300)}.com/@v/list`,
        `/${TOML}/@v/list`,
        `//${TOML.slice(1)}/@v/list`,
        `/.${TOML}/@v/list`,
        `${TOML}//@v/list`,
        `${TOML}/@v/./list`,
        `${TOML}/@v/list/`,
        `${TOML}/@v/list%00`,
        `${TOML}%00/@v/list`,
        `${TOML}/@v/list%0a`,
        `${TOML.replace("!b", "B")}/@v/list`,
        `${TOML}/@v/`,
        `${TOML}/@v`,
        TOML,
        `/${"a/".repeat(5_000)}@v/list`,
        `/example.com/${"a".repeat(10_000)}/@v/list`,
        `/example.com/${"%61".repeat(3_300)}/@v/list`,
      ];
      for (const path of paths) {
        const reply = await get(path);
        expect([path, reply.status, reply.headers["content-type"]]).toEqual([
          path,
          404,
          "text/plain; charset=utf-8",
        ]);
        expect(reply.body.length).toBeLessThan(1_000);
      }
      for (const path of ["/%", "/%zz", "/%ff%fe/@v/list", "/example.com/%c0%ae/@v/list"])
        expect((await get(path)).status, path).toBe(400);
    },
    TIMEOUT,
  );

  test("what is not HTTP is refused, and the server lives on", async () => {
    expect(await rawBytes(served.url, "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
    expect(await rawBytes(served.url, "hello\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
    const long = `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`;
    expect(await rawBytes(served.url, long)).toMatch(/^HTTP\/1\.1 431 |^$/);
    expect(
      await rawBytes(served.url, "GET http://x/-/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    ).toMatch(/^HTTP\/1\.1 (200|400) /);
    expect((await get("/-/healthz")).status).toBe(200);
  });

  test.each(["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])(
    "%s is 405 with Allow",
    async (method) => {
      const reply = await rawRequest(served.url, ZIP, { method });
      expect([reply.status, reply.headers.allow]).toEqual([405, "GET, HEAD"]);
    },
  );
});

/** Versions of which nothing is held, in each state that a client may meet. */
async function plantRecords(mirror: string): Promise<void> {
  const { ledger, close } = await openFolderMirror(mirror, { mode: "write" });
  const states = {
    pending: undefined,
    failed: "transient",
    conflict: "mismatch",
    gone: "absent",
    withheld: "withheld",
  } as const;
  for (const [name, errorClass] of Object.entries(states)) {
    const version = moduleVersion(`example.com/${name}`, "v1.0.0");
    const fresh = want(undefined, version, "whole", "test", Date.now(), true);
    const error = { message: "it broke\u0007\nwith a second line" };
    const record =
      errorClass === undefined ? fresh : failed(fresh, { ...error, class: errorClass }, Date.now());
    await ledger.write([{ record }]);
  }
  await close();
}
