import { expect } from "vitest";
import { type CommandOptions, modferry } from "../e2e/modferry-command.ts";

/** Nothing listens there: whatever is asked of it before the mistake is found would take many seconds. */
export const NOWHERE: readonly string[] = ["--upstream", "http://127.0.0.1:1"];

/** Runs a command line that is a mistake: one line on stderr, exit 2, nothing on stdout. @returns the line. */
export async function misuseOf(args: readonly string[], options: CommandOptions): Promise<string> {
  const run = await modferry(args, options);
  expect(run.stdout).toBe("");
  expect(run.code, run.stderr).toBe(2);
  expect(run.stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(run.stderr).toMatch(/^modferry: /);
  return run.stderr.trimEnd().slice("modferry: ".length);
}
