import { readFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { parseGoMod } from "../../gomod/go-mod.ts";
import { quote, unquote } from "../../gomod/go-quote.ts";
import { parseGoSum } from "../../gomod/go-sum.ts";
import { decodeUtf8 } from "../../gomod/go-unicode.ts";
import { compareGoVersions, isValidGoVersion } from "../../gomod/go-version.ts";
import { parseGoWork } from "../../gomod/go-work.ts";
import { parseInfo, printInfo } from "../../gomod/info.ts";
import {
  checkFilePath,
  checkImportPath,
  checkPathMajor,
  comparePaths,
  escapePath,
  matchPrefixPatterns,
  modulePath,
  splitPathVersion,
  unescapePath,
} from "../../gomod/module-path.ts";
import {
  isPseudoVersion,
  pseudoVersion,
  pseudoVersionBase,
  pseudoVersionRev,
  pseudoVersionTime,
} from "../../gomod/pseudo-version.ts";
import {
  build,
  canonicalSemver,
  compareSemver,
  isValidSemver,
  major,
  majorMinor,
  prerelease,
} from "../../gomod/semver.ts";
import { canonicalVersion, escapeRevision, moduleVersion, unescapeRevision } from "../../gomod/version.ts";
import { describeWithOracle } from "../go-command.ts";
import { askGoCommand } from "./go-command-oracle.ts";
import { mutant } from "./mutations.ts";
import { ask, askBytes, cases, type Outcome, outcome, problem, table } from "./oracle.ts";

/** Go's JSON cannot hold bytes that are no UTF-8: each becomes U+FFFD, as our lone surrogates do here. */
function printable<Value>(value: Value): Value {
  return JSON.parse(
    // Go's modfile.File does not tell what cmd/go finds by the bytes.
    JSON.stringify(value, (name, field) =>
      name === "isLegacy" ? undefined : typeof field === "string" ? field.toWellFormed() : field,
    ),
  );
}

/** Holds our answers about the mutated arguments against Go's, one by one, so that the failure names its input. */
function compare(
  operation: string,
  questions: readonly (readonly Buffer[])[],
  ours: (...texts: string[]) => unknown,
  theirs: (answer: unknown, ...texts: string[]) => unknown = (answer) => answer,
): unknown[] {
  const answers = askBytes<unknown>(operation, questions);
  for (const [index, args] of questions.entries()) {
    const texts = args.map(decodeUtf8);
    const input = args.map((arg) => arg.toString("latin1"));
    expect({ input, answer: printable(ours(...texts)) }).toEqual({
      input,
      answer: theirs(answers[index], ...texts),
    });
  }
  return answers;
}

/** As many as make the mutants worth something: a fence has two sides. */
function expectBothSides(accepted: number, all: number): void {
  expect(accepted).toBeGreaterThan(all / 50);
  expect(accepted).toBeLessThan(all - all / 50);
}

describeWithOracle("mutants of x/mod's own samples get Go's answers", () => {
  let versions: string[];
  let pseudo: string[];
  let paths: string[];
  beforeAll(() => {
    pseudo = table<[string, string, string]>("module/pseudo_test.go", "pseudoTests").map(
      ([, , text]) => text,
    );
    versions = [
      ...table<[string]>("semver/semver_test.go", "tests").map(([text]) => text),
      ...table<[string, string]>("module/module_test.go", "checkTests").map(([, text]) => text),
      ...pseudo,
      "v1.2.3-alpha.1.beta+meta.01",
      "v1.0.0-1.20.0.3",
      "v99999999999999999999.0.0",
    ];
    paths = [
      ...table<[string]>("module/module_test.go", "checkPathTests").map(([text]) => text),
      ...table<[string, string]>("module/module_test.go", "splitPathVersionTests").map((row) => row.join("")),
      ...table<[string, string?]>("module/module_test.go", "escapeTests").flatMap((row) =>
        row.filter(Boolean),
      ),
      "gopkg.in/yaml.v2-unstable",
      "github.com/!azure/azure-sdk-for-go/v2",
    ] as string[];
  });
  const one = (samples: readonly string[], count: number) => cases(fc.tuple(mutant(samples)), count);
  const two = (a: readonly string[], b: readonly string[], count: number) =>
    cases(fc.tuple(mutant(a), mutant(b)), count);

  test("semantic versions and their parts", () => {
    const answers = compare("semver", one(versions, 300), (v) => [
      isValidSemver(v),
      canonicalSemver(v),
      major(v),
      majorMinor(v),
      prerelease(v),
      build(v),
      canonicalVersion(v),
    ]);
    expectBothSides(answers.filter((answer) => (answer as [boolean])[0]).length, answers.length);
  });

  test("their order", () => {
    compare("compareSemver", two(versions, versions, 200), compareSemver);
    const changed = cases(
      mutant(versions).chain((bytes) => fc.tuple(fc.constant(bytes), mutant([bytes]))),
      200,
    );
    compare("compareSemver", changed, compareSemver);
  });

  test("module, import and file paths, escaped, unescaped and split", () => {
    const answers = compare("path", one(paths, 400), (path) => {
      const split = splitPathVersion(path);
      return [
        problem(() => modulePath(path)),
        problem(() => checkImportPath(path)),
        problem(() => checkFilePath(path)),
        outcome(() => escapePath(modulePath(path))),
        outcome(() => unescapePath(path)),
        split === undefined ? [path, "", false] : [split.prefix, split.pathMajor, true],
      ];
    });
    expectBothSides(answers.filter((answer) => (answer as [string])[0] === "").length, answers.length);
  });

  test("paths with versions", () => {
    const rows = table<[string, string]>("module/module_test.go", "checkTests");
    const pair = fc
      .constantFrom(...rows)
      .chain(([path, version]) =>
        fc.tuple(mutant([path, path, path, ...paths]), mutant([version, version, ...versions])),
      );
    const answers = compare(
      "check",
      cases(pair, 300),
      (path, version) => problem(() => moduleVersion(path, version)) === "",
      // x/mod takes v1.2 and v1.2.3+meta too; ours makes a key of the version, which has one spelling.
      (said, _, version = "") => said === "" && canonicalVersion(version) === version,
    );
    expectBothSides(answers.filter((said) => said === "").length, answers.length);
    compare(
      "pathMajor",
      two(versions, ["/v2", ".v1", ".v0", ".v1-unstable", "/v10", ""], 200),
      (version, ending) => [problem(() => checkPathMajor(version, ending))],
      (answer) => [(answer as string[])[0]],
    );
  });

  test("versions, escaped and unescaped", () => {
    compare(
      "revision",
      one([...versions, "master", "feature/x", "v1.0.0-!r!c1"], 300),
      (text) => [outcome(() => escapeRevision(text)), outcome(() => unescapeRevision(text))],
      (answer, text) => {
        const [escaped, unescaped] = answer as [Outcome<string>, Outcome<string>];
        // To letters beyond ASCII x/mod answers with an internal error: ours says what it says to all others.
        const internal = escaped.error?.startsWith("internal error") === true;
        return [
          internal ? { error: `version ${quote(text)} invalid: disallowed version string` } : escaped,
          unescaped,
        ];
      },
    );
  });

  test("pseudo-versions, taken apart and made", () => {
    const answers = compare("pseudo", one(pseudo, 300), (text) => [
      isPseudoVersion(text),
      outcome(() => pseudoVersionTime(text).toISOString().replace(".000Z", "Z")),
      outcome(() => pseudoVersionRev(text)),
      outcome(() => pseudoVersionBase(text)),
    ]);
    expectBothSides(answers.filter((answer) => (answer as [boolean])[0]).length, answers.length);
    const made = two(["", "v1", "v2"], versions, 100).map(([m, older]) => [
      m,
      older,
      "2006-01-02T15:04:05Z",
      "abcdef123456",
    ]);
    compare(
      "makePseudo",
      made.map((args) => args.map((arg) => Buffer.from(arg ?? ""))),
      (m = "", older = "", time = "", rev = "") => pseudoVersion(m, older, new Date(time), rev),
    );
  });

  test("globs and paths", () => {
    const rows = table<[string, string, boolean]>("module/module_test.go", "TestMatchPrefixPatterns");
    const asked = fc
      .constantFrom(...rows)
      .chain(([globs, target]) =>
        fc.tuple(mutant([globs, "[a-z]*/?,\\*.b/[^c]", "[x-z]y[^-a]"]), mutant([target])),
      )
      // A target is a module path, which is ASCII.
      .filter(([, target]) => target.every((byte) => byte < 0x80));
    const answers = compare("matchPatterns", cases(asked, 400), matchPrefixPatterns);
    expectBothSides(answers.filter(Boolean).length, answers.length);
  });

  test("Go versions", () => {
    const samples = ["1.21", "1.21rc1", "1.21.0", "1.9", "1", "1.22.10", "1.20beta2", "2.0"];
    const questions = two(samples, samples, 300);
    const wanted = askGoCommand<[boolean, number]>("gover", questions);
    for (const [index, args] of questions.entries()) {
      const [a = "", b = ""] = args.map(decodeUtf8);
      expect([a, b, isValidGoVersion(a), compareGoVersions(a, b)]).toEqual([a, b, ...(wanted[index] ?? [])]);
    }
    expectBothSides(wanted.filter(([valid]) => valid).length, wanted.length);
  });

  test("quoted text", () => {
    const samples = ['"a\\tb"', '"\\u00e9\\x41\\101"', '"plain"', '"\\""', '"é\\U0001f600"'];
    const questions = one(samples, 300).filter(([text]) => !/^[`']/.test(text.toString("latin1")));
    compare(
      "quote",
      questions,
      (text) => [quote(text), unquote(text) ?? null],
      (answer) => {
        const [quoted, unquoted] = answer as [string, Outcome<string>];
        return [quoted, unquoted.error === undefined ? (unquoted.value ?? "") : null];
      },
    );
  });

  test.each(["strict", "lax", "work"] as const)(
    "go.mod and go.work files, their errors and positions: %s",
    (mode) => {
      const names = ask<string[]>([["testdata"]])[0]?.filter((name) => /\.(?:in|golden)$/.test(name)) ?? [];
      const files = [
        ...names.map((name) => readFileSync(name)),
        ...everyDirective.map((text) => Buffer.from(text)),
      ]
        // Large ones only make large mutants.
        .filter((file) => file.length < 2000);
      const asked = cases(mutant(files), 500);
      const wanted = askBytes<Outcome<unknown>>(
        mode,
        asked.map((file) => [Buffer.from("go.mod"), Buffer.from(file.toString("base64"))]),
      );
      let accepted = 0;
      for (const [index, file] of asked.entries()) {
        const ours = outcome(() =>
          mode === "work" ? parseGoWork("go.mod", file) : parseGoMod("go.mod", file, mode),
        );
        const input = file.toString("latin1");
        expect({ input, ...printable(ours) }).toEqual({ input, ...wanted[index] });
        if (ours.error === undefined) accepted++;
      }
      expectBothSides(accepted, asked.length);
    },
  );

  test("go.sum files, as the go command itself reads them", () => {
    const hash = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const empty = "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=";
    const samples = [
      `a.b/c v1.0.0 ${hash}\na.b/c v1.0.0/go.mod ${hash}\n`,
      `a.b/c v1.0.0/go.mod ${empty}\r\n\n  a.b/d\tv2.0.0+incompatible/go.mod ${hash}`,
      `a.b/c v1.0.0 h1:x\na.b/c v1.0.0 h1:y\na.b/c v1.0.0 h9:z\n`,
    ];
    const files = cases(mutant(samples), 300);
    const wanted = askGoCommand<Outcome<string[]>>(
      "goSum",
      files.map((file) => [file]),
    );
    for (const [index, file] of files.entries()) {
      const ours = outcome(() =>
        parseGoSum("go.sum", file)
          .entries.map(
            ({ path, version, kind, hash: h }) => `${path} ${version}${kind === "mod" ? "/go.mod" : ""} ${h}`,
          )
          .sort(comparePaths),
      );
      const input = file.toString("latin1");
      expect({ input, ...printable(ours) }).toEqual({ input, ...wanted[index] });
    }
    expectBothSides(wanted.filter(({ error }) => error === undefined).length, files.length);
  });

  test("info files: never accepted what Go refuses, never read as something else", () => {
    const samples = [
      '{"Version":"v1.0.0","Time":"2020-01-02T03:04:05Z"}',
      '{"Version":"v1.0.0","Time":"2020-01-02T03:04:05.000001Z","Origin":{"VCS":"git","URL":"https://a.b/c","Hash":"abc","Ref":"refs/tags/v1.0.0"}}',
      '{"version":"v1.0.0","time":"2020-01-02T03:04:05+01:00","origin":{"vcs":"git"},"Name":[1,{"a":null}]}',
      '{"Version":"v1.0.0","Verſion":"v1.0.1","Origin":{"VCS":"git"},"Origin":{"URL":"x"}}',
    ];
    const files = cases(mutant(samples), 400);
    const wanted = ask<Outcome<string>>(files.map((file) => ["info", file.toString("base64")]));
    let accepted = 0;
    for (const [index, file] of files.entries()) {
      const ours = outcome(() => printInfo(parseInfo(file)));
      if (ours.error !== undefined) continue;
      accepted++;
      const input = file.toString("latin1");
      // Our time is verbatim: it may have more digits than the nine that Go keeps, or another name for UTC.
      const value = ours.value?.replace(/"Time":"[^"]*"/, (time) =>
        time
          .replace(/\.(\d{9})\d+/, ".$1")
          .replace(/(\.\d*?)0+([Z+-])/, "$1$2")
          .replace(/\.(?=[Z+-])/, "")
          .replace(/[+-]00:00/, "Z"),
      );
      expect({ input, ...printable({ value }) }).toEqual({ input, ...wanted[index] });
    }
    expectBothSides(accepted, files.length);
  });
});

/** Each directive alone and in a block, with what go's own testdata seldom has. */
const everyDirective = [
  "module example.com/a/v2\n\ngo 1.24.0\n\ntoolchain go1.24.1\n\ngodebug default=go1.21\n",
  "// Deprecated: use b\nmodule gopkg.in/yaml.v2-unstable // x\n\ngodebug (\n\tpanicnil=1\n\tasynctimerchan=0\n)\n",
  'require (\n\t"example.com/b" v1.2.0 // indirect\n\texample.com/c v2.0.0+incompatible // indirect; why\n\n\t// c\n\tgopkg.in/x.v1 v0.0.0-20200101000000-abcdefabcdef\n)\n',
  "exclude example.com/b v1.1.0\nexclude (\n\texample.com/c/v3 v3.0.0-rc.1 // no\n)\n",
  "replace example.com/b v1.2.0 => ../b\nreplace (\n\texample.com/c => example.com/d v1.0.0\n\texample.com/e v1 => ./e // e\n)\n",
  '// bad\nretract [v1.0.0, v1.0.5]\nretract (\n\tv1.1.0 // why\n\t[v1.2.0,v1.3.0]\n\n\t"v1.4.0"\n)\n',
  "tool example.com/c/cmd\ntool (\n\ta.b/x\n\ta.b/y // y\n)\nignore ./node_modules\nignore (\n\tx/y\n\t`z`\n)\n",
  "go 1.26\nuse ./a\nuse (\n\t./b // b\n\t..\n\t/abs\n)\nreplace a.b/c => ./c\ntoolchain default\n",
  "module m\r\n\r\nrequire (\r\n\ta.b/c v1.0.0 // indirect\r\n)\r\n",
];
