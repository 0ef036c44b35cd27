import { beforeAll, describe, expect, test } from "vitest";
import { moduleVersion } from "../../gomod/version.ts";
import type { Answer } from "../../mirror/answer.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { failed } from "../../mirror/failed-record.ts";
import { want } from "../../mirror/records.ts";
import { answer } from "../../mirror/serve.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

/** docs/architecture.md, What the endpoint answers. */
const IMMUTABLE = "public, max-age=31536000, immutable";
const MOVING = "public, max-age=60";
const INLINE = 1 << 20;
const DATABASE = "sum.example.org";

describe("what the endpoint answers", () => {
  let mirror: MadeMirror;
  const ask = (path: string) => answer(mirror.parts, path, INLINE);
  const status = (reply: Answer) => (reply.kind === "text" ? reply.status : reply.kind);

  beforeAll(async () => {
    const upstream = new MadeUpstream();
    upstream.database.grow(300);
    upstream.add("example.com/Dep@v1.0.0");
    upstream.add("example.com/a@v1.0.0", { requires: ["example.com/Dep@v1.0.0"] });
    upstream.add("example.com/a@v1.1.0");
    mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: ["example.com/a@v1.0.0"] });
    const record = (name: string, error?: MirrorError, extent: "mod" | "whole" = "whole") => {
      const [path = "", version = ""] = name.split("@");
      const pending = want(undefined, moduleVersion(path, version), extent, "test", mirror.clock.now(), true);
      return { record: error === undefined ? pending : failed(pending, error, mirror.clock.now()) };
    };
    const error = (...[errorClass]: [MirrorError["class"]]) =>
      new MirrorError(errorClass, "x", "upstream\u0007 said\nso");
    await mirror.ledger.write([
      record("example.com/pending@v1.0.0"),
      record("example.com/failed@v1.0.0", error("transient")),
      record("example.com/gone@v1.0.0", error("absent")),
      record("example.com/withheld@v1.0.0", error("withheld")),
      record("example.com/conflict@v1.0.0", error("mismatch")),
      record("example.com/onlymod@v1.0.0", undefined, "mod"),
    ]);
  });

  test.each([
    ["example.com/a/@v/v1.0.0.zip", "application/zip", MOVING],
    ["example.com/a/@v/v1.0.0.mod", "text/plain; charset=utf-8", IMMUTABLE],
    ["example.com/a/@v/v1.0.0.info", "application/json", IMMUTABLE],
    ["example.com/!dep/@v/v1.0.0.mod", "text/plain; charset=utf-8", IMMUTABLE],
    ["example.com/a/@v/list", "text/plain; charset=utf-8", MOVING],
    ["example.com/a/@latest", "application/json", MOVING],
    [`sumdb/${DATABASE}/supported`, "text/plain; charset=utf-8", IMMUTABLE],
    [`sumdb/${DATABASE}/latest`, "text/plain; charset=utf-8", MOVING],
    [`sumdb/${DATABASE}/lookup/example.com/!dep@v1.0.0`, "text/plain; charset=utf-8", IMMUTABLE],
    [`sumdb/${DATABASE}/tile/8/1/000.p/1`, "application/octet-stream", IMMUTABLE],
  ])("%s is there", async (path, type, cacheControl) => {
    const reply = await ask(path);
    expect(reply).toMatchObject({ kind: "object", type, cacheControl });
    if (reply.kind === "object") await reply.object.close();
  });

  test.each<[string, number | string, RegExp]>([
    ["example.com/nobody/@v/list", 404, /does not know/],
    ["example.com/nobody/@latest", 404, /lists no version/],
    ["example.com/pending/@v/list", 200, /^$/],
    ["example.com/pending/@v/v1.0.0.zip", 503, /PENDING/],
    ["example.com/pending/@v/v1.0.0.info", 503, /PENDING/],
    ["example.com/failed/@v/v1.0.0.mod", 503, /FAILED: upstream said so/],
    ["example.com/conflict/@v/v1.0.0.zip", 403, /CONFLICT/],
    ["example.com/gone/@v/v1.0.0.zip", 404, /GONE/],
    ["example.com/withheld/@v/v1.0.0.mod", 404, /WITHHELD/],
    ["example.com/a/@v/v1.9.9.info", 404, /sync example.com\/a@v1.9.9/],
    ["example.com/onlymod/@v/v1.0.0.zip", 404, /only its go.mod/],
    ["example.com/onlymod/@v/v1.0.0.mod", 503, /PENDING/],
    ["example.com/a/@v/master.info", 404, /branches/],
    [`sumdb/${DATABASE}/lookup/example.com/nobody@v1.0.0`, 404, /no record/],
    [`sumdb/${DATABASE}/lookup/example.com/gone@v1.0.0`, 404, /no record/],
    [`sumdb/${DATABASE}/lookup/example.com/pending@v1.0.0`, 503, /PENDING/],
    [`sumdb/${DATABASE}/lookup/example.com/conflict@v1.0.0`, 403, /CONFLICT/],
    ["sumdb/other.example.org/lookup/example.com/a@v1.0.0", 404, /without a record of other/],
    [`sumdb/${DATABASE}/tile/8/0/005`, 404, /stands at tree size 303, the tile reaches 1536/],
    [`sumdb/${DATABASE}/tile/8/3/000`, 404, /remove the client's/],
    [`sumdb/${DATABASE}/tile/8/0/000.p/7`, 404, /does not hold that tile/],
    ["sumdb/other.example.org/supported", 404, /holds nothing/],
    ["-/healthz", 200, /ok/],
  ])("%s is answered %s", async (path, expected, text) => {
    const reply = await ask(path);
    expect(status(reply)).toBe(expected);
    expect(reply.kind === "text" ? reply.text : "").toMatch(text);
    // One line without control characters is all that go shows.
    if (reply.kind === "text" && reply.text !== "") expect(reply.text).toMatch(/^[^\p{Cc}]+\n$/u);
  });

  test("what is being fetched says how long to wait", async () => {
    expect(await ask("example.com/pending/@v/v1.0.0.zip")).toMatchObject({ retryAfter: 30 });
    const reply = await ask("example.com/failed/@v/v1.0.0.zip");
    expect(reply.kind === "text" ? reply.retryAfter : 0).toBeGreaterThan(30);
  });

  test("zips and what is too large for the caller go by a link where the tree has links", async () => {
    const tree = instead(mirror.tree, {
      link: async (key: string) => `https://link/${key}`,
    });
    const parts = { ...mirror.parts, tree };
    expect(await answer(parts, "example.com/a/@v/v1.0.0.zip", INLINE)).toEqual({
      kind: "redirect",
      location: "https://link/example.com/a/@v/v1.0.0.zip",
    });
    expect((await answer(parts, "example.com/a/@v/v1.0.0.mod", 5)).kind).toBe("redirect");
    expect((await answer(parts, "example.com/a/@v/v1.0.0.mod", INLINE)).kind).toBe("object");
  });

  test("a store that does not answer is an error for the caller's 503, never a 404", async () => {
    const silent = async () => Promise.reject(new MirrorError("transient", "x", "time-out"));
    const tree = instead(mirror.tree, { open: silent });
    const ledger = instead(mirror.ledger, {
      read: silent,
      readModule: silent,
      readHead: silent,
    });
    await expect(answer({ ...mirror.parts, tree }, "example.com/a/@v/list", INLINE)).rejects.toThrow(
      "time-out",
    );
    for (const path of [
      "x.org/a/@v/list",
      "x.org/a/@v/v1.0.0.zip",
      `sumdb/${DATABASE}/lookup/x.org/a@v1.0.0`,
      `sumdb/${DATABASE}/tile/8/0/009`,
    ])
      await expect(answer({ ...mirror.parts, ledger }, path, INLINE)).rejects.toThrow("time-out");
  });

  test.each([
    "",
    "/",
    "..",
    "../vault/inbox",
    "example.com/a/@v/../../../vault",
    "example.com/a/@v/..%2f",
    "example.com/a/@v/v1.0.0.zip/",
    "example.com/a/@v/v1.0.0.ZIP",
    "example.com//a/@v/list",
    "/example.com/a/@v/list",
    "example.com/A/@v/list",
    "example.com/!Dep/@v/list",
    "example.com/a\\b/@v/list",
    "example.com/a/@v/v1.0.0\u0000.zip",
    "example.com/a/@v/v1.0.0+build.zip",
    "example.com/a/@v/v1.zip",
    "example.com/a/v2/@v/v1.0.0.zip",
    "C:/a/@v/list",
    "con.example/../con/@v/list",
    "sumdb/../tree/latest",
    "sumdb//latest",
    "sumdb/latest",
    `sumdb/${DATABASE}/tile/8/data/000`,
    `sumdb/${DATABASE}/tile/8/0/000.p/256`,
    `sumdb/${DATABASE}/tile/8/0/000.p/0`,
    `sumdb/${DATABASE}/tile/9/0/000`,
    `sumdb/${DATABASE}/lookup/example.com/a`,
    `sumdb/${DATABASE}/lookup/../../vault`,
    `sumdb/${DATABASE}/lookup/example.com/a@v1.0.0/tile/8/0/000`,
    "sumdb/UPPER.example/latest",
    "a".repeat(100_000),
    `${"/@v/".repeat(20_000)}x.info`,
    "example.com/a/@v/\ud800.info",
  ])("hostile path %#: 404 in one line, and the tree is not asked", async (path) => {
    const tree = instead(mirror.tree, {
      open: async () => Promise.reject(new Error("asked the tree")),
    });
    const started = performance.now();
    const reply = await answer({ ...mirror.parts, tree }, path, INLINE);
    expect(performance.now() - started).toBeLessThan(200);
    expect(reply).toMatchObject({ kind: "text", status: 404 });
    if (reply.kind === "text") expect(reply.text.length).toBeLessThan(600);
  });
});

/** A port with other methods. */
function instead<T extends object>(port: T, methods: Partial<Record<keyof T, unknown>>): T {
  return new Proxy(port, {
    get: (target, name) => {
      const value: unknown = name in methods ? methods[name as keyof T] : Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
