import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { MemoryVault } from "../../../adapters/local/memory-vault.ts";
import { readReport } from "../../../mirror/scrub/checksum-report.ts";
import { parseReportRow, rowsOf } from "../../../mirror/scrub/checksum-rows.ts";
import { collected, md5, reportObjects } from "./checksum-world.ts";
import { memoryRuns } from "./scrub-world.ts";

const KEY = "example.com/a/@v/v1.0.0.zip";
const HASHED = createHash("sha256").update("what lies there").digest();
const place = {
  treeBucket: "the-tree",
  vaultBucket: "the-vault",
  prefix: "scrub/run",
  job: "the-job",
  rows: 3,
};
/** The user guide's own example row, of another algorithm. */
const DOCUMENTED =
  'the-tree,example.com/a/%40v/v1.0.0.zip,,succeeded,200,,"{""checksum_base64"":""bS9TOQ\\u003d\\u003d"",""etag"":""3c3c1813042989094598e4b57ecbdc82"",""checksumAlgorithm"":""CRC32"",""checksumType"":""FULL_OBJECT"",""checksum_hex"":""6D2F5339""}"';
const row = (change: Record<string, unknown> = {}) => {
  const result = {
    checksum_base64: HASHED.toString("base64"),
    etag: "3c3c1813042989094598e4b57ecbdc82",
    checksumAlgorithm: "SHA256",
    checksumType: "FULL_OBJECT",
    checksum_hex: HASHED.toString("hex").toUpperCase(),
    ...change,
  };
  return `the-tree,${KEY},,succeeded,200,,"${JSON.stringify(result).replaceAll('"', '""')}"`;
};

describe("a row of a completion report", () => {
  test("as Python's csv and json write it is read, in either order of its codes and with any quoting", () => {
    const program = `
import csv, io, json, sys
given = json.load(sys.stdin)
out = []
for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
    for codes in (["200", ""], ["", "200"]):
        text = io.StringIO()
        csv.writer(text, lineterminator="", quoting=quoting).writerow(
            [given["bucket"], given["key"], "a-version", "succeeded", *codes, json.dumps(given["result"])])
        out.append(text.getvalue())
json.dump(out, sys.stdout)`;
    const result = {
      checksum_base64: HASHED.toString("base64"),
      checksum_hex: HASHED.toString("hex").toUpperCase(),
      etag: '"an etag"',
      checksumAlgorithm: "SHA256",
      checksumType: "FULL_OBJECT",
      unknown: "is left out",
    };
    const input = JSON.stringify({ bucket: "the-tree", key: KEY, result });
    const rows = JSON.parse(
      execFileSync("python3", ["-c", program], { input, encoding: "utf8" }),
    ) as string[];
    expect(rows).toHaveLength(4);
    for (const text of rows)
      expect(parseReportRow(text, "the-tree")).toEqual({
        key: KEY,
        sha256: HASHED.toString("hex"),
        etag: "an etag",
      });
  });

  test("as documented of a failed task says why, though it is no CSV, and whether the key was not found", () => {
    const failed = (message: string, code: string) =>
      `the-tree,${KEY},,failed,200,PermanentFailure,"error details: {""failureMessage"":"Task 2845ca0d-38d9-4c4b-abcf-379dc749c452 ${message}", ""errorCode"": "${code}"}"`;
    expect(parseReportRow(failed("Key not found", "404"), "the-tree")).toMatchObject({
      key: KEY,
      isMissing: true,
    });
    const internal = parseReportRow(failed("Internal server error, please retry", "500"), "the-tree");
    expect(internal).toMatchObject({ key: KEY, isMissing: false });
    expect("failure" in internal && internal.failure).toMatch(
      /^PermanentFailure: error details: .*Internal server error/,
    );
    const long = parseReportRow(
      `the-tree,${KEY},,failed,,AccessDenied,${"x\u0007\u2028".repeat(5_000)}`,
      "the-tree",
    );
    expect("failure" in long && long.failure).toMatch(/^AccessDenied: [\x20-\x7e]{1,290}$/);
  });

  test.each<[string, string]>([
    [DOCUMENTED, "checksumAlgorithm"],
    [row({ checksumType: "COMPOSITE" }), "checksumType"],
    [row({ checksum_base64: 7 }), "checksum_base64"],
    [row({ checksum_base64: HASHED.subarray(1).toString("base64") }), "no SHA-256"],
    [row({ checksum_base64: `${HASHED.toString("base64")} ` }), "no SHA-256"],
    [row({ checksum_base64: `${HASHED.toString("base64").slice(0, -1)}-3` }), "no SHA-256"],
    [row({ checksum_hex: "00".repeat(32) }), "is not its checksum_base64"],
    [row().replace("the-tree", "another"), "another bucket"],
    [row().replace(KEY, "example.com/a/@v/../../x"), "no file of a GOPROXY tree"],
    [row().replace(KEY, "sumdb/%00"), "no file of a GOPROXY tree"],
    [row().replace(",succeeded,", ",Succeeding,"), "task status"],
    [`the-tree,${KEY},,succeeded,200,,`, "no JSON"],
    [`the-tree,${KEY},,succeeded,200,,[[[[`, "no JSON"],
    [`the-tree,${KEY},,succeeded,200`, "fewer than seven columns"],
    [`the-tree,"${KEY},,succeeded,200,,`, "quotes"],
    ["", "fewer than seven columns"],
  ])("%s is refused", (text, why) => {
    expect(() => parseReportRow(text, "the-tree")).toThrow(why);
  });

  test.each([1, 2, 7, 100_000])(
    "is found in pieces of %i bytes, with line ends of its own or within quotes",
    async (size) => {
      const rows = [`a,b,,failed,,X,"one\ntwo"`, "a,c,,failed,,X,é", "a,d,,failed,,X,last"];
      const bytes = Buffer.from(`${rows[0]}\n${rows[1]}\r\n\n${rows[2]}`);
      async function* pieces() {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      }
      expect(await collected(rowsOf(pieces()))).toEqual(rows);
    },
  );

  test.each<[string, () => AsyncGenerator<Uint8Array>]>([
    [
      "without an end",
      async function* () {
        for (;;) yield Buffer.alloc(10_000, "x");
      },
    ],
    [
      "whose quotes never end",
      async function* () {
        yield Buffer.from('"');
        for (;;) yield Buffer.alloc(10_000, "x\n");
      },
    ],
  ])("%s is given up", async (_what, endless) => {
    await expect(collected(rowsOf(endless()))).rejects.toThrow("too long");
  });
});

describe("a completion report", () => {
  const tasks = [
    { key: "example.com/b/%40v/v1.0.0.zip", bytes: Buffer.from("b"), etag: "e" },
    { key: "example.com/a/%40v/v1.0.0.zip", bytes: Buffer.from("a") },
    { key: "example.com/c/%40v/v1.0.0.zip" },
  ];
  const INDEX = "scrub/run/job-the-job/manifest.json";

  async function read(change: (objects: Map<string, Buffer>) => void = () => {}, rows = place.rows) {
    const objects = reportObjects(place, tasks);
    change(objects);
    const vault = new MemoryVault();
    for (const [key, bytes] of objects) await vault.put(key, bytes);
    const report = await readReport({ vault, runs: memoryRuns, keep: async () => {} }, { ...place, rows });
    return report && (await collected(report.files()));
  }

  /** Changes the index as a whole. */
  const index =
    (change: (index: { Results: Record<string, unknown>[] } & Record<string, unknown>) => void) =>
    (objects: Map<string, Buffer>) => {
      const json = JSON.parse(objects.get(INDEX)?.toString() ?? "");
      change(json);
      objects.set(INDEX, Buffer.from(JSON.stringify(json)));
    };

  test("is read, all its parts, sorted by key", async () => {
    expect(await read()).toEqual([
      {
        key: "example.com/a/@v/v1.0.0.zip",
        sha256: createHash("sha256").update("a").digest("hex"),
        etag: "",
      },
      {
        key: "example.com/b/@v/v1.0.0.zip",
        sha256: createHash("sha256").update("b").digest("hex"),
        etag: "e",
      },
      {
        key: "example.com/c/@v/v1.0.0.zip",
        isMissing: true,
        failure: expect.stringContaining("Key not found"),
      },
    ]);
  });

  test("without the job's prefix in the names of its parts, as in the documentation's example, is read too", async () => {
    const unprefixed = index(({ Results }) => {
      for (const part of Results) part.Key = String(part.Key).replace("scrub/run/", "");
    });
    expect(await read(unprefixed)).toHaveLength(3);
  });

  test("that was never written is none", async () => {
    expect(await read((objects) => objects.clear())).toBeUndefined();
  });

  const firstPart = (objects: Map<string, Buffer>): [string, Buffer] =>
    [...objects].find(([key]) => key.endsWith(".csv")) ?? ["", Buffer.of()];
  /** Another part, with its MD5. */
  const part = (change: (text: string) => string) => (objects: Map<string, Buffer>) => {
    const [key, bytes] = firstPart(objects);
    const changed = Buffer.from(change(bytes.toString()));
    objects.set(key, changed);
    index(({ Results }) => {
      for (const result of Results) if (result.Key === key) result.MD5Checksum = md5(changed);
    })(objects);
  };

  test.each<[string, (objects: Map<string, Buffer>) => void, string]>([
    ["of no JSON", (objects) => objects.set(INDEX, Buffer.from("{")), "no JSON"],
    ["of bytes that are no text", (objects) => objects.set(INDEX, Buffer.of(0xff, 0xfe)), "no JSON"],
    ["of 5 MB", (objects) => objects.set(INDEX, Buffer.alloc(5 << 20, " ")), "larger than"],
    [
      "of another format",
      index((json) => {
        json.Format = "Report_CSV_2030";
      }),
      "Format",
    ],
    [
      "of other columns",
      index((json) => {
        json.ReportSchema = "Key, Bucket";
      }),
      "ReportSchema",
    ],
    [
      "of 10,001 parts",
      index((json) => {
        json.Results = Array(10_001).fill(json.Results[0]);
      }),
      "Results",
    ],
    [
      "of a part elsewhere",
      index(({ Results }) => {
        Object.assign(Results[0] ?? {}, { Bucket: "another" });
      }),
      "outside of this job",
    ],
    [
      "of another job's part",
      index(({ Results }) => {
        Object.assign(Results[0] ?? {}, { Key: "scrub/run/job-other/results/x.csv" });
      }),
      "outside of this job",
    ],
    [
      "of a part above it",
      index(({ Results }) => {
        Object.assign(Results[0] ?? {}, { Key: "scrub/run/job-the-job/../x.csv" });
      }),
      "outside of this job",
    ],
    ["of a part that is not there", (objects) => objects.delete(firstPart(objects)[0]), "not there"],
    [
      "of a part with another MD5",
      (objects) =>
        objects.set(
          firstPart(objects)[0],
          Buffer.from(firstPart(objects)[1].toString().replace("etag", "etat")),
        ),
      "another MD5",
    ],
    [
      "of a row of another bucket",
      part((text) => text.replace("the-tree", "other")),
      "row 1: names another bucket",
    ],
    ["of half a row", part((text) => text.slice(0, -20)), "row"],
    ["of a row of 1 MB", part((text) => `${"x".repeat(1 << 20)}${text}`), "too long"],
  ])("%s is refused as a whole", async (_what, change, why) => {
    await expect(read(change)).rejects.toThrow(why);
  });

  test("of more rows than its job had tasks is refused", async () => {
    await expect(read(part((text) => text.repeat(5)))).rejects.toThrow("more rows than the manifest");
  });

  test("that starts with the columns' names is read", async () => {
    const named = part(
      (text) => `Bucket,Key,VersionId,TaskStatus,ErrorCode,HTTPStatusCode,ResultMessage\n${text}`,
    );
    expect(await read(named)).toHaveLength(3);
  });
});
