import { expect, test } from "vitest";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { sha256Of } from "../../mirror/body.ts";
import { databasesIn } from "../../mirror/databases-in.ts";
import type { TreeKey } from "../../mirror/tree-keys.ts";

async function treeOf(keys: readonly string[]) {
  const tree = new MemoryTree();
  const empty = new Uint8Array();
  for (const key of keys) await tree.create(key as TreeKey, empty, sha256Of(empty));
  let listings = 0;
  return {
    keys: (after?: string) => {
      listings++;
      return tree.keys(after);
    },
    listings: () => listings,
  };
}

const tiles = (name: string, count: number) =>
  Array.from({ length: count }, (_, at) => `sumdb/${name}/tile/8/0/${String(at).padStart(3, "0")}`);

test("every database is found, also one whose name begins as another's, whatever lies beside them", async () => {
  const tree = await treeOf([
    "-/vulndb/index/db.json",
    "example.com/a/@v/list",
    "sumdb/sum.example.org/latest",
    "sumdb/sum.example.org/lookup/example.com/a@v1.0.0",
    "sumdb/sum.example.org/supported",
    ...tiles("sum.example.org", 900),
    "sumdb/sum.example.org/nested/latest",
    "sumdb/sum.example.org0/latest",
    "sumdb/sum.example.org-b/lookup/example.com/a@v1.0.0",
    ...tiles("a.example.org", 3),
    "sumdb/notours",
    "zz.example.com/a/@v/list",
  ]);
  expect(await databasesIn(tree)).toEqual([
    "a.example.org",
    "sum.example.org",
    "sum.example.org-b",
    "sum.example.org/nested",
    "sum.example.org0",
  ]);
  expect(tree.listings(), "however many tiles there are").toBeLessThan(20);
});

test("a tree without any has none", async () => {
  expect(await databasesIn(await treeOf([]))).toEqual([]);
  expect(await databasesIn(await treeOf(["example.com/a/@v/list", "zz.example.com/a/@v/list"]))).toEqual([]);
});
