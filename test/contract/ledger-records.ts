import { createHash } from "node:crypto";
import { expect, test, vi } from "vitest";
import { type ModuleVersion, moduleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import type { JournalEntry, RecordChange } from "../../mirror/ledger-entries.ts";
import type { VersionRecord } from "../../mirror/records.ts";
import type { LedgerFixture } from "./ledger-contract.ts";
import { freshRecord, NOW } from "./ledger-samples.ts";
import { rejectionOf } from "./rejection.ts";

export { freshRecord };

/** How long an index may lag behind what was written. */
const LAG = { timeout: 10_000, interval: 50 };
const RACERS = 32;

function h1Of(text: string): NonNullable<VersionRecord["modH1"]> {
  return `h1:${createHash("sha256").update(text).digest("base64")}` as NonNullable<VersionRecord["modH1"]>;
}

/** A record with every field set, so that nothing is lost on the way. */
function fullRecord(version: ModuleVersion): VersionRecord {
  return {
    ...freshRecord(version),
    state: "FAILED",
    held: "mod",
    listed: true,
    modH1: h1Of("mod"),
    zipH1: h1Of("zip"),
    modSha256: sha256Of(Buffer.from("mod")),
    zipSha256: sha256Of(Buffer.from("zip")),
    infoSha256: sha256Of(Buffer.from("info")),
    modSize: 0,
    zipSize: 524_288_000,
    time: "2024-01-02T03:04:05.123456789+02:00",
    sumdbRecords: { "sum.example.com": 2 ** 40 + 1, "sum.example.org/a-b_c": 0 },
    attempts: 3,
    failingSince: NOW - 5,
    lastError: { class: "transient", message: `ü "quoted" 'it' \\ ${"x".repeat(180)}` },
  };
}

/** Tests of version records; each has modules of its own. */
export function ledgerRecordTests(fixture: () => LedgerFixture): void {
  const versionsOf = (path: string, count: number) =>
    Array.from({ length: count }, (_, n) => moduleVersion(path, `v1.${n}.0`));
  const stored = async (record: VersionRecord): Promise<VersionRecord> => {
    const [answer] = await fixture().ledger.write([{ record }]);
    if (answer === undefined || answer === "changed") throw new Error(`not written: ${answer}`);
    return answer;
  };
  const journalOf = async (path: string) =>
    (await fixture().journal?.())?.filter((e) => e.version.path === path);

  test("a record is read back field by field, with its new revision", async () => {
    for (const version of [
      moduleVersion("example.com/fields", "v1.0.0"),
      moduleVersion("github.com/Azure/azure-sdk-for-go", "v68.0.0+incompatible"),
      moduleVersion(
        `example.com/${"deep/".repeat(40)}${"x".repeat(87)}`,
        `v1.0.0-${"a1b2c3d4e5".repeat(19)}`,
      ),
    ]) {
      const record = fullRecord(version);
      const written = await stored(record);
      expect(written).toEqual({ ...record, revision: 1 });
      expect(await fixture().ledger.read([version])).toEqual([written]);
      expect(await (fixture().other ?? fixture().ledger).read([version])).toEqual([written]);
    }
  });

  test("fields that a record no longer has are gone", async () => {
    const version = moduleVersion("example.com/gone-fields", "v1.0.0");
    const { revision } = await stored({ ...fullRecord(version), due: NOW + 1e9 });
    const bare = { ...freshRecord(version), revision };
    expect(await stored(bare)).toEqual({ ...bare, revision: 2 });
    expect(await fixture().ledger.read([version])).toEqual([{ ...bare, revision: 2 }]);
  });

  test("read answers in the order asked, undefined where there is none, with keys asked twice", async () => {
    const [a, b, c] = versionsOf("example.com/order", 3) as [ModuleVersion, ModuleVersion, ModuleVersion];
    await fixture().ledger.write([{ record: freshRecord(a) }, { record: freshRecord(c) }]);
    const versions = (await fixture().ledger.read([c, b, a, c])).map((record) => record?.version);
    expect(versions).toEqual([c.version, undefined, a.version, c.version]);
    expect(await fixture().ledger.read([])).toEqual([]);
    expect(await fixture().ledger.write([])).toEqual([]);
  });

  test("1,100 records are written and read in one call each", async () => {
    const versions = versionsOf("example.com/many", 1100);
    const written = await fixture().ledger.write(
      versions.map((version) => ({ record: freshRecord(version) })),
    );
    expect(written.filter((answer) => answer !== "changed" && answer.revision === 1)).toHaveLength(1100);
    expect(await fixture().ledger.read(versions)).toEqual(written);
    const all = new Set<string>();
    for await (const record of fixture().ledger.records()) all.add(`${record.path}@${record.version}`);
    for (const { path, version } of versions) expect(all.has(`${path}@${version}`)).toBe(true);
  });

  test("records go on from behind any one that they have given", async () => {
    const versions = Array.from({ length: 12 }, (_, n) =>
      moduleVersion(`example.com/after/${n % 3}`, `v1.${n}.0`),
    );
    for (const version of versions) await stored(freshRecord(version));
    const names = async (after?: VersionRecord) => {
      const found: string[] = [];
      for await (const { path, version } of fixture().ledger.records(after)) found.push(`${path}@${version}`);
      return found;
    };
    const all = await names();
    expect(await names()).toEqual(all);
    for await (const record of fixture().ledger.records()) {
      if (!record.path.startsWith("example.com/after/")) continue;
      expect(await names(record)).toEqual(all.slice(all.indexOf(`${record.path}@${record.version}`) + 1));
    }
  });

  test.each([
    ["due", { due: NOW + 0.5 }],
    ["wantedAt", { wantedAt: NOW - 0.001 }],
    ["failingSince", { failingSince: Number.NaN }],
    ["removal.since", { removal: { since: Number.POSITIVE_INFINITY } }],
  ])(
    "a time that is no whole number of milliseconds is refused, and nothing is stored: %s",
    async (field, fields) => {
      const [good, bad] = versionsOf(`example.com/whole/${field.replace(".", "-")}`, 2) as [
        ModuleVersion,
        ModuleVersion,
      ];
      const changes = [{ record: freshRecord(good) }, { record: { ...freshRecord(bad), ...fields } }];
      const error = await rejectionOf(fixture().ledger.write(changes));
      expect([error.class, error.message]).toEqual(["misuse", expect.stringContaining("no whole number")]);
      expect(await fixture().ledger.read([good, bad])).toEqual([undefined, undefined]);
    },
  );

  test("readModule gives all records of one module and none of another", async () => {
    const names = [
      "example.com/module",
      "example.com/module/v2",
      "example.com/module/sub",
      "example.com/modul",
    ];
    const versions = names.map((path) => moduleVersion(path, path.endsWith("v2") ? "v2.0.0" : "v1.0.0"));
    const second = moduleVersion("example.com/module", "v1.5.0");
    await fixture().ledger.write([...versions, second].map((version) => ({ record: freshRecord(version) })));
    const found = await fixture().ledger.readModule(second.path);
    expect(found.map((record) => `${record.path}@${record.version}`).sort()).toEqual([
      "example.com/module@v1.0.0",
      "example.com/module@v1.5.0",
    ]);
    expect(await fixture().ledger.readModule(moduleVersion("example.com/mod", "v1.0.0").path)).toEqual([]);
  });

  test("a write that names another revision than the stored one is `changed` and does nothing", async () => {
    const version = moduleVersion("example.com/revision", "v1.0.0");
    expect(await fixture().ledger.write([{ record: { ...freshRecord(version), revision: 1 } }])).toEqual([
      "changed",
    ]);
    expect(await fixture().ledger.read([version])).toEqual([undefined]);
    const first = await stored(freshRecord(version));
    expect(await fixture().ledger.write([{ record: freshRecord(version) }])).toEqual(["changed"]);
    const second = await stored({ ...first, state: "READY" });
    expect(second.revision).toBe(2);
    expect(await fixture().ledger.write([{ record: { ...first, state: "GONE" } }])).toEqual(["changed"]);
    expect(await fixture().ledger.read([version])).toEqual([second]);
  });

  test("changes of one write are independent: one that is `changed` does not undo its neighbours", async () => {
    const [a, b, c] = versionsOf("example.com/neighbours", 3) as [
      ModuleVersion,
      ModuleVersion,
      ModuleVersion,
    ];
    await stored(freshRecord(b));
    const answers = await fixture().ledger.write(
      [a, b, c].map((version) => ({ record: freshRecord(version) })),
    );
    expect(answers.map((answer) => (answer === "changed" ? answer : answer.version))).toEqual([
      a.version,
      "changed",
      c.version,
    ]);
    expect(await fixture().ledger.read([a, c])).toEqual([answers[0], answers[2]]);
  });

  test(`of ${RACERS} writers that read the same revision one wins`, async () => {
    const version = moduleVersion("example.com/race", "v1.0.0");
    const first = await stored(freshRecord(version));
    const { ledger, other = ledger } = fixture();
    const race = Array.from({ length: RACERS }, (_, racer) =>
      (racer % 2 ? ledger : other).write([{ record: { ...first, attempts: racer } }]),
    );
    const winners = (await Promise.all(race)).flat().filter((answer) => answer !== "changed");
    expect(winners).toHaveLength(1);
    expect(await ledger.read([version])).toEqual(winners);
  });

  test("a record is forgotten at its revision alone; its journal stays, and the version can come anew", async () => {
    const { ledger, other = ledger } = fixture();
    const path = "example.com/forgotten";
    const [gone, changed, never] = versionsOf(path, 3) as [ModuleVersion, ModuleVersion, ModuleVersion];
    const removed = (version: ModuleVersion): VersionRecord => {
      const { due: _due, ...fresh } = freshRecord(version);
      return { ...fresh, state: "REMOVED", removedAt: NOW };
    };
    const journal: JournalEntry = { event: "removed", version: gone, at: NOW };
    const [first] = await ledger.write([{ record: removed(gone), journal }]);
    const second = await stored(removed(changed));
    await stored({ ...second, wanted: "whole" });
    expect(first).toMatchObject({ removedAt: NOW, revision: 1 });
    const asked = [first as VersionRecord, second, removed(never)];
    const counts = await Promise.all([ledger.forget(asked), other.forget(asked)]);
    expect(counts.sort()).toEqual([0, 1]);
    expect(await ledger.read([gone, changed, never])).toEqual([
      undefined,
      { ...second, wanted: "whole", revision: 2 },
      undefined,
    ]);
    expect((await ledger.readModule(second.path)).map(({ version }) => version)).toEqual([changed.version]);
    await vi.waitFor(async () => {
      const found = await ledger.inState("REMOVED", { limit: 1_000 });
      expect(found.filter((record) => record.path === path)).toHaveLength(1);
    }, LAG);
    if (fixture().journal !== undefined) expect(await journalOf(path)).toEqual([journal]);
    expect(await stored(removed(gone))).toMatchObject({ revision: 1 });
    expect(await ledger.forget([])).toBe(0);
  });

  test("a change and its journal line are written together or not at all", async () => {
    const [a, b] = versionsOf("example.com/journal", 2) as [ModuleVersion, ModuleVersion];
    const entry = (version: ModuleVersion, event: JournalEntry["event"], at: number): JournalEntry => ({
      event,
      version,
      at,
    });
    const change = (record: VersionRecord, journal: JournalEntry): RecordChange => ({ record, journal });
    const [first] = await fixture().ledger.write([
      change(freshRecord(a), entry(a, "held", NOW)),
      change({ ...freshRecord(b), revision: 7 }, entry(b, "held", NOW)),
    ]);
    if (first === undefined || first === "changed") throw new Error("not written");
    await fixture().ledger.write([change({ ...first, listed: true }, entry(a, "listed", NOW + 3_600_000))]);
    await fixture().ledger.write([change({ ...first, listed: true }, entry(a, "listed", NOW + 9_000_000))]);
    const lines = await journalOf("example.com/journal");
    if (lines === undefined) return;
    expect([...lines].sort((x, y) => x.at - y.at)).toEqual([
      entry(a, "held", NOW),
      entry(a, "listed", NOW + 3_600_000),
    ]);
  });

  test("due gives what is due and nothing else, soonest first, at most as many as asked", async () => {
    const versions = versionsOf("example.com/due", 6);
    const { ledger, dueIsSharded } = fixture();
    const written = await ledger.write(
      versions.map((version, n) => ({
        record: { ...freshRecord(version), ...(n < 5 ? { due: 1000 * (5 - n) } : {}) },
      })),
    );
    const dues = async (before: number, limit: number) =>
      (await ledger.due(before, limit)).map(({ due }) => due);
    await vi.waitFor(async () => expect(await dues(3000, 100)).toEqual([1000, 2000, 3000]), LAG);
    await vi.waitFor(async () => expect(await dues(5000, 100)).toEqual([1000, 2000, 3000, 4000, 5000]), LAG);
    expect(await ledger.due(999, 100)).toEqual([]);
    expect(await ledger.due(5000, 0)).toEqual([]);
    const two = await ledger.due(5000, 2);
    expect(two).toHaveLength(2);
    if (!dueIsSharded) expect(two).toEqual([written[4], written[3]]);
    await ledger.write(
      written.flatMap((record) => {
        if (record === "changed") return [];
        const { due: _due, ...rest } = record;
        return [{ record: rest }];
      }),
    );
    await vi.waitFor(async () => expect(await ledger.due(5000, 100)).toEqual([]), LAG);
  });

  test("what a caller does with a record that it was given does not reach the ledger", async () => {
    const version = moduleVersion("example.com/aliasing", "v1.0.0");
    const record = freshRecord(version);
    const written = await stored(record);
    Object.assign(record, { state: "GONE" });
    Object.assign(written, { state: "GONE" });
    const [read] = await fixture().ledger.read([version]);
    expect(read?.state).toBe("PENDING");
    Object.assign(read ?? {}, { state: "GONE" });
    expect((await fixture().ledger.read([version]))[0]?.state).toBe("PENDING");
  });
}
