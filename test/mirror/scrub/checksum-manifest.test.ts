import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { MemoryVault } from "../../../adapters/local/memory-vault.ts";
import { parseModuleVersion } from "../../../gomod/version.ts";
import { type Sha256, sha256Of } from "../../../mirror/body.ts";
import type { VersionRecord } from "../../../mirror/records.ts";
import {
  decodeKey,
  encodeKey,
  readManifest,
  writeManifest,
} from "../../../mirror/scrub/checksum-manifest.ts";
import { moduleOrder, parseShard, WHOLE } from "../../../mirror/scrub/tree-order.ts";
import { infoKey, modKey, type TreeKey, zipKey } from "../../../mirror/tree-keys.ts";
import { collected } from "./checksum-world.ts";
import { memoryRuns } from "./scrub-world.ts";

const NAMES = [
  "github.com/BurntSushi/toml@v1.3.2",
  "github.com/gofrs/uuid@v4.4.0+incompatible",
  "example.com/a@v1.0.0",
  "example.com/a-b@v1.0.0",
  "example.com/a/b@v1.0.0-RC.1",
  "example.com/a~b_c.d@v0.0.0-20200101000000-abcdefabcdef",
  "gopkg.in/yaml.v3@v3.0.1",
];
const BUCKET = "mirror-tree-123456789012-eu-central-1";
const sha256 = (text: string): Sha256 => sha256Of(Buffer.from(text));

/** What the ledger says of a version that is held. */
function recordOf(name: string, more: Partial<VersionRecord> = {}): VersionRecord {
  const version = parseModuleVersion(name);
  return {
    ...version,
    state: "READY",
    held: "whole",
    modSha256: sha256(modKey(version)),
    zipSha256: sha256(zipKey(version)),
    infoSha256: sha256(infoKey(version)),
    sumdbRecords: { "sum.example.org": 1 },
    ...more,
  } as unknown as VersionRecord;
}

async function written(records: readonly VersionRecord[], shard = WHOLE) {
  const vault = new MemoryVault();
  const ledger = {
    records: async function* () {
      yield* records;
    },
  };
  const spool = async (chunks: AsyncIterable<Uint8Array>) => Buffer.concat(await collected(chunks));
  const manifest = await writeManifest(
    { ledger, vault, runs: memoryRuns, spool },
    { bucket: BUCKET, key: "scrub/run/manifest.csv", shard },
    async () => {},
  );
  return { vault, manifest, text: Buffer.from((await vault.get(manifest.key, 1 << 24)) ?? "").toString() };
}

const python = (program: string, input: unknown): unknown =>
  JSON.parse(execFileSync("python3", ["-c", program], { input: JSON.stringify(input), encoding: "utf8" }));

describe("the manifest of a checksum job", () => {
  const keys = NAMES.map(parseModuleVersion).flatMap((version) => [
    infoKey(version),
    modKey(version),
    zipKey(version),
  ]);

  test("is byte for byte what Python's csv and urllib write of the same files, sorted by key", async () => {
    const program = `
import csv, io, json, sys, urllib.parse
bucket, files = json.load(sys.stdin)
out = io.StringIO()
rows = csv.writer(out, lineterminator="\\n")
for key in sorted(files, key=lambda key: key.encode()):
    rows.writerow([bucket, urllib.parse.quote(key), files[key]])
json.dump(out.getvalue(), sys.stdout)`;
    const files = Object.fromEntries(keys.map((key) => [key, sha256(key)]));
    const { text, manifest } = await written(NAMES.map((name) => recordOf(name)));
    expect(text).toBe(python(program, [BUCKET, files]));
    expect(manifest.rows).toBe(keys.length);
    expect(text).toContain("v4.4.0%2Bincompatible.zip");
  });

  test("is read back as what Python's csv and urllib read of it", async () => {
    const program = `
import csv, io, json, sys, urllib.parse
rows = csv.reader(io.StringIO(json.load(sys.stdin)))
json.dump([{"key": urllib.parse.unquote_plus(row[1]), "sha256": row[2]} for row in rows], sys.stdout)`;
    const { text, manifest, vault } = await written(NAMES.map((name) => recordOf(name)));
    const rows = await collected(readManifest(vault, BUCKET, manifest));
    expect(rows).toEqual(python(program, text));
    expect(rows.map(({ key }) => key)).toEqual([...keys].sort());
  });

  test("a key is found again in whatever spelling a service reports it", () => {
    const program = `
import json, sys, urllib.parse
json.dump([[urllib.parse.quote(key), urllib.parse.quote(key, safe=""), urllib.parse.quote_plus(key), key]
           for key in json.load(sys.stdin)], sys.stdout)`;
    const spelled = python(program, keys) as string[][];
    for (const [at, spellings] of spelled.entries()) {
      expect(encodeKey(keys[at] as TreeKey)).toBe(spellings[0]);
      for (const spelling of spellings) expect(decodeKey(spelling)).toBe(keys[at]);
    }
    for (const wrong of [
      "",
      "%",
      "%ff",
      "../a/@v/v1.0.0.mod",
      "a/@v/v1.0.0.exe",
      "example.com/A/@v/v1.0.0.mod",
    ])
      expect(decodeKey(wrong)).toBeUndefined();
  });

  test("has what is held and hashed: no lookups, nothing on its way out, of a go.mod alone only that", async () => {
    const { text } = await written([
      recordOf("example.com/whole@v1.0.0"),
      recordOf("example.com/mod@v1.0.0", { held: "mod", infoSha256: undefined as never }),
      recordOf("example.com/nothing@v1.0.0", { held: "nothing" }),
      recordOf("example.com/going@v1.0.0", { state: "REMOVING" }),
      recordOf("example.com/unhashed@v1.0.0", {
        modSha256: undefined as never,
        held: "mod",
        infoSha256: undefined as never,
      }),
    ]);
    expect(text.split("\n").map((row) => row.split(",")[1])).toEqual([
      "example.com/mod/%40v/v1.0.0.mod",
      "example.com/whole/%40v/v1.0.0.info",
      "example.com/whole/%40v/v1.0.0.mod",
      "example.com/whole/%40v/v1.0.0.zip",
      undefined,
    ]);
  });

  test("of all parts together is that of the whole, each module in one", async () => {
    const records = NAMES.map((name) => recordOf(name));
    const parts = await Promise.all(
      ["1/3", "2/3", "3/3"].map(async (text) => (await written(records, parseShard(text))).text),
    );
    const rows = parts.flatMap((text) => text.split("\n")).filter((row) => row !== "");
    const whole = (await written(records)).text.split("\n").filter((row) => row !== "");
    expect(rows.sort()).toEqual(whole.sort());
    for (const { path } of records) {
      const start = encodeURIComponent(moduleOrder(path)).replaceAll("%2F", "/").replaceAll("!", "%21");
      expect(parts.filter((text) => text.includes(`,${start}`))).toHaveLength(1);
    }
  });

  test.each<[string, (text: string) => string]>([
    ["exchanged", (text) => text.replace("/%40v/v1", "/%40v/v2")],
    ["cut", (text) => text.slice(0, -1)],
  ])("that was %s in the vault is not gone by", async (_how, change) => {
    const { vault, manifest, text } = await written([recordOf(NAMES[2] ?? "")]);
    await vault.put(manifest.key, Buffer.from(change(text)));
    await expect(collected(readManifest(vault, BUCKET, manifest))).rejects.toThrow("was exchanged");
  });

  test.each<[string, (text: string) => string]>([
    ["a row less", (text) => text.slice(text.indexOf("\n") + 1)],
    ["a row twice", (text) => text.slice(0, text.indexOf("\n") + 1) + text],
    ["another bucket", (text) => text.replace(BUCKET, "other")],
    ["no SHA-256", (text) => text.replace(/[0-9a-f]\n/, "g\n")],
    ["a column more", (text) => text.replace("\n", ",x\n")],
    ["half a row", (text) => text.slice(0, -1)],
    ["a row without an end", () => `${BUCKET},${"a".repeat(10_000)}`],
  ])("with %s is refused, whatever its ETag says", async (_how, change) => {
    const { vault, manifest, text } = await written([recordOf(NAMES[2] ?? "")]);
    await vault.put(manifest.key, Buffer.from(change(text)));
    const etag = (await vault.open(manifest.key))?.etag ?? "";
    const reading = collected(readManifest(vault, BUCKET, { ...manifest, etag }));
    await expect(reading).rejects.toMatchObject({ class: "mismatch" });
  });
});
