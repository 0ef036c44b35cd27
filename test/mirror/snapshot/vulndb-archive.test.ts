import { zstdDecompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { type VulndbFile, vulndbKey } from "../../../mirror/vulndb-keys.ts";
import { entriesOf, namesOf, SnapshotWorld } from "./snapshot-world.ts";

/** Puts a made vulnerability database into the tree, as mirrorVulndb leaves it. */
async function mirrored(world: SnapshotWorld, modified: string, entries: readonly string[]): Promise<void> {
  const files: Record<string, unknown> = {
    "index/db": { modified },
    "index/vulns": entries.map((id) => ({ id, modified })),
    "index/modules": [],
  };
  for (const id of entries) files[`ID/${id}`] = { id, modified, summary: `ünïcode of ${id}` };
  for (const [file, value] of Object.entries(files))
    for (const form of ["json", "json.gz"] as const) {
      const key = vulndbKey(file as VulndbFile, form);
      const stored = await world.tree.get(key, 1 << 20);
      // What the packed form holds is not looked at.
      await world.tree.replace(key, Buffer.from(JSON.stringify(value)), stored?.etag);
    }
}

test("a snapshot names the vulnerability database of its moment, archived once for each state", async () => {
  const world = new SnapshotWorld();
  await world.hold("example.com/a@v1.0.0");
  expect((await world.taken()).header.vulndb).toBeUndefined();
  await mirrored(world, "2026-11-20T01:02:03.5Z", ["GO-2026-0001", "GO-2026-0002"]);
  world.now += 1_000;
  const first = await world.taken();
  expect(first.header).toMatchObject({ vulndbModified: "2026-11-20T01:02:03.5Z" });
  expect(first.header.vulndb).toMatch(/^vulndb\/20261120T010203Z-[0-9a-f]{16}\.ndjson\.zst$/);
  const archived = await world.vault.get(first.header.vulndb ?? "", 1 << 20);
  const lines = zstdDecompressSync(archived ?? Buffer.of())
    .toString("utf8")
    .trimEnd()
    .split("\n");
  const files = lines.map((line) => JSON.parse(line) as { file: string; text: string });
  expect(files.map(({ file }) => file)).toEqual([
    "ID/GO-2026-0001.json",
    "ID/GO-2026-0002.json",
    "index/db.json",
    "index/modules.json",
    "index/vulns.json",
  ]);
  for (const { file, text } of files) {
    const stored = await world.tree.get(`-/vulndb/${file}` as never, 1 << 20);
    expect(Buffer.from(text).equals(stored?.bytes ?? Buffer.of())).toBe(true);
  }
  // Another version, the same database: it is not read again.
  const get = world.tree.get.bind(world.tree);
  const asked: string[] = [];
  world.tree.get = async (key, limit) => {
    asked.push(key);
    return await get(key, limit);
  };
  world.now += 1_000;
  await world.hold("example.com/b@v1.0.0");
  const second = await world.taken();
  expect(second.header.vulndb).toBe(first.header.vulndb);
  expect(asked.filter((key) => key.includes("/ID/"))).toEqual([]);
  // Another database, the same versions: that alone is a change.
  await mirrored(world, "2026-11-21T01:02:03Z", ["GO-2026-0001", "GO-2026-0002", "GO-2026-0003"]);
  world.now += 86_400_000;
  const third = await world.taken();
  expect(third.header.vulndb).not.toBe(first.header.vulndb);
  expect(third.header.hash).not.toBe(second.header.hash);
  expect(await world.keys("vulndb/")).toHaveLength(2);
  expect(namesOf(await entriesOf(third))).toEqual(["example.com/a@v1.0.0", "example.com/b@v1.0.0"]);
});

test("one that is replaced while it is archived is archived as it is then, never half of each", async () => {
  const world = new SnapshotWorld();
  await world.hold("example.com/a@v1.0.0");
  await mirrored(world, "2026-11-20T01:02:03Z", ["GO-2026-0001"]);
  const keys = world.tree.keys.bind(world.tree);
  let replaced = false;
  world.tree.keys = async function* (after) {
    for await (const entry of keys(after)) {
      yield entry;
      if (replaced || !entry.key.startsWith("-/vulndb/ID/")) continue;
      replaced = true;
      await mirrored(world, "2026-11-22T01:02:03Z", ["GO-2026-0001", "GO-2026-0009"]);
    }
  };
  const { header } = await world.taken();
  expect(header.vulndbModified).toBe("2026-11-22T01:02:03Z");
  const archived = await world.vault.get(header.vulndb ?? "", 1 << 20);
  const text = zstdDecompressSync(archived ?? Buffer.of()).toString("utf8");
  expect(text).toContain("GO-2026-0009");
  expect(text).not.toContain("2026-11-20");
  expect(await world.keys("vulndb/")).toHaveLength(1);
});
