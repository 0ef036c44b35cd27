import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compareGoVersions,
  goVersionAtLeast,
  goVersionOf,
  isValidGoVersion,
  prunedSince,
} from "../../gomod/go-version.ts";
import { describeWithOracle } from "../go-command.ts";
import { ask, cases } from "./oracle.ts";

describeWithOracle("Go versions against go/version", () => {
  test("random versions are valid, and compare, as Go says", () => {
    const number = fc.constantFrom("0", "1", "2", "9", "10", "20", "21", "22", "100", "01", "");
    const text = fc
      .tuple(
        fc.constantFrom("1", "1", "1", "2", "01", ""),
        fc.oneof({ weight: 6, arbitrary: number.map((minor) => `.${minor}`) }, fc.constant("")),
        fc.oneof(
          fc.constant(""),
          number.map((patch) => `.${patch}`),
          fc.tuple(fc.constantFrom("rc", "beta", "alpha", "x", "RC"), number).map((parts) => parts.join("")),
          fc.constantFrom(".1rc1", "rc1.2", "rc1x", ".", "+a"),
        ),
      )
      .map((parts) => parts.join(""));
    const pairs = cases(fc.tuple(text, text), 800);
    const wanted = ask<[boolean, number]>(pairs.map(([a, b]) => ["goVersion", a, b]));
    expect(pairs.map(([a, b]) => [a, b, isValidGoVersion(a), compareGoVersions(a, b)])).toEqual(
      pairs.map(([a, b], index) => [a, b, ...(wanted[index] ?? [])]),
    );
    expect(wanted.filter(([valid]) => valid).length).toBeGreaterThan(200);
  });
});

describe("Go versions", () => {
  test("1.21 < 1.21rc1 < 1.21.0, and before 1.21 the language version is the first release", () => {
    const ascending = [
      "bad",
      "1",
      "1.16",
      "1.17",
      "1.20rc1",
      "1.20",
      "1.21",
      "1.21rc1",
      "1.21rc2",
      "1.21.0",
      "1.21.10",
      "1.22",
    ];
    expect([...ascending].reverse().sort(compareGoVersions)).toEqual(ascending);
    expect(compareGoVersions("1.20", "1.20.0")).toBe(0);
  });

  test("a go.mod without a go line is not pruned, one from 1.17 on is", () => {
    expect(goVersionOf({})).toBe("1.16");
    expect(goVersionAtLeast(goVersionOf({}), prunedSince)).toBe(false);
    expect(goVersionAtLeast(goVersionOf({ go: "1.17" }), prunedSince)).toBe(true);
    expect(goVersionAtLeast(goVersionOf({ go: "1.9" }), prunedSince)).toBe(false);
  });
});
