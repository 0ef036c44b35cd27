import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import {
  isPseudoVersion,
  pseudoVersion,
  pseudoVersionBase,
  pseudoVersionRev,
  pseudoVersionTime,
  zeroPseudoVersion,
} from "../../gomod/pseudo-version.ts";
import {
  compareModuleVersions,
  compareVersions,
  escapeRevision,
  escapeVersion,
  formatModuleVersion,
  isIncompatible,
  moduleVersion,
  parseModuleVersion,
  unescapeRevision,
  unescapeVersion,
  version,
} from "../../gomod/version.ts";
import { describeWithOracle } from "../go-command.ts";
import { cpuMilliseconds, LINEAR_MS } from "./cpu-time.ts";
import { ask, cases, outcome, problem, table } from "./oracle.ts";

/** Mostly the good ones: a text is a pseudo-version only where all its parts are good. */
function mostly<Part>(good: readonly Part[], bad: readonly Part[]): fc.Arbitrary<Part> {
  return fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...good) },
    { weight: 1, arbitrary: fc.constantFrom(...bad) },
  );
}
const nearPseudo = fc
  .tuple(
    mostly(
      ["v0.0.0", "v1.0.0", "v1.0.1", "v1.2.3", "v2.0.0", "v1.2.100000000000000000000"],
      ["v1.10.0", "v01.0.0", "v1.0"],
    ),
    mostly(
      ["-", "-0.", "-pre.0.", "--.0.", "-0.0."],
      ["-pre.1.", "-pre-0.", "-pre-", "-.0.", "-x.00.", "-20060102150405-"],
    ),
    mostly(
      ["20060102150405", "20240229235959", "00010101000000"],
      ["20230229000000", "99991231240000", "2006010215040", "200601021504056"],
    ),
    mostly(["-hash", "-abcdef123456"], ["-", "", "-a.b", "-a-b", "-é"]),
    mostly(["", "", "+incompatible", "+meta.1"], ["+", "+a+b"]),
  )
  .map((parts) => parts.join(""));
const canonical = fc
  .tuple(
    fc.constantFrom("v0.0.0", "v1.2.3", "v1.10.0", "v1.2.0"),
    fc.constantFrom("", "-rc.1", "-RC2", "-0.20060102150405-hash", "+incompatible"),
  )
  .map((parts) => parts.join(""));

describeWithOracle("versions against golang.org/x/mod/module", () => {
  test("x/mod's own table of pseudo-versions: made, taken apart, and told from others", () => {
    const rows = table<[string, string, string]>("module/pseudo_test.go", "pseudoTests");
    expect(rows).toHaveLength(13);
    const time = new Date("2006-01-02T15:04:05Z");
    for (const [majorVersion, older, pseudo] of rows) {
      expect(pseudoVersion(majorVersion, older, time, "hash")).toBe(pseudo);
      expect([isPseudoVersion(pseudo), isPseudoVersion(older)]).toEqual([true, false]);
      expect(pseudoVersionTime(pseudo)).toEqual(time);
      expect(pseudoVersionRev(pseudo)).toBe("hash");
      expect(pseudoVersionBase(pseudo)).toBe(older);
    }
    const invalid = table<string[]>("module/pseudo_test.go", "TestInvalidPseudoVersionBase").flat();
    expect(invalid).toHaveLength(7);
    for (const text of invalid) expect(() => pseudoVersionBase(text)).toThrow(FormatError);
    // TestInvalidPseudoVersionTime has this one text.
    expect(() => pseudoVersionTime("---")).toThrow(FormatError);
  });

  test("random near-pseudo-versions get x/mod's answers, in x/mod's words", () => {
    const texts = cases(nearPseudo, 800);
    const mine = texts.map((text) => [
      text,
      isPseudoVersion(text),
      outcome(() => pseudoVersionTime(text).toISOString().replace(".000Z", "Z")),
      outcome(() => pseudoVersionRev(text)),
      outcome(() => pseudoVersionBase(text)),
    ]);
    const wanted = ask<unknown[]>(texts.map((text) => ["pseudo", text]));
    expect(mine).toEqual(wanted.map((answer, index) => [texts[index], ...answer]));
    expect(texts.filter(isPseudoVersion).length).toBeGreaterThan(texts.length / 10);
  });

  test("pseudo-versions are made as in x/mod", () => {
    const older = fc.constantFrom(
      "",
      "v1.2.3",
      "v1.2.99",
      "v1.0.0-pre",
      "v2.0.0+incompatible",
      "v1.2.3-a+b",
      "bad",
      "v1",
    );
    const time = fc.date({
      min: new Date("0001-01-01T00:00:00Z"),
      max: new Date("9999-12-31T23:59:59Z"),
      noInvalidDate: true,
    });
    const made = cases(fc.tuple(fc.constantFrom("", "v0", "v1", "v2"), older, time), 300);
    const wanted = ask<string>(
      made.map(([m, old, at]) => ["makePseudo", m, old, at.toISOString(), "abcdef123456"]),
    );
    expect(made.map(([m, old, at]) => pseudoVersion(m, old, at, "abcdef123456"))).toEqual(wanted);
    expect(["", "v0", "v2"].map(zeroPseudoVersion)).toEqual(
      ask(["", "v0", "v2"].map((m) => ["zeroPseudo", m])),
    );
  });

  test("x/mod's own table of path and version", () => {
    const rows = table<[string, string, boolean]>("module/module_test.go", "checkTests");
    expect(rows).toHaveLength(29);
    expect(rows.map(([path, v]) => [path, v, problem(() => moduleVersion(path, v)) === ""])).toEqual(rows);
  });

  test("what is escaped as a version is what x/mod escapes", () => {
    const revision = fc.oneof(
      canonical,
      fc.string({ unit: fc.constantFrom(..."vV1.!-+/aZé "), maxLength: 8 }),
      fc.constantFrom(
        "master",
        "HEAD",
        "con",
        "v1.0.0-RC1",
        "v1.0.0-!r!c1",
        "!",
        "a!",
        "a!1",
        "é",
        ".",
        "a.",
      ),
    );
    const texts = cases(revision, 500);
    const wanted = ask<[{ error?: string }, { error?: string }]>(texts.map((text) => ["revision", text]));
    const answers = texts.map((text, index) => {
      const [escaped, unescaped] = wanted[index] ?? [];
      // To letters beyond ASCII x/mod answers with an internal error: ours says what it says to all others.
      const internal = escaped?.error?.startsWith("internal error") === true;
      return [
        text,
        internal ? { error: `version "${text}" invalid: disallowed version string` } : escaped,
        unescaped,
      ];
    });
    expect(
      texts.map((text) => [text, outcome(() => escapeRevision(text)), outcome(() => unescapeRevision(text))]),
    ).toEqual(answers);
  });

  test("versions and module versions sort as semver.Sort and module.Sort do", () => {
    const lists = cases(fc.uniqueArray(canonical, { maxLength: 12 }), 50);
    const sorted = ask<string[]>(lists.map((list) => ["sortVersions", ...list]));
    expect(lists.map((list) => list.map(version).sort(compareVersions))).toEqual(sorted);
    const path = fc.constantFrom("a.b/c", "a.b/c-d", "a.b/c/d", "a.b/C", "a.c");
    const semverOnly = canonical.filter((v) => !v.endsWith("+incompatible"));
    const modules = cases(
      fc.uniqueArray(fc.tuple(path, semverOnly), { maxLength: 12, selector: (pair) => pair.join("@") }),
      50,
    );
    expect(
      modules.map((list) =>
        list
          .map(([p, v]) => moduleVersion(p, v))
          .sort(compareModuleVersions)
          .map(formatModuleVersion),
      ),
    ).toEqual(ask(modules.map((list) => ["sortModules", ...list.flat()])));
  });
});

describe("versions", () => {
  test.each([
    ["v1", "not canonical, want v1.0.0"],
    ["v1.2.3+meta", "not canonical, want v1.2.3"],
    ["v1+incompatible", "must be of the form v1.2.3"],
    ["1.2.3", "must be of the form v1.2.3"],
    ["", "must be of the form v1.2.3"],
    ["v1.2.3\n", "must be of the form v1.2.3"],
  ])("%j is not canonical, and the error says what would be", (text, wanted) => {
    expect(problem(() => version(text))).toBe(`version ${JSON.stringify(text)} invalid: ${wanted}`);
  });

  test("escaping is reversed by unescaping", () => {
    const rc = version("v1.0.0-RC1+incompatible");
    expect(escapeVersion(rc)).toBe("v1.0.0-!r!c1+incompatible");
    expect(unescapeVersion(escapeVersion(rc))).toBe(rc);
    expect(isIncompatible(rc)).toBe(true);
    expect(() => unescapeVersion("master")).toThrow(FormatError);
  });

  test("path@version is read and printed again", () => {
    const text = "github.com/Azure/go-autorest@v14.2.0+incompatible";
    expect(formatModuleVersion(parseModuleVersion(text))).toBe(text);
  });

  test.each([
    "a.b/c",
    "a.b/c@",
    "@v1.0.0",
    "a.b/c@v1",
    "a.b/c@v2.0.0",
    "a.b/c@v1.0.0@v1.0.0",
    "a.b/c@latest",
    "\0@v1.0.0",
  ])("%j is no module version", (text) => {
    expect(() => parseModuleVersion(text)).toThrow(FormatError);
  });

  test("a time that a pseudo-version cannot hold is refused", () => {
    expect(() => pseudoVersion("v0", "", new Date("+010000-01-01T00:00:00Z"), "x")).toThrow(FormatError);
    expect(() => pseudoVersion("v0", "", new Date(Number.NaN), "x")).toThrow(FormatError);
  });

  test("a version of a million characters takes linear time", () => {
    const spent = cpuMilliseconds(() => {
      expect(isPseudoVersion(`v1.0.0-${"0.20060102150405-".repeat(60_000)}a`)).toBe(false);
      expect(isPseudoVersion(`v1.0.0-${"-".repeat(1_000_000)}`)).toBe(false);
    });
    expect(spent).toBeLessThan(LINEAR_MS);
  });
});
