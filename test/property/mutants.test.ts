import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runSchedules } from "./child-run.ts";
import { MUTANTS } from "./mutants.ts";

/** Those that are caught soonest; `npm run test:property` runs all. */
const SOME = MUTANTS.filter(({ isQuick }) => isQuick);
const MOST_SCHEDULES = 200;

describe("a bug put into the product is caught", () => {
  test.each(SOME)(
    "$name",
    async (mutant) => {
      const { broken } = await runSchedules({ seed: 1, schedules: MOST_SCHEDULES, mutant });
      expect(broken).toBeDefined();
    },
    300_000,
  );

  test.each(MUTANTS)("and its place is there: $name", ({ file, find }) => {
    const source = readFileSync(join(import.meta.dirname, "../..", file), "utf8");
    expect(source.split(find)).toHaveLength(2);
  });

  test("and one whose place is not there any more is no bug", async () => {
    const mutant = { name: "none", file: "mirror/settle.ts", find: "", replace: "" };
    await expect(runSchedules({ seed: 1, schedules: 1, mutant })).rejects.toThrow("no mutant is named");
  });
});
