import { beforeEach, describe, expect, test } from "vitest";
import { moduleVersion } from "../../../gomod/version.ts";
import { isInSlice, moduleOrder } from "../../../mirror/scrub/tree-order.ts";
import { updateRecords } from "../../../mirror/update.ts";
import { MadeMirror } from "../made-mirror.ts";
import { MadeUpstream } from "../made-upstream.ts";
import { drop, flipBit, hashHere, plant, scrubbed } from "./scrub-world.ts";

const NAMES = Array.from({ length: 12 }, (_, n) => `example.com/m${n}@v1.0.0`);
const file = (n: number, suffix: string) => `example.com/m${n}/@v/v1.0.0.${suffix}`;

describe("a scrub of content", () => {
  let upstream: MadeUpstream;
  let mirror: MadeMirror;
  beforeEach(async () => {
    upstream = new MadeUpstream();
    upstream.database.grow(3_000);
    for (const name of NAMES) upstream.add(name);
    mirror = new MadeMirror(upstream, { tiles: "full" });
    await mirror.request({ wishes: NAMES });
    await mirror.parts.database.complete();
  });
  const deep = (options: Parameters<typeof scrubbed>[3] = {}) => scrubbed(mirror, upstream, "deep", options);
  const stored = (options: Parameters<typeof scrubbed>[3] = {}) =>
    scrubbed(mirror, upstream, "stored", options);
  const sumdb = () => `sumdb/${upstream.database.verifier.name}`;

  test("deep finds nothing where nothing is damaged, and has read every file", async () => {
    const found = await deep();
    expect(found.findings).toEqual([]);
    const tiles = (await mirror.keys()).filter((key) => key.includes("/tile/")).length;
    // Tiles are listed, and then read; of each version .mod, .info, zip and lookup.
    expect(found.counts).toMatchObject({ modules: 12, versions: 12, findings: 0 });
    expect(found.counts.files).toBeGreaterThanOrEqual(12 * 4 + tiles);
  });

  test("one flipped bit in any file is found by deep, named, and mended", async () => {
    const tiles = (await mirror.keys()).filter((key) => key.startsWith(`${sumdb()}/tile/8/0/00`));
    const damaged = [
      file(0, "zip"),
      file(1, "mod"),
      file(2, "info"),
      `${sumdb()}/lookup/example.com/m3@v1.0.0`,
      tiles[0] as string,
    ];
    for (const key of damaged) await flipBit(mirror.tree, key);
    const found = await deep();
    // Where a tile lacks what proves other lookups, nothing else is blamed.
    expect(found.names).toEqual(
      damaged.map((key) => `${key.includes("/tile/") ? "database" : "damaged"} ${key}`).sort(),
    );
    const mended = await deep({ mends: "upstream" });
    expect(mended.findings.map(({ outcome }) => outcome)).toEqual(damaged.map(() => "restored"));
    expect((await deep()).names).toEqual([]);
  });

  test("a lookup's signature is as good as its text: a bit of either is found", async () => {
    const key = `${sumdb()}/lookup/example.com/m3@v1.0.0`;
    const { length } = (await mirror.tree.get(key as never, 1 << 20))?.bytes ?? [];
    for (const at of [0, 30, (length ?? 0) - 20]) {
      await flipBit(mirror.tree, key, at);
      expect((await deep({ mends: "upstream" })).findings).toMatchObject([
        { subject: key, outcome: "restored" },
      ]);
    }
  });

  test("a zip of other content that the ledger was made to agree with is convicted by its lookup", async () => {
    const version = moduleVersion("example.com/m5", "v1.0.0");
    await updateRecords(
      mirror.ledger,
      [version],
      (record) =>
        record && { ...record, zipH1: upstream.made.get(NAMES[6] as string)?.zipH1 ?? ("h1:" as never) },
    );
    const { names } = await deep();
    expect(names).toEqual([`damaged ${file(5, "zip")}`, `damaged ${sumdb()}/lookup/example.com/m5@v1.0.0`]);
  });

  test("stored reads the checksums of one thirtieth of the modules a day, and of all of them in a month", async () => {
    for (let n = 0; n < 12; n++) await flipBit(mirror.tree, file(n, "zip"));
    const found: string[] = [];
    for (let day = 0; day < 30; day++) {
      const today = (await stored()).names;
      const slice = Math.floor(mirror.clock.ms / 86_400_000) % 30;
      const due = Array.from({ length: 12 }, (_, n) => n).filter((n) =>
        isInSlice(slice, moduleOrder(moduleVersion(`example.com/m${n}`, "v1.0.0").path)),
      );
      expect(today).toEqual(due.map((n) => `damaged ${file(n, "zip")}`).sort());
      found.push(...today);
      mirror.clock.ms += 86_400_000;
    }
    expect(found.toSorted()).toEqual(
      Array.from({ length: 12 }, (_, n) => `damaged ${file(n, "zip")}`).sort(),
    );
  });

  test("stored goes by what the store keeps, without reading, and reads what it keeps nothing of", async () => {
    const kept = mirror.tree as { checksum?: unknown };
    const asked: string[] = [];
    let opened = 0;
    const open = mirror.tree.open.bind(mirror.tree);
    mirror.tree.open = (key) => {
      opened++;
      return open(key);
    };
    kept.checksum = async (key: string) => {
      asked.push(key);
      return key.endsWith(".info") ? { size: 1, sha256: undefined } : { size: 1, sha256: "0".repeat(64) };
    };
    const names: string[] = [];
    for (let day = 0; day < 30; day++, mirror.clock.ms += 86_400_000) names.push(...(await stored()).names);
    expect(asked).toHaveLength(36);
    // Only .info was read.
    expect(opened).toBe(12);
    expect(names).toHaveLength(24);
    delete kept.checksum;
  });

  test("a run that was stopped goes on where it was, and tells what its first part had found", async () => {
    for (const n of [0, 4, 11]) await drop(mirror.tree, file(n, "zip"));
    // Dies while it reads the eighth zip; the clock makes each batch worth a note.
    let read = 0;
    const zips = {
      threads: 1,
      hash: async (...args: Parameters<typeof hashHere.hash>) => {
        mirror.clock.ms += 20_000;
        if (++read === 2) throw new Error("power cut");
        return await hashHere.hash(...args);
      },
    };
    await expect(deep({ zips })).rejects.toThrow("power cut");
    const item = await mirror.ledger.readItem("control", "scrub/deep/1of1");
    expect(item === undefined || item.value.finishedAt === undefined).toBe(true);
    const again = await deep();
    expect(again.names).toEqual([0, 4, 11].map((n) => `missing ${file(n, "zip")}`).sort());
    expect(again.counts.findings).toBe(3);
    const next = await deep();
    expect(next.run).not.toBe(again.run);
  });

  test("time that runs out leaves a cursor, and each later part does less; all is looked at once", async () => {
    const more = new MadeUpstream();
    const names = Array.from({ length: 200 }, (_, n) => `example.com/n${n}@v1.0.0`);
    for (const name of names) more.add(name);
    const large = new MadeMirror(more);
    await large.request({ wishes: names });
    for (const n of [3, 77, 150, 199]) await drop(large.tree, `example.com/n${n}/@v/v1.0.0.zip`);
    await plant(large.tree, "example.com/n5/@v/v1.2.0.mod", "x");
    // One of which the tree has nothing left must not fall behind a cursor unseen.
    for (const kept of ["@latest", "@v/list", "@v/v1.0.0.info", "@v/v1.0.0.mod", "@v/v1.0.0.zip"])
      await drop(large.tree, `example.com/n120/${kept}`);
    for (const level of ["deep", "quick"] as const) {
      const runs = new Set<string>();
      let rounds = 0;
      for (;;) {
        const part = await scrubbed(large, more, level, { deadline: { remaining: () => 0 } });
        runs.add(part.run);
        rounds++;
        if (!part.finished) continue;
        expect(part.counts).toMatchObject({ versions: 200 });
        expect(part.names.filter((name) => name.startsWith("missing"))).toHaveLength(4 + 3);
        expect(part.names.filter((name) => name.startsWith("unknown"))).toHaveLength(
          level === "quick" ? 1 : 0,
        );
        break;
      }
      expect(rounds).toBeGreaterThan(2);
      expect(runs.size).toBe(1);
    }
  });
});
