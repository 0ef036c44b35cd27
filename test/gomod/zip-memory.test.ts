import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithOracle } from "../go-command.ts";
import { ZipOracle } from "./zip-oracle.ts";

describeWithOracle("the largest zips that may be", () => {
  const folder = mkdtempSync(join(tmpdir(), "modferry-large-"));
  let oracle: ZipOracle;
  beforeAll(() => {
    oracle = new ZipOracle();
  });
  afterAll(() => {
    oracle.close();
    rmSync(folder, { recursive: true });
  });

  test.each([
    // The issue: a 500 MB zip passes with at most 300 MB.
    ["half", "495 MiB, stored and deflated", 300],
    ["zeros", "490 MiB unpacked from half a megabyte", 300],
    // Far beyond any real module; MAX_ENTRIES keeps it from growing on.
    ["many", "250,000 entries", 450],
  ] as const)(
    "%s (%s): Go's h1 with the whole process within %d MiB",
    async (kind, _, maxPeakMiB) => {
      const file = join(folder, `${kind}.zip`);
      const run = (step: string) =>
        execFileSync(process.execPath, [join(import.meta.dirname, "large-zip.ts"), kind, file, step], {
          encoding: "utf8",
        });
      run("make");
      const found = JSON.parse(run("check")) as {
        h1: string;
        peakMiB: number;
        seconds: number;
        longestTurnMs: number;
      };
      console.log(kind, found);
      const go = await oracle.ask({ op: "hash", file });
      expect(found.h1).toBe(go.h1);
      expect(found.peakMiB).toBeLessThan(maxPeakMiB);
    },
    300_000,
  );
});
