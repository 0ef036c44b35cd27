import { afterAll, beforeAll, describe } from "vitest";
import type { JournalEntry } from "../../mirror/ledger-entries.ts";
import type { Ledger } from "../../mirror/ports.ts";
import { ledgerJournalTests } from "./ledger-journal.ts";
import { ledgerRecordTests } from "./ledger-records.ts";
import { ledgerRequestTests } from "./ledger-requests.ts";
import { ledgerSeriesTests } from "./ledger-series.ts";
import { ledgerWorkTests } from "./ledger-work.ts";

/** What a suite runs on: made once per suite, empty. */
export interface LedgerFixture {
  readonly ledger: Ledger;
  /** Another handle on the same storage, as a second writer has it: races run across both. */
  readonly other?: Ledger;
  /** Every journal line so far, in no promised order; without it, what the journal holds is not tested. */
  journal?(): Promise<readonly JournalEntry[]>;
  /** `due` is an index over shards that gives all of what is due, but not its soonest `limit`. */
  readonly dueIsSharded?: boolean;
  dispose?(): Promise<void>;
}

/** Holds a Ledger to every sentence of its port. */
export function ledgerContract(name: string, makeLedger: () => Promise<LedgerFixture>): void {
  describe(`${name} keeps the Ledger port's promises`, () => {
    let fixture: LedgerFixture | undefined;
    beforeAll(async () => {
      fixture = await makeLedger();
    });
    afterAll(() => fixture?.dispose?.());
    const current = (): LedgerFixture => {
      if (!fixture) throw new Error("the fixture is made before each suite");
      return fixture;
    };
    ledgerRecordTests(current);
    ledgerJournalTests(current);
    ledgerRequestTests(current);
    ledgerSeriesTests(current);
    ledgerWorkTests(current);
  });
}
