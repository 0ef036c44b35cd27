import { describe, expect, test } from "vitest";
import { SortedLines } from "../../../mirror/scrub/sorted-lines.ts";

describe("sorting outside of memory", () => {
  test.each([0, 1, 7, 100, 1000, 2345, 6_399, 6_401, 20_000])(
    "gives all of %i lines back in order, however many runs they make",
    async (count) => {
      const lines = Array.from({ length: count }, (_, n) => `line ${1_000 + ((n * 7919) % 503)}`);
      const stored: number[] = [];
      const reading = { now: 0, most: 0 };
      const runs = {
        store: async (given: Iterable<string> | AsyncIterable<string>) => {
          const run: string[] = [];
          for await (const line of given) run.push(line);
          expect(run).toEqual([...run].sort());
          stored.push(run.length);
          return async function* () {
            reading.most = Math.max(reading.most, ++reading.now);
            yield* run;
            reading.now--;
          };
        },
      };
      // 9 characters each.
      const sorted = new SortedLines(runs, 900);
      for (const line of lines) await sorted.add(line);
      const found: string[] = [];
      for await (const line of sorted.sorted()) found.push(line);
      expect(found).toEqual([...lines].sort());
      expect(stored.filter((length) => length === 100)).toHaveLength(Math.floor(count / 100));
      // Of 64 runs one is made, so that not too many are read at a time.
      expect(stored.filter((length) => length === 6_400)).toHaveLength(Math.floor(count / 6_400));
      expect(reading.most).toBeLessThanOrEqual(2 * 64);
    },
  );
});
