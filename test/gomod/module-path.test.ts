import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import { decodeUtf8 } from "../../gomod/go-unicode.ts";
import {
  checkFilePath,
  checkImportPath,
  checkPathMajor,
  comparePaths,
  escapePath,
  matchPrefixPatterns,
  modulePath,
  pathMajorPrefix,
  splitPathVersion,
  unescapePath,
} from "../../gomod/module-path.ts";
import { describeWithOracle } from "../go-command.ts";
import { cpuMilliseconds, LINEAR_MS } from "./cpu-time.ts";
import { ask, cases, outcome, problem, table } from "./oracle.ts";

const reserved = ["con", "prn", "AUX", "nul", "com0", "com1", "COM9", "lpt0", "lpt1", "Lpt9", "lpt10"];
const element = fc.oneof(
  fc
    .tuple(fc.constantFrom(...reserved), fc.constantFrom("", "", ".x", "x", "~1"))
    .map((parts) => parts.join("")),
  fc.constantFrom(
    "a",
    "github.com",
    "gopkg.in",
    "x.y",
    "Azure",
    "v1",
    "v2",
    "v10",
    "v02",
    "yaml.v2",
    "z.v0",
    "con",
  ),
  fc.constantFrom(
    "x.v1-unstable",
    "z~1",
    "z~",
    "a~b~12",
    ".",
    "..",
    "...",
    "a.",
    ".a",
    "-a",
    "!a",
    "!!",
    "com1.txt",
  ),
  fc.constantFrom(
    "",
    "é",
    "испытание",
    "☺",
    "𐐀",
    "a b",
    "a+b",
    "CoN",
    "aux.go",
    "v2.0",
    "v",
    "%41",
    "a@b",
    "\u200b",
  ),
  fc.string({ unit: fc.constantFrom(..."abAZ09.-_~!+ /:@"), maxLength: 6 }),
);
const path = fc.oneof(
  fc.array(element, { minLength: 1, maxLength: 4 }).map((list) => list.join("/")),
  fc.array(element, { minLength: 1, maxLength: 3 }).map((list) => ["example.com", ...list].join("/")),
  fc.array(element, { minLength: 1, maxLength: 2 }).map((list) => ["gopkg.in", ...list].join("/")),
);

function answers(text: string): unknown[] {
  const split = splitPathVersion(text);
  return [
    problem(() => modulePath(text)),
    problem(() => checkImportPath(text)),
    problem(() => checkFilePath(text)),
    outcome(() => escapePath(modulePath(text))),
    outcome(() => unescapePath(text)),
    split === undefined ? [text, "", false] : [split.prefix, split.pathMajor, true],
  ];
}

describeWithOracle("module paths against golang.org/x/mod/module", () => {
  test("x/mod's own table of paths: module, import and file paths", () => {
    const rows = table<[string, boolean, boolean, boolean]>("module/module_test.go", "checkPathTests");
    expect(rows.length).toBeGreaterThanOrEqual(105);
    expect(
      rows.map(([text]) => [
        text,
        problem(() => modulePath(text)) === "",
        problem(() => checkImportPath(text)) === "",
        problem(() => checkFilePath(text)) === "",
      ]),
    ).toEqual(rows);
    for (const [text, valid] of rows) if (!valid) expect(() => unescapePath(text)).toThrow(FormatError);
  });

  test("x/mod's own tables of path endings", () => {
    const splits = table<[string, string]>("module/module_test.go", "splitPathVersionTests");
    expect(splits).toHaveLength(8);
    for (const [prefix, pathMajor] of splits) {
      expect(splitPathVersion(prefix + pathMajor)).toEqual({ prefix, pathMajor });
    }
    const matches = table<[string, string, boolean]>("module/module_test.go", "TestMatchPathMajor");
    expect(matches).toHaveLength(11);
    expect(
      matches.map(([v, ending]) => [v, ending, problem(() => checkPathMajor(v, ending)) === ""]),
    ).toEqual(matches);
  });

  test("x/mod's own tables of escaped paths", () => {
    const rows = table<[string, string?]>("module/module_test.go", "escapeTests");
    expect(rows).toHaveLength(2);
    for (const [text, escaped = text] of rows) {
      expect(escapePath(modulePath(text))).toBe(escaped);
      expect(unescapePath(escaped)).toBe(text);
    }
    const bad = table<string[]>("module/module_test.go", "badUnescape").flat();
    expect(bad.length).toBeGreaterThanOrEqual(5);
    for (const text of bad) expect(() => unescapePath(text)).toThrow(FormatError);
  });

  test("x/mod's own table of prefix patterns", () => {
    const rows = table<[string, string, boolean]>("module/module_test.go", "TestMatchPrefixPatterns");
    expect(rows).toHaveLength(26);
    expect(rows.map(([globs, target]) => [globs, target, matchPrefixPatterns(globs, target)])).toEqual(rows);
  });

  test("a set that holds a byte which is no UTF-8 makes a glob malformed, as path.Match has it", () => {
    const glob = (member: number) =>
      decodeUtf8(Buffer.from([...Buffer.from("[A-"), member, ...Buffer.from("z]*/q")]));
    // Found by test:differential, seed 2106933025: path.Match answers ErrBadPattern, so such a glob matches nothing.
    expect(matchPrefixPatterns(glob(0xc0), "rsc.io/q")).toBe(false);
    expect(matchPrefixPatterns(glob(0x7e), "rsc.io/q")).toBe(true);
  });

  test("random paths get x/mod's answers, in x/mod's words", () => {
    const texts = cases(path, 800);
    expect(texts.map((text) => [text, ...answers(text)])).toEqual(
      ask<unknown[]>(texts.map((text) => ["path", text])).map((wanted, index) => [texts[index], ...wanted]),
    );
    expect(texts.filter((text) => problem(() => modulePath(text)) === "").length).toBeGreaterThan(
      texts.length / 20,
    );
  });

  test("random versions match random path endings as in x/mod", () => {
    const pairs = cases(
      fc.tuple(
        fc.constantFrom(
          "v0.0.0",
          "v1.2.3",
          "v2.0.0",
          "v2.0.0+incompatible",
          "v0.0.0-20190510104115-cbcb75029529",
          "x",
        ),
        fc.constantFrom(
          "",
          "/v2",
          "/v1",
          ".v0",
          ".v1",
          ".v1-unstable",
          ".v2",
          "/v10",
          "v2",
          "/2",
          ".v2-unstable",
        ),
      ),
      200,
    );
    const wanted = ask<[string, { error?: string }]>(pairs.map(([v, ending]) => ["pathMajor", v, ending]));
    expect(pairs.map(([v, ending]) => [v, ending, problem(() => checkPathMajor(v, ending))])).toEqual(
      pairs.map(([v, ending], index) => [v, ending, wanted[index]?.[0]]),
    );
    const prefixes = pairs.map(([, ending]) => outcome(() => pathMajorPrefix(ending)));
    // x/mod panics where we throw: compared without the words.
    const withoutWords = (list: ({ error?: string } | undefined)[]) =>
      list.map((one) => (one?.error === undefined ? one : "refused"));
    expect(withoutWords(prefixes)).toEqual(withoutWords(wanted.map(([, prefix]) => prefix)));
  });

  test("random globs match random paths as in x/mod", () => {
    const piece = fc.constantFrom(
      ...["a", "b", "/", "*", "*", "?", "[a]", "[^a]", "[a-b]", "[b-a]", "[/]", "[^/]", "\\a", "\\*", ","],
      ...[
        "[",
        "]",
        "[]",
        "[]a]",
        "[-a]",
        "[a-]",
        "[a",
        "[^",
        "[\\]]",
        "[*]",
        "[a-",
        "[\\",
        "\\",
        "-",
        "[é-\u{1f600}]",
      ],
    );
    const glob = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(""));
    const target = fc.array(fc.constantFrom(..."aaabb/-*]"), { maxLength: 7 }).map((units) => units.join(""));
    const pairs = cases(fc.tuple(glob, target), 2000);
    const wanted = ask<boolean>(pairs.map(([globs, text]) => ["matchPatterns", globs, text]));
    expect(pairs.map(([globs, text]) => [globs, text, matchPrefixPatterns(globs, text)])).toEqual(
      pairs.map(([globs, text], index) => [globs, text, wanted[index]]),
    );
    expect(wanted.filter(Boolean).length).toBeGreaterThan(wanted.length / 50);
  });
});

describe("module paths", () => {
  test("the error names what was parsed", () => {
    const error = (() => {
      try {
        return modulePath("example.com/Ä");
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({
      subject: "example.com/Ä",
      message: `malformed module path "example.com/Ä": invalid char 'Ä'`,
    });
  });

  test.each(["\ud800", "a.b/\udc80", "a.b/\0", "a.b/\r\nX: y", "a.b/%2e%2e", `a.b/${"../".repeat(1000)}`])(
    "%j is no path of any kind of module",
    (text) => {
      expect(() => modulePath(text)).toThrow(FormatError);
      expect(() => unescapePath(text)).toThrow(FormatError);
    },
  );

  test("text that cannot come from UTF-8 is refused as that", () => {
    expect(problem(() => checkFilePath("a/\udcff"))).toMatch(/: invalid UTF-8$/);
    expect(problem(() => modulePath("a.b/\udcff"))).toMatch(/: invalid UTF-8$/);
  });

  test("a path or a glob of a million characters takes linear time", () => {
    const spent = cpuMilliseconds(() => {
      expect(problem(() => modulePath(`a.b/${"x~".repeat(500_000)}1`))).toMatch("tilde");
      expect(problem(() => unescapePath("!".repeat(1_000_000)))).toMatch("invalid escaped");
      expect(matchPrefixPatterns("*a".repeat(500), "b".repeat(1000))).toBe(false);
    });
    expect(spent).toBeLessThan(LINEAR_MS);
  });

  test("paths sort by bytes, not by UTF-16 units", () => {
    const sorted = ["", "a", "a-b", "a/b", "ab", "é", "\uffee", "\u{10000}", "\u{1f600}"];
    const shuffled = [...sorted].reverse();
    expect(shuffled.sort(comparePaths)).toEqual(sorted);
    expect([...sorted].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))).toEqual(sorted);
  });
});
