import { z } from "zod";
import type { Ledger, Vault } from "../ports.ts";
import { requestTimeOf } from "../requests.ts";
import { contended, MOST_RACES } from "../update.ts";
import type { SettledFinding } from "./finding.ts";

type ProgressParts = {
  readonly ledger: Pick<Ledger, "readItem" | "writeItem">;
  readonly vault: Pick<Vault, "put" | "get">;
};

/** What a run has looked at so far. */
export interface ScrubCounts {
  readonly modules: number;
  readonly versions: number;
  readonly files: number;
  readonly bytes: number;
  readonly findings: number;
  readonly restored: number;
  readonly lost: number;
}

export const NO_COUNTS: ScrubCounts = {
  modules: 0,
  versions: 0,
  files: 0,
  bytes: 0,
  findings: 0,
  restored: 0,
  lost: 0,
};

const count = z.int().min(0);
const stateShape = z.object({
  run: z.string().min(1).max(40),
  /** All before and with this key is done. Absent: nothing yet, or all. */
  cursor: z.string().max(1_000).optional(),
  /** Of stored checksums: which thirtieth. */
  slice: count.optional(),
  /** Findings lie in so many objects of the vault. */
  parts: count,
  counts: z.object({
    modules: count,
    versions: count,
    files: count,
    bytes: count,
    findings: count,
    restored: count,
    lost: count,
  }),
  startedAt: count,
  finishedAt: count.optional(),
});
export type ScrubState = z.output<typeof stateShape>;

/** Of findings, so many lie in one object of the vault at most. */
export const FINDINGS_PER_PART = 1_000;
const LARGEST_PART = 16 * 1024 * 1024;

const partKey = (run: string, part: number): string =>
  `scrub/${run}/findings-${String(part).padStart(6, "0")}.ndjson`;

/**
 * How far one kind of scrub of one shard is: in a control item, its findings in the vault before it. A crash leaves
 * findings that the item does not count yet; they are found again, and their object is written again.
 */
export class ScrubProgress {
  readonly #parts: ProgressParts;
  readonly #name: string;
  state: ScrubState;

  private constructor(parts: ProgressParts, name: string, state: ScrubState) {
    this.#parts = parts;
    this.#name = name;
    this.state = state;
  }

  /**
   * Goes on with a run that has not ended, else begins a new one.
   * @param kind and shard, such as `quick/1of1`: each has its own item.
   */
  static async open(
    parts: ProgressParts,
    kind: string,
    now: number,
    slice: number | undefined,
  ): Promise<ScrubProgress> {
    const name = `scrub/${kind}`;
    const known = await readState(parts.ledger, name);
    if (known !== undefined && known.finishedAt === undefined) return new ScrubProgress(parts, name, known);
    const run = `${requestTimeOf(now)}-${kind.replaceAll("/", "-")}`;
    const state: ScrubState = {
      run,
      ...(slice === undefined ? {} : { slice }),
      parts: 0,
      counts: NO_COUNTS,
      startedAt: now,
    };
    return new ScrubProgress(parts, name, state);
  }

  /** What earlier processes of this run have found. */
  async *earlier(): AsyncGenerator<SettledFinding> {
    for (let part = 0; part < this.state.parts; part++) {
      const bytes = await this.#parts.vault.get(partKey(this.state.run, part), LARGEST_PART);
      for (const line of Buffer.from(bytes ?? "")
        .toString("utf8")
        .split("\n"))
        if (line !== "") yield JSON.parse(line) as SettledFinding;
    }
  }

  /** Notes that all up to `cursor` is done, and what was found there. */
  async move(cursor: string, counts: ScrubCounts, findings: readonly SettledFinding[]): Promise<void> {
    // Without it the run would only begin there again; no module path of the public index is half as long.
    const at = cursor.length > 1_000 ? {} : { cursor };
    await this.#write({ ...this.state, ...at, counts, parts: await this.#keep(findings) });
  }

  async finish(counts: ScrubCounts, findings: readonly SettledFinding[], now: number): Promise<void> {
    const { cursor: _cursor, ...rest } = this.state;
    await this.#write({ ...rest, counts, parts: await this.#keep(findings), finishedAt: now });
  }

  async #keep(findings: readonly SettledFinding[]): Promise<number> {
    let { parts } = this.state;
    for (let at = 0; at < findings.length; at += FINDINGS_PER_PART) {
      const lines = findings
        .slice(at, at + FINDINGS_PER_PART)
        .map((finding) => `${JSON.stringify(finding)}\n`);
      await this.#parts.vault.put(partKey(this.state.run, parts), Buffer.from(lines.join("")));
      parts++;
    }
    return parts;
  }

  /** Of two processes at one shard the one that comes last wins: both look at all that is behind the cursor. */
  async #write(state: ScrubState): Promise<void> {
    const { ledger } = this.#parts;
    for (let race = 0; race < MOST_RACES; race++) {
      const known = await ledger.readItem("control", this.#name);
      const item = {
        kind: "control",
        name: this.#name,
        revision: known?.revision ?? 0,
        value: state,
      } as const;
      if ((await ledger.writeItem(item)) === "changed") continue;
      this.state = state;
      return;
    }
    throw contended(this.#name);
  }
}

/** One that cannot be read counts as none: the run begins anew. */
export async function readState(
  ledger: Pick<Ledger, "readItem">,
  name: string,
): Promise<ScrubState | undefined> {
  const item = await ledger.readItem("control", name);
  const parsed = stateShape.safeParse(item?.value);
  return parsed.success ? parsed.data : undefined;
}
