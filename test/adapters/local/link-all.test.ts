import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { DurableFolders, TemporaryFolder } from "../../../adapters/local/durable-folder.ts";
import { FolderTree } from "../../../adapters/local/folder-tree.ts";
import { linkAll } from "../../../adapters/local/link-all.ts";
import { type ModuleVersion, moduleVersion } from "../../../gomod/version.ts";
import { type Spool, sha256Of } from "../../../mirror/body.ts";
import { modKey, zipKey } from "../../../mirror/tree-keys.ts";

let folder: string;
let root: string;
let folders: DurableFolders;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "modferry-link-"));
  root = join(folder, "tree");
  mkdirSync(root);
  mkdirSync(join(folder, "tmp"));
  folders = new DurableFolders(root);
});
afterEach(() => rmSync(folder, { recursive: true }));

const version = (number: number): ModuleVersion => moduleVersion("example.com/linked", `v1.${number}.0`);

function staged(text: string, isDurable = true): Spool {
  const path = join(folder, `staged-${text}`);
  writeFileSync(path, text);
  const bytes = Buffer.from(text);
  return {
    size: bytes.byteLength,
    sha256: sha256Of(bytes),
    path,
    ...(isDurable ? { isDurable } : {}),
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    async *stream() {
      yield bytes;
    },
    dispose: async () => {},
  };
}

const object = (body: Spool, key = zipKey(version(0))) => ({ key, body, sha256: body.sha256 });

test("what is durable is the same file under its new name, without a copy", async () => {
  const body = staged("zip");
  expect(await linkAll(root, folders, [object(body)])).toEqual(["created"]);
  expect(statSync(join(root, zipKey(version(0)))).ino).toBe(statSync(body.path).ino);
});

test("what may not be durable, or was hashed as something else, is left to the caller, and nothing of it is there", async () => {
  const loose = object(staged("loose", false));
  const other = { ...object(staged("other"), modKey(version(0))), sha256: sha256Of(Buffer.from("another")) };
  expect(await linkAll(root, folders, [loose, other])).toEqual([undefined, undefined]);
  expect(() => statSync(join(root, loose.key))).toThrow("ENOENT");
  expect(() => statSync(join(root, other.key))).toThrow("ENOENT");
});

test("a tree hashes again what may not be durable, and refuses what has changed since", async () => {
  const tree = new FolderTree(root, new TemporaryFolder(join(folder, "tmp")));
  const good = staged("good", false);
  const bad = staged("bad", false);
  writeFileSync(bad.path, "bed");
  expect(await tree.createAll([object(good)])).toEqual(["created"]);
  await expect(tree.createAll([object(bad, modKey(version(1)))])).rejects.toThrow("damaged on the way");
  expect(readFileSync(join(root, zipKey(version(0))), "utf8")).toBe("good");
});

test("each folder on the way is synced once, however many names it got, and before the answer", async () => {
  const objects = Array.from({ length: 100 }, (_, at) => object(staged(`zip ${at}`), zipKey(version(at))));
  const settled = vi.spyOn(folders, "settleAll");
  await linkAll(root, folders, objects);
  expect(settled).toHaveBeenCalledTimes(1);
  expect([...(settled.mock.calls[0]?.[0] ?? [])]).toEqual([join(root, "example.com/linked/@v")]);
});

test("what is no plain file in a name's place is refused, and a link out of the tree is not followed", async () => {
  const outside = join(folder, "outside");
  mkdirSync(outside);
  symlinkSync(outside, join(root, "example.com"));
  await expect(linkAll(root, folders, [object(staged("zip"))])).rejects.toThrow(/example\.com/);
  rmSync(join(root, "example.com"));
  mkdirSync(join(root, zipKey(version(1))), { recursive: true });
  await expect(linkAll(root, folders, [object(staged("one"), zipKey(version(1)))])).rejects.toThrow(
    "v1.1.0.zip",
  );
});

test("a name that another writer has made meanwhile stays, and is made durable too", async () => {
  const [ours, theirs] = [staged("ours"), staged("theirs")];
  mkdirSync(join(root, "example.com/linked/@v"), { recursive: true });
  linkSync(theirs.path, join(root, zipKey(version(0))));
  const settled = vi.spyOn(folders, "settleAll");
  expect(await linkAll(root, folders, [object(ours)])).toEqual(["exists"]);
  expect(readFileSync(join(root, zipKey(version(0))), "utf8")).toBe("theirs");
  expect([...(settled.mock.calls[0]?.[0] ?? [])]).toHaveLength(1);
});

test("what vanishes from the stage is a fault that may heal, with the file's name", async () => {
  const tree = new FolderTree(root, new TemporaryFolder(join(folder, "tmp")));
  const body = staged("zip");
  rmSync(body.path);
  await expect(tree.createAll([object(body)])).rejects.toMatchObject({ subject: zipKey(version(0)) });
});
