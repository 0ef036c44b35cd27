import { expect, test } from "vitest";
import { parseJournalEntry, printJournalEntry } from "../../adapters/aws/ledger-items.ts";
import { parseRecord, printRecord } from "../../adapters/aws/record-item.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { fetched } from "../../mirror/fetched-record.ts";
import { want } from "../../mirror/records.ts";

test("an item of the time when a mirror had one database reads as that database's record", () => {
  const version = moduleVersion("example.com/a", "v1.0.0");
  const sumdbRecords = { "sum.example.com/team": 17 };
  const wanted = want(undefined, version, "mod", "sync", 1, true);
  const record = { ...fetched(wanted, { held: "mod", sumdbRecords }, 2), revision: 1 };
  const { sumdbRecords: _, ...earlier } = printRecord(record);
  const item = {
    ...earlier,
    sumdbRecord: { M: { database: { S: "sum.example.com/team" }, id: { N: "17" } } },
  };
  expect(parseRecord(item)).toEqual(record);
  expect(() => parseRecord({ ...earlier, sumdbRecord: { S: "17" } })).toThrow("sumdbRecord");
});

test("a journal line of the time when each version had one in an hour is read as it was meant", () => {
  const version = moduleVersion("github.com/Azure/azure-sdk-for-go", "v68.0.0+incompatible");
  const entry = { event: "listed", version, at: Date.UTC(2026, 10, 23, 9) } as const;
  const printed = printJournalEntry(entry);
  expect(printed.sk).toEqual({ S: "github.com/Azure/azure-sdk-for-go@v68.0.0+incompatible#listed" });
  expect(parseJournalEntry(printed)).toEqual(entry);
  const earlier = { ...printed, sk: { S: "github.com/Azure/azure-sdk-for-go@v68.0.0+incompatible" } };
  expect(parseJournalEntry(earlier)).toEqual(entry);
});
