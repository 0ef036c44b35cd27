import { describe, expect, test } from "vitest";
import { Covered } from "../../../mirror/bundle/covered.ts";

describe("how far a line is covered", () => {
  test("is up to the first part that is missing, whatever order parts come in", () => {
    const line = new Covered(0);
    for (const [start, end, upTo] of [
      [10, 20, 0],
      [30, 40, 0],
      [0, 10, 20],
      [40, 45, 20],
      [20, 30, 45],
    ] as const) {
      line.add(start, end);
      expect(line.upTo).toBe(upTo);
    }
  });

  test("goes on from where it was; what lies before counts for nothing", () => {
    const line = new Covered(100);
    line.add(0, 100);
    line.add(90, 120);
    expect(line.upTo).toBe(100);
    line.add(100, 101);
    expect(line.upTo).toBe(101);
  });

  test("is nothing until it has begun, and begins once", () => {
    const line = new Covered(undefined);
    line.add(7, 9);
    expect(line.upTo).toBe(0);
    line.begin(9);
    line.begin(5);
    line.add(9, 11);
    expect(line.upTo).toBe(11);
  });
});
