import { describe, expect, test } from "vitest";
import { SortedLines } from "../../../mirror/scrub/sorted-lines.ts";
import { memoryRuns } from "./scrub-world.ts";

describe("sorting outside of memory", () => {
  test.each([0, 1, 7, 100, 1000, 2345])(
    "gives all of %i lines back in order, however many runs they make",
    async (count) => {
      const lines = Array.from({ length: count }, (_, n) => `line ${(n * 7919) % 503}`);
      const stored: number[] = [];
      const runs = {
        store: async (run: readonly string[]) => {
          expect(run).toEqual([...run].sort());
          stored.push(run.length);
          return await memoryRuns.store([...run]);
        },
      };
      const sorted = new SortedLines(runs, 100);
      for (const line of lines) await sorted.add(line);
      const found: string[] = [];
      for await (const line of sorted.sorted()) found.push(line);
      expect(found).toEqual([...lines].sort());
      expect(stored).toEqual(Array.from({ length: Math.floor(count / 100) }, () => 100));
    },
  );
});
