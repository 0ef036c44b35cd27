import { expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { checkedStores } from "../../cli/checked-stores.ts";
import { sha256Of } from "../../mirror/body.ts";
import type { TreeKey } from "../../mirror/tree-keys.ts";

const LIST = "example.com/a/@v/list" as TreeKey;
const stores = () => ({ tree: new MemoryTree(), vault: new MemoryVault(), ledger: new MemoryLedger() });

test("once the check fails, nothing is written any more", async () => {
  const inner = stores();
  const bytes = Buffer.from("text");
  const check = () => {
    throw new Error("held off no more");
  };
  const { tree, vault, ledger } = checkedStores(inner, { check });
  const item = { kind: "control", name: "x", revision: 0, value: {} } as const;
  for (const write of [
    () => tree.create(LIST, bytes, sha256Of(bytes)),
    () => vault.put("a/b", bytes),
    () => ledger.writeItem(item),
  ])
    await expect(async () => await write()).rejects.toThrow("held off no more");
  expect([await inner.tree.get(LIST, 9), await inner.vault.get("a/b", 9)]).toEqual([undefined, undefined]);
  expect(await inner.ledger.readItem("control", "x")).toBeUndefined();
});

test("until then all is the stores' own, also what has private fields and what is iterated", async () => {
  const inner = stores();
  let checks = 0;
  const { tree, ledger } = checkedStores(inner, { check: () => void checks++ });
  const bytes = Buffer.from("text");
  expect(await tree.create(LIST, bytes, sha256Of(bytes))).toBe("created");
  expect(Buffer.from((await tree.get(LIST, 100))?.bytes ?? [])).toEqual(bytes);
  const keys: string[] = [];
  for await (const { key } of tree.keys()) keys.push(key);
  expect(keys).toEqual([LIST]);
  expect(await ledger.readItem("control", "pause")).toBeUndefined();
  expect(checks).toBe(4);
});
