import { expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { parseModuleVersion } from "../../gomod/version.ts";
import { makePolicy, policyShape } from "../../mirror/policy.ts";

import { want } from "../../mirror/records.ts";
import { sightingsOf } from "../../mirror/sightings.ts";
import { PUBLIC_DATABASE_HEADS } from "../../sumdb/known-databases.ts";

const FIRST_SEEN = Date.UTC(2027, 0, 1);

async function sightings(database: string, id: number) {
  const record = {
    ...want(undefined, parseModuleVersion("example.com/a@v1.0.0"), "whole", "sync", FIRST_SEEN, true),
    sumdbRecords: { [database]: id },
  };
  const policy = makePolicy(policyShape.parse({ cooldown: { age: "7d" } }));
  return (await sightingsOf(new MemoryLedger(), policy, record)).map(({ at }) => at);
}

test("a new mirror knows how old the public database's records are that this release knows of, and no others", async () => {
  const [head] = PUBLIC_DATABASE_HEADS;
  if (head === undefined) throw new Error("no head of the public database");
  const known = Date.parse(head.time);
  expect(await sightings("sum.golang.org", head.size - 1)).toEqual([FIRST_SEEN, known]);
  expect(await sightings("sum.golang.org", head.size)).toEqual([FIRST_SEEN]);
  expect(await sightings("sum.example.org", head.size - 1)).toEqual([FIRST_SEEN]);
});
