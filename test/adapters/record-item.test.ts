import { expect, test } from "vitest";
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
