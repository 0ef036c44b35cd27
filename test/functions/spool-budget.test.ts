import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SpoolFolder } from "../../adapters/local/spool-folder.ts";
import { SpoolBudget, sweepSpools } from "../../functions/spool-budget.ts";
import { type Body, isSpool } from "../../mirror/body.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "modferry-spools-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function* bytes(size: number): AsyncIterable<Uint8Array> {
  yield Buffer.alloc(size);
}
const turns = () => new Promise((resolve) => setTimeout(resolve, 50));
async function dispose(body: Body): Promise<void> {
  if (isSpool(body)) await body.dispose();
}

test("spools wait until those before them are disposed of, in the order in which they came", async () => {
  const budget = new SpoolBudget(200);
  const spools = new SpoolFolder(folder, 10);
  const started: number[] = [];
  const receive = (number: number) =>
    budget.hold(100, () => {
      started.push(number);
      return spools.spool(bytes(50), 100);
    });
  const bodies = [1, 2, 3, 4].map(receive);
  await turns();
  expect(started).toEqual([1, 2]);
  const first = await bodies[0];
  if (first === undefined) throw new Error("nothing received");
  // Twice is once.
  await dispose(first);
  await dispose(first);
  await turns();
  expect(started).toEqual([1, 2, 3]);
  for (const body of bodies.slice(1)) await dispose(await body);
  expect(started).toEqual([1, 2, 3, 4]);
  expect(readdirSync(folder)).toEqual([]);
});

test("what failed, and what came to lie in memory, holds nothing", async () => {
  const budget = new SpoolBudget(100);
  const spools = new SpoolFolder(folder, 10);
  await expect(budget.hold(100, () => spools.spool(bytes(101), 100))).rejects.toThrow("larger than");
  expect(isSpool(await budget.hold(100, () => spools.spool(bytes(5), 100)))).toBe(false);
  // Larger than the whole budget: alone, and not for ever waiting.
  const body = await budget.hold(1_000, () => spools.spool(bytes(50), 1_000));
  expect(isSpool(body) && (await body.read(0, 50)).byteLength).toBe(50);
  await dispose(body);
});

test("spools of a killed process are swept, those of a living one and other files are not", () => {
  const { pid: dead } = spawnSync(process.execPath, ["-e", ""]);
  const files = {
    [`spool-${dead}-aa`]: false,
    [`spool-${process.pid}-bb`]: false,
    [`spool-${process.ppid}-cc`]: true,
    "spool-0-dd": true,
    "notes.txt": true,
  };
  for (const name of Object.keys(files)) writeFileSync(join(folder, name), "x");
  sweepSpools(folder);
  const left = Object.fromEntries(Object.keys(files).map((name) => [name, existsSync(join(folder, name))]));
  expect(left).toEqual(files);
  sweepSpools(join(folder, "none"));
});
