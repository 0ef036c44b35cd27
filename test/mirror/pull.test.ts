import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { TemporaryFolder } from "../../adapters/local/durable-folder.ts";
import { FolderTree } from "../../adapters/local/folder-tree.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { SpoolFolder } from "../../adapters/local/spool-folder.ts";
import { SPOOL_LIMIT, sha256Of } from "../../mirror/body.ts";
import type { Tree } from "../../mirror/ports.ts";
import { type PullOptions, pullTree } from "../../mirror/pull.ts";
import type { TreeKey } from "../../mirror/tree-keys.ts";
import { rejectionOf } from "../contract/rejection.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";
import { WatchingReader } from "./watching-reader.ts";

const scratch = mkdtempSync(join(tmpdir(), "modferry-pull-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const spools = new SpoolFolder(join(scratch, "spools"));
const options = (some: Partial<PullOptions> = {}): PullOptions => ({
  delete: false,
  checksum: false,
  spool: (chunks, limit, subject) => spools.spool(chunks, limit, subject),
  ...some,
});

async function contentOf(tree: Tree): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  for await (const { key } of tree.keys()) {
    const found = await tree.get(key as TreeKey, 1 << 24);
    content[key] = found === undefined ? "" : sha256Of(found.bytes);
  }
  return content;
}

/** Three modules, of which one needs another; all are listed. */
async function filledMirror(): Promise<{ upstream: MadeUpstream; mirror: MadeMirror }> {
  const upstream = new MadeUpstream();
  upstream.add("example.com/b@v1.0.0");
  upstream.add("example.com/a@v1.0.0", { requires: ["example.com/b@v1.0.0"] });
  upstream.add("example.com/A/v2@v2.1.0");
  const mirror = new MadeMirror(upstream);
  await mirror.request({ wishes: ["example.com/a@v1.0.0", "example.com/A/v2@v2.1.0"] });
  return { upstream, mirror };
}

describe("a pulled tree", () => {
  test("is the source's byte for byte, and a reader sees no promise broken on the way", async () => {
    const { upstream, mirror } = await filledMirror();
    const target = new WatchingReader(upstream);
    const pulled = await pullTree(mirror.tree, target, options());
    expect(target.broken).toEqual([]);
    await target.lookAtAll();
    expect(target.broken).toEqual([]);
    const content = await contentOf(mirror.tree);
    expect(await contentOf(target)).toEqual(content);
    expect(pulled).toMatchObject({ same: 0, copied: Object.keys(content).length, replaced: 0, removed: 0 });
    expect(await pullTree(mirror.tree, target, options())).toMatchObject({
      same: Object.keys(content).length,
      copied: 0,
      replaced: 0,
      bytes: 0,
    });
  });

  test("gets what is new and nothing else, while the writer goes on publishing", async () => {
    const { upstream, mirror } = await filledMirror();
    const target = new WatchingReader(upstream);
    await pullTree(mirror.tree, target, options());
    upstream.add("example.com/a@v1.1.0", { requires: ["example.com/b@v1.0.0"] });
    await mirror.request({ wishes: ["example.com/a@v1.1.0"] });
    upstream.add("example.com/a@v1.2.0", { requires: ["example.com/c@v1.0.0"] });
    upstream.add("example.com/c@v1.0.0");
    const create = target.create.bind(target);
    let published: Promise<unknown> | undefined;
    target.create = async (...args) => {
      published ??= mirror.request({ wishes: ["example.com/a@v1.2.0"] });
      await published;
      return await create(...args);
    };
    const { replaced } = await pullTree(mirror.tree, target, options());
    expect(target.broken).toEqual([]);
    // The module's list and @latest, and the tree head.
    expect(replaced).toBe(3);
    await pullTree(mirror.tree, target, options());
    await target.lookAtAll();
    expect(target.broken).toEqual([]);
    expect(await contentOf(target)).toEqual(await contentOf(mirror.tree));
  });

  test("that was broken off at any write keeps its promises, and the next pull ends it", async () => {
    const { upstream, mirror } = await filledMirror();
    const content = await contentOf(mirror.tree);
    for (let writes = 0; writes <= Object.keys(content).length; writes++) {
      const target = new WatchingReader(upstream);
      let left = writes;
      for (const method of ["create", "replace"] as const) {
        const write = target[method].bind(target) as (...args: unknown[]) => Promise<never>;
        target[method] = async (...args: unknown[]) => {
          if (left-- <= 0) throw new Error("the disk is full");
          return await write(...args);
        };
      }
      await pullTree(mirror.tree, target, options()).catch(() => {});
      left = Number.POSITIVE_INFINITY;
      await pullTree(mirror.tree, target, options());
      expect(target.broken).toEqual([]);
      expect(await contentOf(target)).toEqual(content);
    }
  });

  test("loses what the source lost only with --delete, and never what is no file of a GOPROXY", async () => {
    const { mirror } = await filledMirror();
    const root = mkdtempSync(join(scratch, "tree-"));
    const target = new FolderTree(root, new TemporaryFolder(mkdtempSync(join(scratch, "temporary-"))));
    await pullTree(mirror.tree, target, options());
    writeFileSync(join(root, "README.md"), "ours");
    const gone = (await mirror.keys()).filter((key) => key.startsWith("example.com/!a/"));
    expect(gone.length).toBeGreaterThan(3);
    for (const key of gone as TreeKey[]) {
      const found = await mirror.tree.open(key);
      await mirror.tree.remove(key, found?.etag ?? "");
    }
    expect(await pullTree(mirror.tree, target, options())).toMatchObject({ copied: 0, removed: 0 });
    const { removed } = await pullTree(mirror.tree, target, options({ delete: true }));
    expect(removed).toBe(gone.length);
    const { "README.md": ours, ...content } = await contentOf(target);
    expect(content).toEqual(await contentOf(mirror.tree));
    expect(ours).toBe(sha256Of(Buffer.from("ours")));
  });

  test("heals a file of another size always, and a changed one of the same size with --checksum", async () => {
    const { mirror } = await filledMirror();
    const target = new MemoryTree();
    await pullTree(mirror.tree, target, options());
    const mod = "example.com/b/@v/v1.0.0.mod" as TreeKey;
    const damage = async (bytes: Uint8Array) => {
      const found = await target.open(mod);
      await target.remove(mod, found?.etag ?? "");
      await target.create(mod, bytes, sha256Of(bytes));
    };
    await damage(Buffer.from("short"));
    expect(await pullTree(mirror.tree, target, options())).toMatchObject({ replaced: 1, copied: 0 });
    expect(await contentOf(target)).toEqual(await contentOf(mirror.tree));
    const right = (await mirror.tree.get(mod, 1 << 20))?.bytes ?? new Uint8Array();
    await damage(Uint8Array.from(right, (byte) => byte ^ 1));
    expect(await pullTree(mirror.tree, target, options())).toMatchObject({ replaced: 0 });
    expect(await pullTree(mirror.tree, target, options({ checksum: true }))).toMatchObject({ replaced: 1 });
    expect(await contentOf(target)).toEqual(await contentOf(mirror.tree));
  });

  test.each([
    ["small", 30],
    ["spooled", SPOOL_LIMIT + 30],
  ])(
    "never lacks a listed %s file while it is replaced: it dies before and after with one or the other",
    async (_kind, size) => {
      const { mirror } = await filledMirror();
      const zip = "example.com/b/@v/v1.0.0.zip" as TreeKey;
      const target = new MemoryTree();
      await pullTree(mirror.tree, target, options());
      const swap = async (tree: MemoryTree, bytes: Uint8Array) => {
        const found = await tree.open(zip);
        await tree.remove(zip, found?.etag ?? "");
        await tree.create(zip, bytes, sha256Of(bytes));
      };
      const [right, wrong] = [Buffer.alloc(size, "right"), Buffer.from("wrong")];
      await swap(mirror.tree, right);
      await swap(target, wrong);
      for (const method of ["create", "replace", "remove"] as const) {
        const write = target[method].bind(target) as (...args: unknown[]) => Promise<never>;
        target[method] = async (...args: unknown[]) => {
          expect((await target.get(zip, 1 << 30))?.bytes).toEqual(Uint8Array.from(wrong));
          await write(...args);
          expect((await target.get(zip, 1 << 30))?.bytes.byteLength).toBe(size);
          throw new Error("killed");
        };
      }
      await expect(pullTree(mirror.tree, target, options())).rejects.toThrow("killed");
      expect((await target.get(zip, 1 << 30))?.etag).toBe(sha256Of(right));
    },
  );

  test("has the vulnerability database too, its index last, and newer where the source's is", async () => {
    const { mirror } = await filledMirror();
    const files = ["ID/GO-2024-0001.json", "index/db.json.gz", "index/db.json", "index/vulns.json"];
    const fill = async (text: string) => {
      for (const file of files) {
        const key = `-/vulndb/${file}` as TreeKey;
        const found = await mirror.tree.get(key, 1 << 20);
        await mirror.tree.replace(key, Buffer.from(text + file), found?.etag);
      }
    };
    await fill("first ");
    const target = new MemoryTree();
    const written: string[] = [];
    const replace = target.replace.bind(target);
    target.replace = async (key, bytes, previous) => {
      written.push(key);
      return await replace(key, bytes, previous);
    };
    await pullTree(mirror.tree, target, options());
    const ours = written.filter((key) => key.startsWith("-/"));
    expect(ours[0]).toContain("ID/");
    expect(ours.slice(-2).every((key) => key.includes("index/db"))).toBe(true);
    await fill("second ");
    expect(await pullTree(mirror.tree, target, options({ delete: true }))).toMatchObject({ replaced: 4 });
    expect(await contentOf(target)).toEqual(await contentOf(mirror.tree));
  });

  test("is not emptied by a source whose disk is not there", async () => {
    const { mirror } = await filledMirror();
    const target = new MemoryTree();
    await pullTree(mirror.tree, target, options());
    const error = await rejectionOf(pullTree(new MemoryTree(), target, options({ delete: true })));
    expect(error).toMatchObject({ class: "misuse", message: expect.stringContaining("its tree is empty") });
    expect(await contentOf(target)).toEqual(await contentOf(mirror.tree));
  });
});
