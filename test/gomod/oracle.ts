import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { factor, seed } from "../differential/seed.ts";
import { tally } from "../differential/tally.ts";

/** Where the Go program lies whose answers these tests compare with: golang.org/x/mod, pinned by its go.sum. */
const source = fileURLToPath(new URL("../oracle/gomod/", import.meta.url));

let binary: string | undefined;

/** Builds the oracle once per test file; the go command keeps what it compiled. */
function build(): string {
  if (binary !== undefined) return binary;
  const folder = mkdtempSync(join(tmpdir(), "modferry-oracle-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "oracle");
  execFileSync("go", ["build", "-buildvcs=false", "-o", path, "."], {
    cwd: source,
    env: { ...process.env, GOWORK: "off" },
    stdio: ["ignore", "inherit", "inherit"],
  });
  binary = path;
  return path;
}

/** Operations that tell what Go has, and compare nothing. */
const uncounted = new Set(["table", "testdata", "zipTestdata", "unicode"]);

/** Asks the oracle all questions in one run; a question is an operation and its arguments. */
export function ask<Answer>(questions: readonly (readonly string[])[]): Answer[] {
  const kinds = Map.groupBy(questions, ([operation = "", inner = ""]) =>
    operation === "bytes" ? inner : operation,
  );
  for (const [kind, asked] of kinds) if (!uncounted.has(kind)) tally(kind, asked.length);
  return questions.length === 0 ? [] : answers(build(), questions, { cwd: source });
}

/** Asks about texts that need not be UTF-8: each argument goes as its bytes. */
export function askBytes<Answer>(operation: string, questions: readonly (readonly Uint8Array[])[]): Answer[] {
  return ask(
    questions.map((args) => ["bytes", operation, ...args.map((arg) => Buffer.from(arg).toString("base64"))]),
  );
}

/** Runs an oracle over questions, each a line of JSON; so are its answers. */
export function answers<Answer>(
  binary: string,
  questions: readonly (readonly string[])[],
  { cwd }: { cwd: string },
): Answer[] {
  const output = execFileSync(binary, {
    cwd,
    env: { ...process.env, GOWORK: "off" },
    input: questions.map((question) => `${JSON.stringify(question)}\n`).join(""),
    encoding: "utf8",
    maxBuffer: 1024 * 1024 * 1024,
  });
  return output
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Answer);
}

/** The rows of a test table in x/mod's own _test.go files. */
export function table<Row extends unknown[]>(file: string, name: string): Row[] {
  return ask<Row[]>([["table", file, name]])[0] ?? [];
}

/** A fixed number of random cases: they are asked in one run, so nothing is shrunk. */
export function cases<Case>(arbitrary: fc.Arbitrary<Case>, count: number): Case[] {
  return fc.sample(arbitrary, { numRuns: count * factor, seed });
}

/** A value or the text of what was thrown, in the oracle's shape. */
export interface Outcome<Value> {
  readonly value?: Value;
  readonly error?: string;
}

export function outcome<Value>(compute: () => Value): Outcome<Value> {
  try {
    return { value: compute() };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { error: error.message };
  }
}

/** The text of what was thrown, or the empty string. */
export function problem(check: () => unknown): string {
  return outcome(() => void check()).error ?? "";
}
