import { expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import type { H1 } from "../../gomod/dirhash.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { OPEN_STATES } from "../../mirror/figures.ts";
import { want } from "../../mirror/records.ts";
import { retry } from "../../mirror/retry.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";
import { MINUTE, NOW, plantRecord } from "./records-in-states.ts";

const LATER = NOW + 1_000 * MINUTE;
const parts = (ledger: MemoryLedger, provable = true) => ({
  ledger,
  now: () => NOW,
  provable: () => provable,
  knowsCoverage: false,
});

async function inEachState(): Promise<MemoryLedger> {
  const ledger = new MemoryLedger();
  for (const state of OPEN_STATES)
    await plantRecord(ledger, state, `example.com/${state.toLowerCase()}`, 5, { due: LATER, attempts: 7 });
  return ledger;
}

async function dueNow(ledger: MemoryLedger): Promise<string[]> {
  const due = await ledger.due(NOW, 10_000);
  return due.map(({ path, state }) => `${path} ${state}`).sort();
}

test("what waits after a failure is due now; what waits for the policy, a person or its order is not", async () => {
  const ledger = await inEachState();
  expect(await retry(parts(ledger))).toEqual({ versions: 5, requests: 0, conflicts: 0 });
  expect(await dueNow(ledger)).toEqual([
    "example.com/broken BROKEN",
    "example.com/conflict PENDING",
    "example.com/failed FAILED",
    "example.com/gone GONE",
    "example.com/withheld WITHHELD",
  ]);
  const [failed] = await ledger.read([moduleVersion("example.com/failed", "v1.0.0")]);
  expect(failed?.attempts).toBe(7);
});

test("a conflict that no database can settle stays, and is counted", async () => {
  const ledger = await inEachState();
  expect(await retry(parts(ledger, false))).toEqual({ versions: 4, requests: 0, conflicts: 1 });
  expect(await dueNow(ledger)).not.toContain("example.com/conflict PENDING");
});

test("a conflict of what no database has proven stays, unless it is known that one covers it now", async () => {
  const ledger = new MemoryLedger();
  await plantRecord(ledger, "CONFLICT", "corp.example/a", 5, {
    held: "whole",
    modH1: `h1:${"A".repeat(43)}=` as H1,
  });
  expect(await retry(parts(ledger))).toEqual({ versions: 0, requests: 0, conflicts: 1 });
  expect(await dueNow(ledger)).toEqual([]);
  const [record] = await ledger.read([moduleVersion("corp.example/a", "v1.0.0")]);
  expect(record && want(record, record, "whole", "test", NOW, true)).toBe(record);
  expect(await retry({ ...parts(ledger), knowsCoverage: true })).toMatchObject({ versions: 1, conflicts: 0 });
  expect(await dueNow(ledger)).toEqual(["corp.example/a PENDING"]);
});

test.each([
  ["example.com/gone", ["example.com/gone GONE"]],
  ["example.com/gone,example.com/failed", ["example.com/failed FAILED", "example.com/gone GONE"]],
  ["example.com/broken@v1.0.0", ["example.com/broken BROKEN"]],
  ["example.com/broken@v1.0.1", []],
  ["other.example/*", []],
])("only what %s means", async (pattern, expected) => {
  const ledger = await inEachState();
  await retry(parts(ledger), pattern);
  expect(await dueNow(ledger)).toEqual(expected);
});

test.each(["", "exa mple", "[", "example.com/a@nonsense", "@v1.0.0"])("%j is misuse", async (pattern) => {
  await expect(retry(parts(await inEachState()), pattern)).rejects.toMatchObject({ class: "misuse" });
});

test("more versions than a page has are all due, and requests with something missing are looked at again", async () => {
  const ledger = new MemoryLedger();
  for (let at = 0; at < 1_203; at++)
    await plantRecord(ledger, "GONE", `example.com/m${at}`, at % 7, { due: LATER });
  const open = { name: "team", time: "20261123T080000000Z", revision: 0, tier: "tidy", total: 3 } as const;
  await ledger.writeRequest({ ...open, state: "INCOMPLETE", missing: 2, due: LATER });
  await ledger.writeRequest({ ...open, name: "other", state: "RESOLVED", missing: 2, due: LATER });
  expect(await retry(parts(ledger))).toEqual({ versions: 1_203, requests: 1, conflicts: 0 });
  expect(await ledger.due(NOW, 10_000)).toHaveLength(1_203);
  expect((await ledger.dueRequests(NOW, 10)).map(({ name }) => name)).toEqual(["team"]);
});

test("a version that upstream has healed is served by the next tick, and its request is done", async () => {
  const upstream = new MadeUpstream();
  upstream.add("example.com/a@v1.0.0");
  upstream.wrong.set("info example.com/a@v1.0.0", Buffer.from("no JSON"));
  const mirror = new MadeMirror(upstream);
  const request = await mirror.request({ wishes: ["example.com/a@v1.0.0"] });
  upstream.wrong.delete("info example.com/a@v1.0.0");
  mirror.clock.ms += 1;
  expect((await mirror.ledger.readRequest(request))?.state).toBe("INCOMPLETE");
  const { ledger } = mirror;
  expect(
    await retry({ ledger, now: mirror.clock.now, provable: () => true, knowsCoverage: true }),
  ).toMatchObject({ versions: 1 });
  await mirror.pass(0);
  const { reconcile } = await import("../../mirror/reconcile.ts");
  await reconcile(mirror.parts, { onlyWriter: false });
  await mirror.drain();
  expect((await ledger.readRequest(request))?.state).toBe("DONE");
  expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
});
