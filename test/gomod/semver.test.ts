import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  build,
  canonicalSemver,
  compareSemver,
  isValidSemver,
  major,
  majorMinor,
  prerelease,
} from "../../gomod/semver.ts";
import { canonicalVersion } from "../../gomod/version.ts";
import { describeWithOracle } from "../go-command.ts";
import { cpuMilliseconds, LINEAR_MS } from "./cpu-time.ts";
import { ask, cases, table } from "./oracle.ts";

const goodNumber = fc.constantFrom("0", "1", "2", "9", "10", "99999999999999999999");
const number = fc.oneof(
  { weight: 12, arbitrary: goodNumber },
  { weight: 1, arbitrary: fc.constantFrom("01", "00", "") },
);
const goodWord = fc.constantFrom("a", "rc", "alpha", "-", "--", "0a", "a-b", "Z", "00a");
const word = fc.oneof(
  { weight: 12, arbitrary: goodWord },
  { weight: 1, arbitrary: fc.constantFrom("é", "a b", "") },
);
const suffix = fc.array(fc.oneof(number, word), { minLength: 1, maxLength: 3 }).map((list) => list.join("."));
const core = fc.oneof(
  { weight: 6, arbitrary: fc.array(number, { minLength: 3, maxLength: 3 }) },
  { weight: 1, arbitrary: fc.array(number, { minLength: 1, maxLength: 4 }) },
);
/** Texts that are versions, or nearly so. */
const nearVersion = fc
  .tuple(
    fc.oneof({ weight: 20, arbitrary: fc.constant("v") }, { weight: 1, arbitrary: fc.constantFrom("", "V") }),
    core.map((list) => list.join(".")),
    fc.oneof(
      fc.constant(""),
      suffix.map((text) => `-${text}`),
    ),
    fc.oneof(
      { weight: 3, arbitrary: fc.constant("") },
      suffix.map((text) => `+${text}`),
      fc.constant("+incompatible"),
    ),
  )
  .map((parts) => parts.join(""));

function answers(text: string): unknown[] {
  return [
    isValidSemver(text),
    canonicalSemver(text),
    major(text),
    majorMinor(text),
    prerelease(text),
    build(text),
    canonicalVersion(text),
  ];
}

describeWithOracle("semver against golang.org/x/mod/semver", () => {
  test("x/mod's own table: valid and canonical forms, and their order", () => {
    const rows = table<[string, string]>("semver/semver_test.go", "tests");
    expect(rows).toHaveLength(32);
    expect(rows.map(([text]) => [text, canonicalSemver(text)])).toEqual(rows);
    expect(rows.map(([text]) => isValidSemver(text))).toEqual(rows.map(([, canonical]) => canonical !== ""));
    // The table ascends; rows with one canonical form are equal.
    rows.forEach(([a, canonicalA], first) => {
      rows.forEach(([b, canonicalB], second) => {
        const wanted = canonicalA === canonicalB ? 0 : Math.sign(first - second);
        expect([a, b, compareSemver(a, b)]).toEqual([a, b, wanted]);
      });
    });
  });

  test("every part of random texts is what x/mod says", () => {
    const texts = cases(fc.oneof(nearVersion, fc.string({ unit: fc.constantFrom(..."v01.-+a") })), 600);
    expect(texts.map((text) => [text, ...answers(text)])).toEqual(
      ask<unknown[]>(texts.map((text) => ["semver", text])).map((wanted, index) => [texts[index], ...wanted]),
    );
    expect(texts.filter(isValidSemver).length).toBeGreaterThan(texts.length / 10);
  });

  test("random pairs compare as in x/mod, and the other way round", () => {
    const pairs = cases(
      fc
        .tuple(nearVersion, nearVersion, fc.boolean())
        .map(([a, b, near]) => [a, near ? `${a}${b.slice(-1)}` : b]),
      600,
    ) as [string, string][];
    const wanted = ask<number>(pairs.map(([a, b]) => ["compareSemver", a, b]));
    expect(pairs.map(([a, b]) => [a, b, compareSemver(a, b), compareSemver(b, a) + 0])).toEqual(
      pairs.map(([a, b], index) => [a, b, wanted[index], 0 - (wanted[index] ?? 0)]),
    );
  });
});

describe("semver", () => {
  test.each([
    "v",
    "v1.",
    "v1.2.3-",
    "v1.2.3+",
    "v1.2.3-.",
    "v1.2.3-01",
    "v1.2.3\n",
    "v1.2.3 ",
    "v١.0.0",
    "v1.2.3-é",
  ])("%j is no version", (text) => {
    expect(answers(text)).toEqual([false, "", "", "", "", "", ""]);
    expect(compareSemver(text, "v0.0.0-0")).toBe(-1);
  });

  test("a version of a million characters takes linear time", () => {
    const long = `v1.0.0-${"0.".repeat(500_000)}a`;
    const spent = cpuMilliseconds(() => {
      expect(compareSemver(`${long}.1`, `${long}.2`)).toBe(-1);
      expect(isValidSemver(`v1.0.0-${"-.".repeat(500_000)}`)).toBe(false);
    });
    expect(spent).toBeLessThan(LINEAR_MS);
  });
});
