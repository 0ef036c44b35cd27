import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { moduleVersion } from "../../../gomod/version.ts";
import type { Vault } from "../../../mirror/ports.ts";
import { BLOCK_SIZE, LARGEST_BLOCK } from "../../../mirror/snapshot/block-writer.ts";
import { openSnapshot } from "../../../mirror/snapshot/open-snapshot.ts";
import { entryOf, parseEntry, printEntry } from "../../../mirror/snapshot/snapshot-entry.ts";
import { hashOfContent, parseHeader, printHeader } from "../../../mirror/snapshot/snapshot-header.ts";
import {
  isSnapshotName,
  parseMoment,
  snapshotKey,
  snapshotName,
} from "../../../mirror/snapshot/snapshot-name.ts";
import { rejectionOf } from "../../contract/rejection.ts";
import { entriesOf, namesOf, SnapshotWorld, START, wholeRecord } from "./snapshot-world.ts";

const LIMIT = 1 << 26;

/** The zstd command, where there is one: an implementation that is not ours, nor node's. */
const zstd = (() => {
  try {
    execFileSync("zstd", ["--version"]);
    return (bytes: Uint8Array) =>
      execFileSync("zstd", ["-d", "-c"], { input: bytes, maxBuffer: LIMIT }).toString("utf8");
  } catch {
    return undefined;
  }
})();

/** Modules of many sizes: some of one version, and one that alone fills several blocks. */
async function manyModules() {
  const world = new SnapshotWorld();
  const changes = [];
  for (let module = 0; module < 300; module++) {
    const versions = module === 150 ? 6_000 : 1 + (module % 17);
    for (let n = 0; n < versions; n++) {
      const path = `example.com/${"long/".repeat(module % 5)}m${String(module).padStart(3, "0")}`;
      changes.push({ record: wholeRecord(moduleVersion(path, `v1.${n}.0`)) });
    }
  }
  await world.ledger.write(changes);
  const note = Buffer.from("go.sum database tree\n7\nAAAA\n\n— sum.example.com AAAA\n");
  await world.ledger.addHead("sum.example.com", { size: 7, hash: Buffer.alloc(32), note });
  return { world, snapshot: await world.taken() };
}

describe("entries.zst", () => {
  test("is printed whole by the zstd command, a line of JSON for each entry, by module and version as bytes", async ({
    skip,
  }) => {
    if (zstd === undefined) return skip("zstd is not on PATH");
    const { world, snapshot } = await manyModules();
    const bytes = await world.vault.get(snapshotKey(snapshot.header.name, "entries.zst"), LIMIT);
    const text = zstd(bytes ?? new Uint8Array());
    const expected = await world.expected();
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ module, version }) => `${module}@${version}`)).toEqual(namesOf(expected));
    expect(lines[0]).toEqual({
      module: expected[0]?.path,
      version: expected[0]?.version,
      held: "whole",
      listed: true,
      modH1: expected[0]?.modH1,
      zipH1: expected[0]?.zipH1,
      modSha256: expected[0]?.modSha256,
      zipSha256: expected[0]?.zipSha256,
      infoSha256: expected[0]?.infoSha256,
      modSize: expected[0]?.modSize,
      zipSize: expected[0]?.zipSize,
      time: "2024-01-02T03:04:05Z",
      sumdb: expected[0]?.sumdb,
    });
    expect(createHash("sha256").update(text).digest("hex")).toBe(snapshot.header.content.entries);
    const index = await world.vault.get(snapshotKey(snapshot.header.name, "index.json.zst"), LIMIT);
    const { blocks } = JSON.parse(zstd(index ?? new Uint8Array()));
    expect(blocks.length).toBeGreaterThan(5);
    let end = 0;
    for (const { first, continued, offset, length, size } of blocks) {
      expect(offset).toBe(end);
      end = offset + length;
      const block = zstd(bytes?.subarray(offset, end) ?? new Uint8Array());
      expect(Buffer.byteLength(block)).toBe(size);
      expect(JSON.parse(block.slice(0, block.indexOf("\n"))).module).toBe(first);
      expect(size).toBeLessThan(LARGEST_BLOCK + BLOCK_SIZE);
      // A module lies in one block, unless it fills one of its own.
      if (continued === true) expect(first).toContain("m150");
    }
    expect(end).toBe(bytes?.byteLength);
    expect(blocks.some(({ continued }: { continued?: boolean }) => continued)).toBe(true);
  });

  test("any module is found by at most one read of the index and one of each block it lies in", async () => {
    const { world, snapshot } = await manyModules();
    const expected = Map.groupBy(await world.expected(), ({ path }) => path);
    const reads = { get: 0, read: 0 };
    const vault: Pick<Vault, "get" | "open"> = {
      get: (key, limit) => {
        reads.get++;
        return world.vault.get(key, limit);
      },
      open: async (key) => {
        const object = await world.vault.open(key);
        return (
          object && {
            ...object,
            read: (offset, length) => {
              reads.read++;
              return object.read(offset, length);
            },
          }
        );
      },
    };
    for (const [path, entries] of expected) {
      [reads.get, reads.read] = [0, 0];
      const opened = await openSnapshot(vault, snapshot.header.name);
      expect(await opened?.module(path)).toEqual(entries);
      // The header, the index, and the block; the one large module has some more.
      expect([path, reads.get, reads.read < (entries.length > 100 ? 6 : 2)]).toEqual([path, 2, true]);
    }
    for (const none of [
      "example.com/a",
      "example.com/m",
      "example.com/m0001",
      "zzz.example.com/z",
      "example.com/m150/x",
    ]) {
      const path = moduleVersion(none, "v1.0.0").path;
      expect([none, await snapshot.module(path)]).toEqual([none, []]);
    }
  });

  test("every entry that a ledger may hold is read back as it was written", async () => {
    const {
      zipH1: _h,
      zipSha256: _s,
      zipSize: _z,
      infoSha256: _i,
      sumdbRecords: _r,
      time: _t,
      ...bare
    } = wholeRecord(moduleVersion("github.com/Azure/azure-sdk-for-go", "v68.0.0+incompatible"));
    for (const record of [
      wholeRecord(moduleVersion("example.com/a", "v0.0.0-20240102030405-0123456789ab")),
      { ...bare, held: "mod" as const, listed: false },
      { ...wholeRecord(moduleVersion("example.com/a", "v1.0.0")), time: '2024-01-02T03:04:05"\\é+02:00' },
      {
        ...wholeRecord(moduleVersion("example.com/a", "v1.0.0")),
        sumdbRecords: { "sum.example.org/sub": 2 ** 50, "sum.example.com": 0 },
      },
      { ...wholeRecord(moduleVersion("example.com/a", "v1.0.0")), state: "BLOCKED" as const },
    ]) {
      const entry = entryOf(record);
      if (entry === undefined) throw new Error("no entry");
      expect(parseEntry(printEntry(entry))).toEqual(entry);
    }
  });
});

describe("what comes off a disc", () => {
  const good = printEntry(entryOf(wholeRecord(moduleVersion("example.com/a", "v1.0.0"))) ?? ({} as never));
  test.each([
    ["no JSON", "x"],
    ["a field more", good.replace("}}", '},"more":1}')],
    ["another order of fields", good.replace(/("listed":true,)("modH1":"[^"]+",)/, "$2$1")],
    ["a space", good.replace(",", ", ")],
    ["a path with dots", good.replace("example.com/a", "../../../etc")],
    ["a path with a backslash", good.replace("example.com/a", "example.com\\\\a")],
    ["a version that is none", good.replace("v1.0.0", "latest")],
    ["a version of another major", good.replace("v1.0.0", "v2.0.0")],
    ["an h1 that is none", good.replace(/"modH1":"h1:./, '"modH1":"h1:!')],
    [
      "a hash in capitals",
      good.replace(/"modSha256":"(.{64})"/, (_, hex) => `"modSha256":"${hex.toUpperCase()}"`),
    ],
    ["a negative size", good.replace(/"modSize":\d+/, '"modSize":-1')],
    ["a size that is no whole number", good.replace(/"modSize":\d+/, '"modSize":1.5')],
    ["whole without a zip", good.replace(/"zipH1":"[^"]+",/, "")],
    ["listed without being whole", good.replace('"whole"', '"mod"')],
  ])("an entry with %s is refused", (_, line) => {
    expect(line).not.toBe(good);
    expect(() => parseEntry(line)).toThrow();
    expect(() => parseEntry(good)).not.toThrow();
  });

  async function one() {
    const world = new SnapshotWorld();
    await world.hold("example.com/a@v1.0.0", "example.com/b@v1.0.0");
    const { header } = await world.taken();
    return { world, header };
  }

  test("a header that was changed anywhere is refused, and so is one under another name", async () => {
    const { header } = await one();
    const bytes = Buffer.from(printHeader(header));
    expect(printHeader(parseHeader(bytes, header.name))).toEqual(bytes);
    const text = bytes.toString();
    for (const other of [
      text.replace(/"entries": "./, '"entries": "0').replace(/"entries": "0(?=.)/, '"entries": "f'),
      text.replace('"blocks": []', '"blocks": [{"name":"x","reason":"y","by":"z","at":1}]'),
      text.replace("modferry-snapshot/1", "modferry-snapshot/2"),
      text.replace('"heads": {}', '"heads": {"sum.example.com": "x"}'),
      text.replace(/"until": \d/, '"until": 2'),
      text.replace("{", '{"more": 1,'),
      `${text.slice(0, -20)}`,
      "",
    ]) {
      expect(other).not.toBe(text);
      expect(() => parseHeader(Buffer.from(other), header.name)).toThrow(/snapshot\.json is damaged/);
    }
    const renamed = snapshotName(`20010101T000000Z${header.name.slice(16)}`);
    expect(() => parseHeader(bytes, renamed)).toThrow(/damaged/);
  });

  test("every flipped bit in the entries, the index or the tiles is damage, never another answer", async () => {
    const { world, header } = await one();
    const expected = await entriesOf(await world.open(header.name));
    for (const file of ["entries.zst", "index.json.zst"]) {
      const key = snapshotKey(header.name, file);
      const right = Buffer.from((await world.vault.get(key, LIMIT)) ?? []);
      for (let bit = 0; bit < right.byteLength * 8; bit += 5) {
        const wrong = Buffer.from(right);
        wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        await world.vault.put(key, wrong);
        const read = entriesOf(await world.open(header.name));
        const [answer] = await Promise.allSettled([read]);
        // zstd's frame has bits that mean nothing: then the content is the same.
        if (answer.status === "fulfilled") expect([file, bit, answer.value]).toEqual([file, bit, expected]);
        else expect([file, bit, answer.reason.class]).toEqual([file, bit, "malformed"]);
      }
      await world.vault.put(key, right);
    }
  });

  test("a small object that unpacks into a huge one is refused before it fills memory", async () => {
    const { zstdCompressSync } = await import("node:zlib");
    const { world, header } = await one();
    const huge = zstdCompressSync(Buffer.alloc(256 * 1024 * 1024));
    await world.vault.put(snapshotKey(header.name, "index.json.zst"), huge);
    const before = process.memoryUsage().rss;
    expect((await rejectionOf(entriesOf(await world.open(header.name)))).class).toBe("malformed");
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
  });

  test("objects that are missing are damage, and a missing header is no snapshot", async () => {
    const { world, header } = await one();
    await world.vault.remove(snapshotKey(header.name, "entries.zst"));
    const opened = await world.open(header.name);
    expect((await rejectionOf(opened.module(moduleVersion("example.com/a", "v1.0.0").path))).class).toBe(
      "malformed",
    );
    await world.vault.remove(snapshotKey(header.name, "snapshot.json"));
    expect(await openSnapshot(world.vault, header.name)).toBeUndefined();
  });
});

test("the hash is over entries, heads, tiles, blocks and the vulnerability database, and over no time", () => {
  const content = {
    heads: { "sum.example.com": "note" },
    blocks: [{ name: "example.com/a", reason: "bad", by: "me", at: START }],
    content: { entries: "0".repeat(64), tiles: { "sum.example.com": "1".repeat(64) } },
    vulndb: "vulndb/x",
  } as never as Parameters<typeof hashOfContent>[0];
  // The sentence of the format, spelled out by hand.
  const text = [
    '{"format":"modferry-snapshot/1"}',
    `{"entries":"${"0".repeat(64)}"}`,
    '{"head":"sum.example.com","note":"note"}',
    `{"tiles":"sum.example.com","sha256":"${"1".repeat(64)}"}`,
    `{"block":"example.com/a","reason":"bad","by":"me","at":${START}}`,
    '{"vulndb":"vulndb/x"}',
  ];
  const expected = createHash("sha256")
    .update(text.map((line) => `${line}\n`).join(""))
    .digest("hex");
  expect(hashOfContent(content)).toBe(expected);
});

test("names and moments are read in one spelling, and nothing else is one", () => {
  expect(isSnapshotName("20260131T235959Z-0123456789abcdef")).toBe(true);
  for (const text of [
    "",
    "latest",
    "20260131T235959Z",
    "20260131T235959Z-0123456789ABCDEF",
    "20261331T235959Z-0123456789abcdef",
    "../20260131T235959Z-0123456789abcdef",
    "20260131T235959Z-0123456789abcdef/",
  ])
    expect([text, isSnapshotName(text)]).toEqual([text, false]);
  const moment = Date.UTC(2026, 0, 31, 23, 59, 59);
  for (const text of ["20260131T235959Z", "2026-01-31T23:59:59Z", "2026-02-01T01:59:59+02:00"])
    expect([text, parseMoment(text)]).toEqual([text, moment]);
  for (const text of [
    "",
    "now",
    "2026-01-31",
    "2026-01-31T23:59:59",
    "20260131T235959",
    "20261331T235959Z",
    "1700000000",
  ])
    expect([text, parseMoment(text)]).toEqual([text, undefined]);
});

test("tiles that the tree holds are in the snapshot by their paths, of each database its own", async () => {
  const world = new SnapshotWorld();
  const paths = ["tile/8/0/000", "tile/8/0/x001/234", "tile/8/1/000.p/7"];
  for (const database of ["sum.example.com", "sum.example.org/sub", "sum.example.comx"]) {
    for (const path of database === "sum.example.com" ? paths : paths.slice(0, 1)) {
      const bytes = Buffer.from(`${database} ${path}`);
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      await world.tree.create(`sumdb/${database}/${path}` as never, bytes, sha256 as never);
    }
    const note = Buffer.from(`go.sum database tree\n7\nAAAA\n\n— ${database} AAAA\n`);
    await world.ledger.addHead(database, { size: 7, hash: Buffer.alloc(32), note });
  }
  const record = wholeRecord(moduleVersion("example.com/a", "v1.0.0"));
  const sumdbRecords = { "sum.example.com": 1, "sum.example.org/sub": 2 };
  await world.write({ ...record, sumdbRecords }, "listed");
  const snapshot = await world.taken();
  const tilesOf = async (database: string) => {
    const found: string[] = [];
    for await (const path of snapshot.tiles(database)) found.push(path);
    return found;
  };
  expect(await tilesOf("sum.example.com")).toEqual(paths);
  expect(await tilesOf("sum.example.org/sub")).toEqual(paths.slice(0, 1));
  expect(await tilesOf("sum.example.comx")).toEqual([]);
  expect(Object.values(snapshot.header.tiles).sort()).toEqual([
    "tiles-sum.example.com.zst",
    "tiles-sum.example.org~sub.zst",
  ]);
  expect(Object.keys(snapshot.header.files).sort()).toEqual([
    "entries.zst",
    "index.json.zst",
    "tiles-sum.example.com.zst",
    "tiles-sum.example.org~sub.zst",
  ]);
  for (const [file, { size, sha256 }] of Object.entries(snapshot.header.files)) {
    const bytes = (await world.vault.get(snapshotKey(snapshot.header.name, file), LIMIT)) ?? Buffer.of();
    expect([file, bytes.byteLength, createHash("sha256").update(bytes).digest("hex")]).toEqual([
      file,
      size,
      sha256,
    ]);
  }
});
