import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { moduleVersion } from "../../gomod/version.ts";
import { type Body, type Sha256, type Spool, sha256Of } from "../../mirror/body.ts";
import type { Tree } from "../../mirror/ports.ts";
import { infoKey, listKey, modKey, type TreeKey, zipKey } from "../../mirror/tree-keys.ts";
import { rejectionOf } from "./rejection.ts";
import { everyKindOfKey } from "./tree-key-samples.ts";

/** What a suite runs on: made once per suite, empty. */
export interface TreeFixture {
  readonly tree: Tree;
  /** Another handle on the same storage, as a second process has it: races run across both. */
  readonly other?: Tree;
  /** Spools as the adapter's own upstream makes them; else a spool that lies in memory. */
  spool?(bytes: Uint8Array): Promise<Spool>;
  dispose?(): Promise<void>;
}

/** Most bytes that the suite asks of `get`. */
const LIMIT = 1 << 20;
const RACERS = 32;

/** Holds a Tree to every sentence of its port; each test has module paths of its own, so that one store serves all. */
export function treeContract(
  name: string,
  makeTree: () => Promise<TreeFixture>,
  /** Whether the storage evaluates the condition of a removal in one step with it; some S3 servers do not. */
  { atomicRemove = true }: { readonly atomicRemove?: boolean } = {},
): void {
  describe(`${name} keeps the Tree port's promises`, () => {
    let fixture: TreeFixture;
    let tree: Tree;
    let other: Tree;
    beforeAll(async () => {
      fixture = await makeTree();
      tree = fixture.tree;
      other = fixture.other ?? fixture.tree;
    });
    afterAll(() => fixture.dispose?.());
    const create = (key: TreeKey, body: Uint8Array) => tree.create(key, body, sha256Of(body));
    const spoolOf = (bytes: Uint8Array) => fixture.spool?.(bytes) ?? Promise.resolve(memorySpool(bytes));
    const textAt = async (key: TreeKey) => {
      const found = await tree.get(key, LIMIT);
      return found && new TextDecoder().decode(found.bytes);
    };

    test("create stores the body once, and a second create leaves the first body", async () => {
      const key = modKey(moduleVersion("example.com/once", "v1.0.0"));
      expect(await create(key, bytesOf("first"))).toBe("created");
      expect(await create(key, bytesOf("second, longer"))).toBe("exists");
      expect(await create(key, bytesOf("first"))).toBe("exists");
      expect(await textAt(key)).toBe("first");
    });

    test("an empty body is an object too", async () => {
      const key = listKey(moduleVersion("example.com/empty", "v1.0.0").path);
      expect(await create(key, bytesOf(""))).toBe("created");
      expect(await textAt(key)).toBe("");
      expect(await create(key, bytesOf("x"))).toBe("exists");
    });

    test("every kind of key is stored and read back under its own name", async () => {
      for (const key of everyKindOfKey)
        expect([key, await create(key, bytesOf(key))]).toEqual([key, "created"]);
      for (const key of everyKindOfKey) expect(await textAt(key)).toBe(key);
      const listed = new Map<string, number>();
      for await (const entry of tree.keys()) listed.set(entry.key, entry.size);
      for (const key of everyKindOfKey) expect([key, listed.get(key)]).toEqual([key, key.length]);
    });

    test("keys gives exactly what was created, and nothing temporary", async () => {
      const wanted = ["v1.0.0", "v1.1.0", "v1.2.0"].map((v) => infoKey(moduleVersion("example.com/keys", v)));
      await Promise.all(wanted.map((key) => create(key, bytesOf("{}"))));
      const found: string[] = [];
      for await (const entry of tree.keys()) {
        expect(entry.key).toMatch(/^(?:example\.com|github\.com|sumdb|gopkg\.in)\//);
        if (entry.key.startsWith("example.com/keys/")) found.push(entry.key);
      }
      expect(found.sort()).toEqual([...wanted].sort());
    });

    test("keys come sorted by their bytes, and from behind any key on", async () => {
      const paths = ["a", "a-b", "a.b", "a/b", "a0", "ab", "A", "a/b/c"].map(
        (path) => `example.com/order/${path}`,
      );
      const keys = paths.flatMap((path) => {
        const version = moduleVersion(path, "v1.0.0");
        return [listKey(version.path), modKey(version), modKey(moduleVersion(path, "v1.0.0-pre"))];
      });
      for (const key of keys) await create(key, bytesOf(key));
      const listed = async (after?: string) => {
        const found: string[] = [];
        for await (const { key } of tree.keys(after)) found.push(key);
        return found;
      };
      const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
      const all = await listed();
      expect(all).toEqual(all.toSorted(byBytes));
      expect(all.filter((key) => key.startsWith("example.com/order/"))).toEqual(keys.toSorted(byBytes));
      // A key, one that is not there, a folder with and without its slash, before the first and behind the last.
      const between = [
        "example.com/order/a",
        "example.com/order/a/",
        "example.com/order/a/b/@v/",
        "example.com/order/a.",
        "",
        "~",
      ];
      for (const after of [...keys, ...between])
        expect([after, await listed(after)]).toEqual([after, all.filter((key) => byBytes(key, after) > 0)]);
    });

    test("a store that keeps a SHA-256 tells that of the content, and nothing of what is not there", async () => {
      const key = zipKey(moduleVersion("example.com/checksum", "v1.0.0"));
      const body = randomBytes(3000);
      await create(key, body);
      const kept = await tree.checksum?.(key);
      if (kept !== undefined) expect(kept).toEqual({ size: body.byteLength, sha256: sha256Of(body) });
      expect(await tree.checksum?.(zipKey(moduleVersion("example.com/checksum", "v1.0.1")))).toBeUndefined();
    });

    test("what is not there is undefined, be its module known or not", async () => {
      await create(
        modKey(moduleVersion("example.com/known", "v1.0.0")),
        bytesOf("module example.com/known\n"),
      );
      for (const path of ["example.com/known", "example.com/unknown/deep/path"]) {
        const key = zipKey(moduleVersion(path, "v1.0.1"));
        expect(await tree.get(key, LIMIT)).toBeUndefined();
        expect(await tree.open(key)).toBeUndefined();
      }
    });

    test(`of ${RACERS} creates at once with different bodies one wins, and all readers see its whole body`, async () => {
      const key = zipKey(moduleVersion("example.com/race", "v1.0.0"));
      const bodies = Array.from({ length: RACERS }, (_, racer) => Buffer.alloc(50_000 + racer, `${racer};`));
      let racing = true;
      const seen = new Set<string>();
      const reader = async (from: Tree) => {
        while (racing) {
          const found = await from.get(key, LIMIT);
          if (found) seen.add(sha256Of(found.bytes));
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      };
      const readers = [reader(tree), reader(other), reader(other)];
      const answers = await Promise.all(
        bodies.map((body, racer) => (racer % 2 ? tree : other).create(key, body, sha256Of(body))),
      );
      racing = false;
      await Promise.all(readers);
      expect(answers.filter((answer) => answer === "created")).toHaveLength(1);
      expect(answers.filter((answer) => answer === "exists")).toHaveLength(RACERS - 1);
      const winner = sha256Of(bodies[answers.indexOf("created")] ?? Buffer.alloc(0));
      seen.add(sha256Of((await other.get(key, LIMIT))?.bytes ?? Buffer.alloc(0)));
      expect([...seen]).toEqual([winner]);
    });

    test("bytes that do not have the SHA-256 given are refused as transient, and nothing is stored", async () => {
      const key = zipKey(moduleVersion("example.com/damaged", "v1.0.0"));
      const body = bytesOf("as it was sent");
      expect((await rejectionOf(tree.create(key, body, sha256Of(bytesOf("as it was meant"))))).class).toBe(
        "transient",
      );
      expect(await tree.get(key, LIMIT)).toBeUndefined();
      const spool = await spoolOf(body);
      expect((await rejectionOf(tree.create(key, spool, sha256Of(bytesOf("other"))))).class).toBe(
        "transient",
      );
      expect(await tree.get(key, LIMIT)).toBeUndefined();
      expect(await tree.create(key, spool, spool.sha256)).toBe("created");
      expect(await textAt(key)).toBe("as it was sent");
      await spool.dispose();
    });

    test("a spooled body is stored like one in memory, and outlives its spool", async () => {
      const key = zipKey(moduleVersion("example.com/spooled", "v1.0.0"));
      const bytes = randomBytes(3 << 20);
      const spool = await spoolOf(bytes);
      expect(await tree.create(key, spool, spool.sha256)).toBe("created");
      expect(await tree.create(key, spool, spool.sha256)).toBe("exists");
      await spool.dispose();
      await spool.dispose();
      const stored = await tree.open(key);
      expect(sha256Of(await collect(stored?.stream()))).toBe(sha256Of(bytes));
      await stored?.close();
    });

    test("createAll, where there is one, stores each as create does, and leaves what is there", async () => {
      const keyOf = (version: string) => zipKey(moduleVersion("example.com/together", version));
      await create(keyOf("v1.1.0"), bytesOf("before"));
      const bodies = [
        await spoolOf(bytesOf("spooled")),
        await spoolOf(bytesOf("later")),
        bytesOf("in memory"),
      ];
      const objects = bodies.map((body, at) => ({
        key: keyOf(`v1.${at}.0`),
        body,
        sha256: "sha256" in body ? body.sha256 : sha256Of(body),
      }));
      if (tree.createAll === undefined) return;
      expect(await tree.createAll(objects)).toEqual(["created", "exists", "created"]);
      expect(await tree.createAll(objects)).toEqual(["exists", "exists", "exists"]);
      expect(await tree.createAll([])).toEqual([]);
      const texts = await Promise.all(objects.map(({ key }) => textAt(key)));
      expect(texts).toEqual(["spooled", "before", "in memory"]);
    });

    test("content, where there is one, is what get gives without a limit", async () => {
      if (tree.content === undefined) return;
      const key = zipKey(moduleVersion("example.com/content", "v1.0.0"));
      expect(await tree.content(key)).toBeUndefined();
      const bytes = randomBytes(3 << 20);
      await create(key, bytes);
      expect(sha256Of((await tree.content(key)) ?? bytesOf(""))).toBe(sha256Of(bytes));
    });

    test("replace takes what is spooled as well, whatever the key, and says changed where it is another by now", async () => {
      const key = zipKey(moduleVersion("example.com/replaced", "v1.0.0"));
      const [first, second] = [randomBytes(2 << 20), randomBytes(3 << 20)];
      await create(key, first);
      const etag = async () => {
        const stored = await tree.open(key);
        await stored?.close();
        return stored?.etag;
      };
      const before = await etag();
      const spool = await spoolOf(second);
      expect(await tree.replace(key, spool, before)).toBe("replaced");
      const stored = await other.open(key);
      expect(sha256Of(await collect(stored?.stream()))).toBe(sha256Of(second));
      await stored?.close();
      expect(await tree.replace(key, spool, before)).toBe("changed");
      expect(await tree.replace(key, first, await etag())).toBe("replaced");
      expect(sha256Of((await tree.get(key, 4 << 20))?.bytes ?? Buffer.alloc(0))).toBe(sha256Of(first));
      await spool.dispose();
    });

    test("get answers up to its limit and throws malformed above it", async () => {
      const key = modKey(moduleVersion("example.com/limit", "v1.0.0"));
      await create(key, bytesOf("12345678"));
      expect((await tree.get(key, 8))?.bytes.byteLength).toBe(8);
      expect((await rejectionOf(tree.get(key, 7))).class).toBe("malformed");
    });

    test.each([
      ["small", 1000],
      ["large", (2 << 20) + 17],
    ])("an opened %s object is read in parts, in ranges and whole", async (kind, size) => {
      const key = zipKey(moduleVersion(`example.com/open/${kind}`, "v1.0.0"));
      const body = randomBytes(size);
      await create(key, body);
      const stored = await tree.open(key);
      if (!stored) throw new Error("not found");
      expect(stored.size).toBe(size);
      expect(stored.etag).toMatch(/^[!#-~]+$/);
      expectBytes(await stored.read(10, 20), body.subarray(10, 30));
      expectBytes(await stored.read(0, size), body);
      expectBytes(await stored.read(size - 5, 50), body.subarray(size - 5));
      expect((await stored.read(size, 10)).byteLength).toBe(0);
      expectBytes(await collect(stored.stream()), body);
      expectBytes(await collect(stored.stream({ start: 0, end: 0 })), body.subarray(0, 1));
      expectBytes(await collect(stored.stream({ start: 7, end: size - 2 })), body.subarray(7, -1));
      const [first, second] = await Promise.all([stored.read(0, 100), collect(stored.stream())]);
      expectBytes(first, body.subarray(0, 100));
      expectBytes(second, body);
      await stored.close();
      await stored.close();
    });

    test("a stream that its reader leaves early does no harm", async () => {
      const key = zipKey(moduleVersion("example.com/left", "v1.0.0"));
      const body = randomBytes(1 << 20);
      await create(key, body);
      const stored = await tree.open(key);
      for await (const chunk of stored?.stream() ?? []) if (chunk.byteLength > 0) break;
      expectBytes(await stored?.read(0, 10), body.subarray(0, 10));
      await stored?.close();
    });

    test("replace writes the first, then only over what was read", async () => {
      const key = listKey(moduleVersion("example.com/replace", "v1.0.0").path);
      expect(await tree.replace(key, bytesOf("v1.0.0\n"), "never-an-etag-of-this")).toBe("changed");
      expect(await tree.get(key, LIMIT)).toBeUndefined();
      expect(await tree.replace(key, bytesOf("v1.0.0\n"), undefined)).toBe("replaced");
      expect(await tree.replace(key, bytesOf("v9.9.9\n"), undefined)).toBe("changed");
      const first = await tree.get(key, LIMIT);
      expect(await tree.replace(key, bytesOf("v1.0.0\nv1.1.0\n"), first?.etag)).toBe("replaced");
      expect(await tree.replace(key, bytesOf("v1.0.0\nv1.2.0\n"), first?.etag)).toBe("changed");
      const second = await tree.get(key, LIMIT);
      expect(new TextDecoder().decode(second?.bytes)).toBe("v1.0.0\nv1.1.0\n");
      expect(second?.etag).not.toBe(first?.etag);
    });

    test("get and open tell one ETag, and a different content has a different one", async () => {
      const key = listKey(moduleVersion("example.com/etag", "v1.0.0").path);
      const etags = new Set<string>();
      let previous: string | undefined;
      for (const text of ["a", "b", "c", "aa"]) {
        expect(await tree.replace(key, bytesOf(text), previous)).toBe("replaced");
        previous = (await tree.get(key, LIMIT))?.etag;
        const opened = await tree.open(key);
        expect(opened?.etag).toBe(previous);
        await opened?.close();
        etags.add(previous ?? "");
      }
      expect(etags.size).toBe(4);
    });

    test("what was opened before a replace is read as it was then, or fails; never mixed", async () => {
      const key = listKey(moduleVersion("example.com/opened", "v1.0.0").path);
      await tree.replace(key, Buffer.alloc(4000, "a"), undefined);
      const opened = await tree.open(key);
      await tree.replace(key, Buffer.alloc(4000, "b"), (await tree.get(key, LIMIT))?.etag);
      const text = await collect(opened?.stream()).then(
        (bytes) => new TextDecoder().decode(bytes),
        () => "failed",
      );
      expect(["failed", "a".repeat(4000)]).toContain(text);
      await opened?.close();
    });

    test("of writers that replace at once none loses another's line", async () => {
      const key = listKey(moduleVersion("example.com/append", "v1.0.0").path);
      const append = async (to: Tree, line: string) => {
        for (;;) {
          const found = await to.get(key, LIMIT);
          const text = Buffer.concat([found?.bytes ?? Buffer.alloc(0), Buffer.from(line)]);
          if ((await to.replace(key, text, found?.etag)) === "replaced") return;
        }
      };
      const lines = Array.from({ length: 12 }, (_, writer) => `v1.${writer}.0\n`);
      await Promise.all(lines.map((line) => append(tree, line)));
      expect((await textAt(key))?.split("\n").sort()).toEqual(
        ["", ...lines.map((line) => line.trim())].sort(),
      );
    });

    test.each([
      ["small", 1000],
      ["large", (2 << 20) + 17],
    ])(
      "remove takes a %s object away if it is what was read, and it can be created again",
      async (kind, size) => {
        const key = zipKey(moduleVersion(`example.com/remove/${kind}`, "v1.0.0"));
        const body = randomBytes(size);
        await create(key, body);
        const opened = await tree.open(key);
        const etag = opened?.etag ?? "";
        await opened?.close();
        expect(await tree.remove(key, "never-an-etag-of-this")).toBe("changed");
        expect(await sizeAt(tree, key)).toBe(size);
        expect(await other.remove(key, etag)).toBe("removed");
        expect(await tree.open(key)).toBeUndefined();
        expect(await tree.get(key, LIMIT)).toBeUndefined();
        const listed: string[] = [];
        for await (const entry of tree.keys()) listed.push(entry.key);
        expect(listed).not.toContain(key);
        expect(await tree.remove(key, etag)).toBe("removed");
        expect(await create(key, body)).toBe("created");
        expect(await sizeAt(tree, key)).toBe(size);
      },
    );

    test("what was replaced since it was read is not removed", async () => {
      const key = listKey(moduleVersion("example.com/remove/replaced", "v1.0.0").path);
      await tree.replace(key, bytesOf("v1.0.0\n"), undefined);
      const first = await tree.get(key, LIMIT);
      await other.replace(key, bytesOf("v1.1.0\n"), first?.etag);
      expect(await tree.remove(key, first?.etag ?? "")).toBe("changed");
      expect(await textAt(key)).toBe("v1.1.0\n");
    });

    const raced = "of a remove and a replace of what was read one comes first, and the other sees it";
    test.runIf(atomicRemove)(raced, async () => {
      for (let round = 0; round < 8; round++) {
        const key = listKey(moduleVersion(`example.com/remove/race${round}`, "v1.0.0").path);
        await tree.replace(key, bytesOf("old"), undefined);
        const read = await tree.get(key, LIMIT);
        const etag = read?.etag ?? "";
        const answers = await Promise.all([tree.remove(key, etag), other.replace(key, bytesOf("new"), etag)]);
        const left = await textAt(key);
        expect([
          ["removed", "changed", undefined],
          ["changed", "replaced", "new"],
        ]).toContainEqual([...answers, left]);
      }
    });

    test("a link, where there is one, is a URL", async () => {
      const key = modKey(moduleVersion("example.com/linked", "v1.0.0"));
      await create(key, bytesOf("module example.com/linked\n"));
      const link = await tree.link(key, 60);
      if (link !== undefined) expect(new URL(link).protocol).toMatch(/^https?:$/);
    });
  });
}

/** The size of what is there. */
async function sizeAt(tree: Tree, key: TreeKey): Promise<number | undefined> {
  const opened = await tree.open(key);
  await opened?.close();
  return opened?.size;
}

/** Compares without vitest's walk over every element, which takes minutes for some megabytes. */
function expectBytes(actual: Uint8Array | undefined, expected: Uint8Array): void {
  expect(sha256Of(actual ?? Buffer.from("undefined"))).toBe(sha256Of(expected));
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function collect(chunks: AsyncIterable<Uint8Array> | undefined): Promise<Uint8Array> {
  const collected: Uint8Array[] = [];
  for await (const chunk of chunks ?? []) collected.push(Buffer.from(chunk));
  return Buffer.concat(collected);
}

/** A Spool without a file, for adapters that only read and stream it. */
function memorySpool(bytes: Uint8Array): Spool & Body {
  return {
    size: bytes.byteLength,
    sha256: sha256Of(bytes) as Sha256,
    path: "/nonexistent/spool",
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    async *stream() {
      for (let at = 0; at < bytes.byteLength; at += 65_536) yield bytes.subarray(at, at + 65_536);
    },
    dispose: async () => {},
  };
}
