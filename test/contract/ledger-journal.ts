import { expect, test } from "vitest";
import { type ModuleVersion, moduleVersion } from "../../gomod/version.ts";
import type { JournalEntry, JournalEvent } from "../../mirror/ledger-entries.ts";
import type { LedgerFixture } from "./ledger-contract.ts";
import { freshRecord } from "./ledger-samples.ts";

const HOUR = 3_600_000;
/** A whole hour far from all other tests' times. */
const START = Date.parse("2031-05-06T07:00:00Z");
const EVENTS: readonly JournalEvent[] = [
  "held",
  "listed",
  "blocked",
  "unblocked",
  "removed",
  "revived",
  "changed",
];

/** Tests of the journal as it is read; each has hours of its own. */
export function ledgerJournalTests(fixture: () => LedgerFixture): void {
  const read = async (from: number, to: number): Promise<JournalEntry[]> => {
    const { ledger, other = ledger } = fixture();
    const lines: JournalEntry[] = [];
    for await (const line of other.journal(from, to)) lines.push(line);
    return lines;
  };
  const sorted = (lines: readonly JournalEntry[]) =>
    lines.map(({ event, version, at }) => `${at} ${version.path}@${version.version} ${event}`).sort();
  const write = async (lines: readonly JournalEntry[]): Promise<void> => {
    for (const journal of lines) {
      const [found] = await fixture().ledger.read([journal.version]);
      const record = found ?? freshRecord(journal.version);
      expect(await fixture().ledger.write([{ record, journal }])).not.toContain("changed");
    }
  };
  const versionOf = (n: number): ModuleVersion => moduleVersion(`example.com/journal-${n}`, "v1.0.0");

  test("the journal between two moments has the lines from the first on, before the second, whatever their event", async () => {
    const lines = EVENTS.map((event, n) => ({ event, version: versionOf(n), at: START + n * 1_000 }));
    await write(lines);
    expect(sorted(await read(START, START + EVENTS.length * 1_000))).toEqual(sorted(lines));
    expect(sorted(await read(START + 1_000, START + 3_000))).toEqual(sorted(lines.slice(1, 3)));
    expect(await read(START + 10_000, START + 20_000)).toEqual([]);
    expect(await read(START + 1_000, START + 1_000)).toEqual([]);
  });

  test("the journal goes on over hours and days, by growing hour, and ends where it is asked to", async () => {
    const from = START + 100 * HOUR;
    const hours = [0, 1, 2, 25, 26, 49];
    const lines = hours.map((hour, n) => ({
      event: "held" as const,
      version: versionOf(100 + n),
      at: from + hour * HOUR + 59 * 60_000,
    }));
    await write([...lines].reverse());
    const found = await read(from + 30 * 60_000, from + 49 * HOUR);
    expect(found.map(({ at }) => at)).toEqual(lines.slice(0, 5).map(({ at }) => at));
  });

  test("an event of a version is not lost behind another event of the same hour", async () => {
    const from = START + 200 * HOUR;
    const version = versionOf(200);
    const lines = (["held", "listed", "blocked", "listed"] as const).map((event, n) => ({
      event,
      version,
      at: from + n,
    }));
    await write(lines);
    const found = new Set((await read(from, from + HOUR)).map(({ event, at }) => `${event} ${at - from}`));
    for (const wanted of ["held 0", "blocked 2", "listed 3"]) expect(found).toContain(wanted);
  });

  test("1,300 lines of one hour are all given, each once", async () => {
    const from = START + 300 * HOUR;
    const lines = Array.from({ length: 1300 }, (_, n) => ({
      event: "held" as const,
      version: moduleVersion(`example.com/journal-many-${n % 7}`, `v1.${n}.0`),
      at: from + n,
    }));
    const changes = lines.map((journal) => ({ record: freshRecord(journal.version), journal }));
    expect(await fixture().ledger.write(changes)).not.toContain("changed");
    expect(sorted(await read(from, from + HOUR))).toEqual(sorted(lines));
  });

  test("versions that are being removed, and those that are, are found by their state", async () => {
    const { ledger } = fixture();
    for (const [n, state] of (["REMOVING", "REMOVED"] as const).entries()) {
      const record = { ...freshRecord(versionOf(400 + n)), state, held: "mod" as const };
      const [written] = await ledger.write([{ record }]);
      expect(await ledger.read([record])).toEqual([written]);
      await expect
        .poll(async () => (await ledger.inState(state, { limit: 10 })).map(({ path }) => path), {
          timeout: 10_000,
        })
        .toContain(record.path);
    }
  });

  test("items of every kind are kept apart", async () => {
    const { ledger } = fixture();
    const kinds = ["upstream", "control", "block", "snapshot", "pin", "bundle", "signer"] as const;
    for (const kind of kinds)
      expect(await ledger.writeItem({ kind, name: "of-each", revision: 0, value: { kind } })).toMatchObject({
        revision: 1,
      });
    for (const kind of kinds) {
      const item = await ledger.readItem(kind, "of-each");
      expect(item?.value).toEqual({ kind });
      expect(item && (await ledger.deleteItem(item))).toBe(true);
    }
  });
}
