import type { ModuleVersion } from "../gomod/version.ts";
import { formatForkReport } from "../sumdb/fork-report.ts";
import { ForkError } from "../sumdb/proof-error.ts";
import { sha256Of } from "./body.ts";
import { asMirrorError, MirrorError, misuse } from "./errors.ts";
import type { Report } from "./events.ts";
import type { Stop } from "./ledger-entries.ts";
import type { Clock, Ledger, Vault } from "./ports.ts";
import type { VersionRecord } from "./records.ts";
import { requestTimeOf } from "./requests.ts";
import { updateRecords } from "./update.ts";

export interface ForkStopParts {
  readonly vault: Vault;
  readonly ledger: Ledger;
  readonly now: Clock;
  readonly report: Report;
}

/**
 * Stops a checksum database that forked, for all workers, until an operator lifts the stop. What is published of it
 * stays and is served; no head and no lookup is added. Each is looked at right before it is written: one that another
 * worker is just writing may still come, and is proven to be of the history that was published before.
 */
export class ForkStop {
  readonly #name: string;
  readonly #parts: ForkStopParts;

  constructor(name: string, parts: ForkStopParts) {
    this.#name = name;
    this.#parts = parts;
  }

  /** @throws MirrorError stopped where the database is. */
  async check(): Promise<void> {
    const stop = await this.#parts.ledger.readStop(this.#name);
    if (stop !== undefined) throw stopped(stop);
  }

  /** Does some of the database's work; a fork that it finds is kept and stops the database. @throws MirrorError stopped. */
  async guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof ForkError)) throw thrown;
      throw await this.#stop(thrown);
    }
  }

  /**
   * First the evidence, then the stop. A crash between the two leaves evidence alone, and nothing of the fork published:
   * whoever is shown it next finds it again, keeps the same evidence and stops. Of two that find a fork at once the
   * first one's stop stays; the evidence of both is kept.
   */
  async #stop(fork: ForkError): Promise<MirrorError> {
    const { vault, ledger, now, report } = this.#parts;
    const evidence = formatForkReport(fork);
    const stop: Stop = { database: this.#name, at: now(), evidence: sha256Of(evidence) };
    // First of all, so that the alarm is raised even where nothing can be written.
    report({ event: "forked", database: this.#name, evidence: stop.evidence, reason: fork.message });
    try {
      await vault.put(evidenceKey(stop), evidence);
      await ledger.writeStop(stop);
    } catch (cause) {
      const { message } = asMirrorError(cause, this.#name);
      const what = `${this.#name}: ${fork.message}; it could not be stopped: ${message}`;
      throw new MirrorError("transient", this.#name, what, { cause });
    }
    return stopped(stop, fork);
  }
}

/** The whole report, however large: notes may have a megabyte each. */
export const evidenceKey = ({ evidence }: Pick<Stop, "evidence">): string => `evidence/fork/${evidence}`;

/** For a version that waits for it: FAILED, and tried again once the stop is lifted. */
function stopped(stop: Stop, cause?: ForkError): MirrorError {
  return new MirrorError("stopped", stop.database, describeStop(stop), { cause });
}

/** One line; its first 200 bytes, which a ledger keeps, say what is wrong and where the evidence is. */
export function describeStop(stop: Stop): string {
  return (
    `${stop.database}: stopped, for it signed two histories: ${evidenceKey(stop)} in the vault; ` +
    `ask who runs it, then \`modferry sync --clear-fork ${stop.database}\``
  );
}

/**
 * Lets a database go on. The evidence stays; the decision is written down first, so that a crash leaves it without
 * effect, and never an effect without it. Lifting says that what was published was the right history: should the
 * database still show another one, the next look at it stops it again.
 * @param by who decides, for the audit.
 * @throws MirrorError misuse when it is not stopped.
 */
export async function liftStop(
  parts: Pick<ForkStopParts, "vault" | "ledger" | "now">,
  database: string,
  by: string,
): Promise<Stop> {
  const stop = await parts.ledger.readStop(database);
  if (stop === undefined)
    throw misuse(database, `${JSON.stringify(database)}: no checksum database that is stopped`);
  const at = parts.now();
  const decision = { decision: "clear-fork", ...stop, stoppedAt: stop.at, at, by };
  const key = `decisions/clear-fork/${requestTimeOf(at)}-${stop.evidence}.json`;
  await parts.vault.put(key, Buffer.from(`${JSON.stringify(decision)}\n`));
  await parts.ledger.liftStop(stop);
  return stop;
}

/**
 * Has reconcile try at once what waits for a stopped database; left alone, it does so within the hour. Reads every
 * record. @returns how many versions there are.
 */
export async function reviveStopped({ ledger, now }: Pick<ForkStopParts, "ledger" | "now">): Promise<number> {
  const waits = (record: VersionRecord | undefined) =>
    record?.state === "FAILED" && record.lastError?.class === "stopped";
  const waiting: ModuleVersion[] = [];
  for await (const record of ledger.records()) if (waits(record)) waiting.push(record);
  await updateRecords(ledger, waiting, (record) =>
    waits(record) && record ? { ...record, due: now() } : undefined,
  );
  return waiting.length;
}
