import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithGo } from "../go-command.ts";
import { ZipOracle } from "./zip-oracle.ts";

describeWithGo("the largest zips that may be", () => {
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
    ["half", "495 MiB, stored and deflated"],
    ["zeros", "490 MiB unpacked from half a megabyte"],
    ["many", "250,000 entries"],
  ])(
    "%s (%s): within 300 MiB for the whole process, with Go's h1",
    async (kind) => {
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
