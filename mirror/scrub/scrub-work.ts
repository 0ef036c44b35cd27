import { MirrorError } from "../errors.ts";
import type { ScrubFinding, SettledFinding } from "./finding.ts";
import { FINDINGS_PER_PART, type ScrubCounts, type ScrubProgress } from "./progress.ts";

/** How long a run goes on between two notes of how far it is, in ms: so much is done twice after a crash. */
const BETWEEN_NOTES = 10_000;

/** Time has ended a run; the next goes on behind the cursor. */
export interface Unfinished {
  readonly cursor: string | undefined;
}

/** What one run of a scrub does with what it finds: has it mended, tells of it, and notes how far it is. */
export class ScrubWork {
  readonly #progress: ScrubProgress;
  readonly #mend: (findings: readonly ScrubFinding[]) => Promise<readonly SettledFinding[]>;
  readonly #report: (finding: SettledFinding) => void;
  readonly #now: () => number;
  readonly #keep: () => Promise<boolean>;
  readonly #tell: (counts: ScrubCounts) => void;
  #counts: ScrubCounts;
  #found: ScrubFinding[] = [];
  #settled: SettledFinding[] = [];
  #notedAt: number;

  constructor(parts: {
    readonly progress: ScrubProgress;
    readonly settle: (findings: readonly ScrubFinding[]) => Promise<readonly SettledFinding[]>;
    readonly report: (finding: SettledFinding) => void;
    readonly tell: (counts: ScrubCounts) => void;
    readonly now: () => number;
    /** Renews the lease; false when another process has it. */
    readonly keep: () => Promise<boolean>;
  }) {
    this.#progress = parts.progress;
    this.#mend = parts.settle;
    this.#report = parts.report;
    this.#tell = parts.tell;
    this.#now = parts.now;
    this.#keep = parts.keep;
    this.#counts = parts.progress.state.counts;
    this.#notedAt = parts.now();
  }

  get counts(): ScrubCounts {
    return this.#counts;
  }

  count(more: Partial<Pick<ScrubCounts, "modules" | "versions" | "files" | "bytes">>): void {
    const { modules, versions, files, bytes } = this.#counts;
    this.#counts = {
      ...this.#counts,
      modules: modules + (more.modules ?? 0),
      versions: versions + (more.versions ?? 0),
      files: files + (more.files ?? 0),
      bytes: bytes + (more.bytes ?? 0),
    };
  }

  /** To be followed by `reached`, which has them mended. */
  found(findings: readonly ScrubFinding[]): void {
    this.#found.push(...findings);
  }

  /** All up to `cursor` has been looked at. Memory is bounded by calling this now and then. */
  async reached(cursor: string): Promise<void> {
    await this.keepLease();
    await this.settle();
    this.#tell(this.#counts);
    const due = this.#now() - this.#notedAt >= BETWEEN_NOTES;
    if (!due && this.#settled.length < FINDINGS_PER_PART) return;
    await this.#progress.move(cursor, this.#counts, this.#settled);
    this.#settled = [];
    this.#notedAt = this.#now();
  }

  /** @throws MirrorError transient when another process has begun: what is noted is its own from then on. */
  async keepLease(): Promise<void> {
    if (await this.#keep()) return;
    const message = "scrub: took so long that another one has begun; it goes on";
    throw new MirrorError("transient", "scrub", message);
  }

  async finish(): Promise<void> {
    await this.keepLease();
    await this.settle();
    await this.#progress.finish(this.#counts, this.#settled, this.#now());
  }

  /** Ended by time: the next process goes on behind `cursor`. */
  async pause(cursor: string | undefined): Promise<void> {
    await this.settle();
    if (cursor !== undefined) await this.#progress.move(cursor, this.#counts, this.#settled);
  }

  /** Has mended what was found since the last time. */
  async settle(): Promise<void> {
    if (this.#found.length === 0) return;
    const settled = await this.#mend(this.#found);
    this.#found = [];
    for (const finding of settled) this.#report(finding);
    this.#settled.push(...settled);
    const of = (outcome: SettledFinding["outcome"]) =>
      settled.filter((finding) => finding.outcome === outcome).length;
    const { findings, restored, lost } = this.#counts;
    this.#counts = {
      ...this.#counts,
      findings: findings + settled.length,
      restored: restored + of("restored"),
      lost: lost + of("lost"),
    };
  }
}
