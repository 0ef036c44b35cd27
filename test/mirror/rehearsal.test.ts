import { describe, expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { Rehearsal } from "../../mirror/rehearsal.ts";
import { MOST_RECORDED } from "../../mirror/requests.ts";
import type { TreeKey } from "../../mirror/tree-keys.ts";

const PARTIAL = "sumdb/s.example/tile/8/0/000.p/7";
const FULL = "sumdb/s.example/tile/8/0/000";
const NOTHING = { needs: [], roots: [] };

async function rehearsalOver(keys: readonly string[], tree = new MemoryTree()): Promise<Rehearsal> {
  const bytes = Buffer.from("x");
  for (const key of keys) await tree.create(key as TreeKey, bytes, sha256Of(bytes));
  return new Rehearsal({ tree, ledger: new MemoryLedger(), now: Date.now });
}

describe("a rehearsal", () => {
  test("a part of a tile is missing, unless the client has got the whole tile instead", async () => {
    const without = await rehearsalOver([]);
    for (const path of [PARTIAL, FULL]) await without.answer(path);
    expect((await without.result(NOTHING)).missing.map(({ subject }) => subject)).toEqual([FULL, PARTIAL]);
    const withFull = await rehearsalOver([FULL]);
    for (const path of [PARTIAL, FULL]) await withFull.answer(path);
    expect(await withFull.result(NOTHING)).toMatchObject({ asked: 2, missing: [], unknown: [] });
  });

  test("a database that the mirror does not serve is missing; the client is kept from asking it elsewhere", async () => {
    const rehearsal = await rehearsalOver([]);
    expect(await rehearsal.answer("sumdb/s.example/supported")).toMatchObject({ kind: "text", status: 200 });
    expect((await rehearsal.result(NOTHING)).missing).toMatchObject([
      { subject: "sumdb/s.example/supported", state: "404" },
    ]);
  });

  test("a tree that does not answer is a 503, and named", async () => {
    const fault = () => {
      throw new MirrorError("transient", "tree", "tree: does not answer");
    };
    const rehearsal = await rehearsalOver([], new MemoryTree(fault as never));
    await expect(rehearsal.answer("example.com/a/@v/v1.0.0.mod")).rejects.toThrow("does not answer");
    expect((await rehearsal.result(NOTHING)).missing).toMatchObject([
      { subject: "example.com/a/@v/v1.0.0.mod", state: "503" },
    ]);
  });

  test("more files than are noted leave the run open, whatever they were", async () => {
    const rehearsal = await rehearsalOver([]);
    for (let at = 0; at < MOST_RECORDED; at++) await rehearsal.answer(`x/${at}`);
    await rehearsal.answer("x/0");
    expect((await rehearsal.result(NOTHING)).missing).toEqual([]);
    await rehearsal.answer("x/y");
    expect((await rehearsal.result(NOTHING)).missing).toEqual([
      {
        subject: "the command",
        state: "not noted",
        message: "too many files asked: none beyond the first 200000 is noted; rehearse it in parts",
      },
    ]);
  }, 60_000);

  test("the last answer counts: what a client got in the end was there", async () => {
    const tree = new MemoryTree();
    const rehearsal = await rehearsalOver([], tree);
    await rehearsal.answer(FULL);
    await tree.create(FULL as TreeKey, Buffer.from("x"), sha256Of(Buffer.from("x")));
    await rehearsal.answer(FULL);
    expect((await rehearsal.result(NOTHING)).missing).toEqual([]);
  });

  test("prefixes that are no module are no missing files; a go.mod or zip of an unknown module is", async () => {
    const rehearsal = await rehearsalOver([]);
    const probes = [
      "example.com/@v/list",
      "example.com/@latest",
      "example.com/@v/v1.0.0.info",
      "example.com/@v/main.info",
    ];
    for (const path of [...probes, "example.com/@v/v1.0.0.mod", "favicon.ico"]) await rehearsal.answer(path);
    const { missing, unknown } = await rehearsal.result(NOTHING);
    expect(missing.map(({ subject }) => subject)).toEqual(["example.com/@v/v1.0.0.mod"]);
    expect(unknown.map(({ subject }) => subject).sort()).toEqual([...probes, "favicon.ico"].sort());
  });
});
