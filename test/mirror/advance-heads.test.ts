import { expect, test, vi } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { advanceHeads, reportStops, stoppedDatabases } from "../../mirror/advance-heads.ts";
import { sha256Of } from "../../mirror/body.ts";
import { type ErrorClass, MirrorError } from "../../mirror/errors.ts";
import type { MirrorEvent } from "../../mirror/events.ts";

const NAME = "sum.example.org";
const OTHER = "sum.example.net";

async function withHeads(...databases: string[]): Promise<MemoryLedger> {
  const ledger = new MemoryLedger();
  for (const database of databases)
    await ledger.addHead(database, { size: 1, note: new Uint8Array(), hash: new Uint8Array(32) });
  return ledger;
}

test.each(["transient", "unauthorized", "absent", "withheld", "malformed", "stopped"] satisfies ErrorClass[])(
  "a head that cannot be had (%s) is said, and holds up no other database",
  async (errorClass) => {
    const ledger = await withHeads(NAME, OTHER);
    const error = new MirrorError(errorClass, NAME, `${NAME}: told by the test`);
    const databases = [
      { name: NAME, advance: vi.fn(() => Promise.reject(error)) },
      { name: OTHER, advance: vi.fn(async () => {}) },
    ];
    const wrong = await advanceHeads({ ledger, now: Date.now }, databases);
    expect(wrong).toEqual([{ database: NAME, error }]);
    for (const { advance } of databases) expect(advance).toHaveBeenCalledOnce();
  },
);

test("without a head so far nothing is asked", async () => {
  const advance = vi.fn(async () => {});
  const parts = { ledger: new MemoryLedger(), now: Date.now };
  expect(await advanceHeads(parts, [{ name: NAME, advance }])).toEqual([]);
  expect(advance).not.toHaveBeenCalled();
});

test("a database that is stopped is reported in each run, with its evidence and what to do", async () => {
  const ledger = await withHeads(OTHER);
  const stop = { database: NAME, at: 1, evidence: sha256Of(Buffer.from("report")) };
  await ledger.writeStop(stop);
  const databases = [NAME, OTHER].map((name) => ({ name, advance: vi.fn(async () => {}) }));
  for (let run = 0; run < 2; run++) {
    const events: MirrorEvent[] = [];
    await reportStops({ ledger, report: (event) => void events.push(event) }, databases);
    const forked = { event: "forked", database: NAME, evidence: stop.evidence };
    expect(events).toEqual([expect.objectContaining(forked)]);
  }
  const [line, ...more] = await stoppedDatabases({ ledger }, databases);
  expect(more).toEqual([]);
  expect(line).toContain(`evidence/fork/${stop.evidence}`);
  expect(line).toContain(`modferry sync --clear-fork ${NAME}`);
  // What a ledger keeps of an error.
  expect(
    Buffer.from(line ?? "")
      .subarray(0, 200)
      .toString(),
  ).toContain(stop.evidence);
});
