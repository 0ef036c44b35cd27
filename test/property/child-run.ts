import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Mutant } from "./mutants.ts";
import type { Outcome } from "./outcome.ts";

export interface RunOptions {
  readonly seed: number;
  readonly schedules: number;
  /** The bug to be put in. */
  readonly mutant?: Mutant;
  /** Look for the smallest schedule that shows what is wrong, for some minutes. */
  readonly shrink?: boolean;
  /** Which schedules, by the file of their process; left out: those of a mirror's life. */
  readonly child?: string;
}

/** Runs schedules in a process of its own. @throws where that process fails otherwise than by what it looks for. */
export function runSchedules({
  seed,
  schedules,
  mutant,
  shrink = false,
  child: file = "schedules-child.ts",
}: RunOptions): Promise<Outcome> {
  const at = (file: string) => join(import.meta.dirname, file);
  const args = [
    ...["--import", at("deterministic.ts")],
    ...(mutant === undefined ? [] : ["--import", at("mutant-child.ts")]),
    ...[at(file), String(seed), String(schedules), ...(shrink ? ["shrink"] : [])],
  ];
  const env = { ...process.env, ...(mutant && { MODFERRY_MUTANT: mutant.name }) };
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on("data", (data: Buffer) => output.push(data));
  child.stderr.on("data", (data: Buffer) => errors.push(data));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => {
      const text = Buffer.concat(output).toString("utf8");
      if ((status === 0 || status === 1) && text !== "") return resolve(JSON.parse(text) as Outcome);
      reject(
        new Error(
          `schedules ended with ${status ?? signal}: ${Buffer.concat(errors).toString("utf8").slice(0, 2_000)}`,
        ),
      );
    });
  });
}

/** Of an outcome, for people: what was run, and what was broken. */
export function describeOutcome({ seed, schedules, milliseconds, tally, broken }: Outcome): string {
  const seconds = (milliseconds / 1_000).toFixed(1);
  const counts = Object.entries(tally).sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = [
    `${schedules} schedules in ${seconds} s, seed ${seed}: ${counts.map(([what, by]) => `${what} ${by}`).join(", ")}`,
  ];
  if (broken !== undefined)
    lines.push(broken.message, `again with MODFERRY_SEED=${seed} MODFERRY_PATH=${broken.path}`, broken.steps);
  return lines.join("\n");
}
