import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import { type GoMod, ModFileError, parseGoMod } from "../../gomod/go-mod.ts";
import { parseGoWork } from "../../gomod/go-work.ts";
import { describeWithOracle } from "../go-command.ts";
import { cpuMilliseconds, LINEAR_MS } from "./cpu-time.ts";
import { modFile } from "./modfile-cases.ts";
import { ask, cases, type Outcome, outcome, table } from "./oracle.ts";

type Mode = "strict" | "lax" | "work";

const parse = (mode: Mode, file: Uint8Array | string) =>
  outcome(() => (mode === "work" ? parseGoWork("go.mod", file) : parseGoMod("go.mod", file, mode)));

/** Go's JSON cannot hold bytes that are no UTF-8; and its modfile.File does not tell what cmd/go finds by the bytes. */
const wellFormed = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (name, field) =>
      name === "isLegacy" ? undefined : typeof field === "string" ? field.toWellFormed() : field,
    ),
  );

function compareWithGo(mode: Mode, files: readonly Buffer[]): Outcome<unknown>[] {
  const wanted = ask<Outcome<unknown>>(files.map((file) => [mode, "go.mod", file.toString("base64")]));
  for (const [index, file] of files.entries()) {
    const text = file.toString();
    expect({ text, ...(wellFormed(parse(mode, file)) as object) }).toEqual({ text, ...wanted[index] });
  }
  return wanted;
}

describeWithOracle("go.mod and go.work against golang.org/x/mod/modfile", () => {
  test.each(["strict", "lax", "work"] as const)("x/mod's own testdata parse the same: %s", (mode) => {
    const files = ask<string[]>([["testdata"]])[0]?.filter((name) => /\.(?:in|golden)$/.test(name)) ?? [];
    expect(files.length).toBeGreaterThanOrEqual(30);
    compareWithGo(
      mode,
      files.map((name) => readFileSync(name)),
    );
  });

  test("x/mod's own tables of deprecations and rationales", () => {
    const deprecated = table<[string, string, string]>("modfile/rule_test.go", "moduleDeprecatedTests");
    expect(deprecated.length).toBeGreaterThanOrEqual(10);
    for (const [name, text, want] of deprecated) {
      expect([name, parseGoMod("go.mod", text, "strict").module?.deprecated ?? ""]).toEqual([name, want]);
    }
    const rationales = table<[string, string, string]>("modfile/rule_test.go", "retractRationaleTests");
    expect(rationales.length).toBeGreaterThanOrEqual(5);
    for (const [name, text, want] of rationales) {
      expect([name, parseGoMod("go.mod", text, "strict").retract[0]?.rationale]).toEqual([name, want]);
    }
  });

  test("x/mod's own table of go and toolchain lines", () => {
    const rows = table<[string, string, boolean, boolean?]>("modfile/read_test.go", "TestParseVersions");
    expect(rows.length).toBeGreaterThanOrEqual(20);
    for (const [name, text, ok, laxOk = false] of rows) {
      const strict = parse("strict", text).error === undefined;
      const lax = parse("lax", text).error === undefined;
      // As x/mod's own test has it: laxOk allows, it does not demand.
      expect([name, text, strict, lax && !ok && !laxOk, ok && !lax]).toEqual([name, text, ok, false, false]);
    }
    const files = rows.map(([, text]) => Buffer.from(text));
    compareWithGo("strict", files);
    compareWithGo("lax", files);
  });

  test.each(["strict", "lax", "work"] as const)(
    "random files give the same content, or the same errors at the same positions: %s",
    (mode) => {
      const wanted = compareWithGo(mode, cases(modFile, 500));
      const accepted = wanted.filter(({ error }) => error === undefined).length;
      const several = wanted.filter(({ error }) => error?.includes("\n")).length;
      expect(accepted).toBeGreaterThan(wanted.length / 20);
      expect(several).toBeGreaterThan(mode === "lax" ? 0 : wanted.length / 20);
    },
  );

  /** In a dependency, a line that go passes over may still hand its comment to an earlier one. */
  const broken = 'odd "\\\n"';
  test.each([
    ["a line before a broken one", `require a.b/c v1.0.0\n${broken} // indirect\n`, true],
    ["a line with its own comment", `require a.b/c v1.0.0 // x\n${broken} // indirect\n`, false],
    ["a line before two broken ones", `require a.b/c v1.0.0\n${broken}\n${broken} // indirect\n`, true],
    ["the later of two lines", `require a.b/c v1.0.0\nodd\n${broken} // indirect\n`, false],
    ["a block of comments", `require a.b/c v1.0.0\n// x\n\n${broken} // indirect\n`, false],
    ["a comment that belongs to the line", `require a.b/c v1.0.0\n// x\n${broken} // indirect\n`, true],
    ["an opening parenthesis", `require a.b/c v1.0.0\nodd (\n\t${broken} // indirect\n)\n`, false],
    ["a closing parenthesis", `require (\n\ta.b/c v1.0.0\n)\n${broken} // indirect\n`, false],
    [
      "a line in the same block",
      `require (\n\ta.b/c v1.0.0\n)\nodd (\n\tx\n\t${broken} // indirect\n)\n`,
      false,
    ],
    ["an empty block", `require a.b/c v1.0.0\nodd ()\n${broken} // indirect\n`, false],
  ])("a comment behind a broken line goes where go gives it: %s", (_, text, indirect) => {
    compareWithGo("lax", [Buffer.from(text)]);
    expect(parseGoMod("go.mod", text, "lax").require[0]?.indirect).toBe(indirect);
  });

  test("the rationale of a block counts for lines without comment or blank line before them", () => {
    const text =
      "// all\nretract ( // none\n\n\tv1.0.0\n\n\tv1.1.0\n\tv1.2.0\n\t// own\n\n\tv1.3.0 // more\n)\n";
    compareWithGo("strict", [Buffer.from(text)]);
    const rationales = parseGoMod("go.mod", text, "strict").retract.map(({ rationale }) => rationale);
    expect(rationales).toEqual(["all", "", "all", "own\nmore"]);
  });

  test("what is a directory on any system is a replacement without version", () => {
    const targets = [
      ".",
      "..",
      "./x",
      "../x",
      ".x",
      "...",
      "/x",
      "C:/x",
      "c:x",
      "1:x",
      ".\\x",
      "..\\x",
      "\\x",
      "x",
      "x@v1",
    ];
    const files = targets.flatMap((target) => [
      `replace a.b/c => ${target}\n`,
      `replace a.b/c => ${target} v1.0.0\n`,
    ]);
    compareWithGo(
      "strict",
      files.map((text) => Buffer.from(text)),
    );
    compareWithGo(
      "work",
      files.map((text) => Buffer.from(text)),
    );
  });

  test.each([
    ["a version that is no semantic version", "module m\n\nrequire (\n\ta.b/c master\n\ta.b/d v1.0.0\n)\n"],
    ["several errors", "module m\nrequire a.b/c v2.0.0\nfoo bar\nreplace a.b/c => d\nrequire a.b/c\n"],
    ["an open block", "module m\nrequire (\n\ta.b/c v1.0.0\n"],
    ["a block comment", "module m /* c */\n"],
    ["a character that may not be there", "module m\nrequire é\u200b v1.0.0\n"],
    ["an open string", 'module "m\n'],
  ])("the go command prints our message for %s", (_, text) => {
    const folder = mkdtempSync(join(tmpdir(), "modferry-go-mod-"));
    try {
      writeFileSync(join(folder, "go.mod"), text);
      const { stderr, status } = spawnSync("go", ["mod", "edit", "-json"], { cwd: folder, encoding: "utf8" });
      expect(status).toBe(1);
      const message = parse("strict", text).error ?? "";
      expect(stderr.replaceAll(join(folder, "go.mod"), "go.mod").trimEnd()).toBe(
        `go: errors parsing go.mod:\n${message}`,
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("the go.mod of go's own standard library parse as the go command reads them", () => {
    const root = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8" }).trim();
    for (const folder of ["src", "src/cmd"]) {
      const file = join(root, folder, "go.mod");
      const go = JSON.parse(execFileSync("go", ["mod", "edit", "-json", file], { encoding: "utf8" }));
      const ours = parseGoMod(basename(file), readFileSync(file), "strict");
      expect(ours.module?.path).toBe(go.Module.Path);
      expect(ours.go).toBe(go.Go);
      expect(ours.require).toEqual(
        go.Require.map((one: { Path: string; Version: string; Indirect?: boolean }) => ({
          path: one.Path,
          version: one.Version,
          indirect: one.Indirect ?? false,
        })),
      );
    }
  });
});

describe("go.mod", () => {
  test("every directive is read", () => {
    const text = `// Deprecated: use b
module "example.com/a"

go 1.24.0
toolchain go1.24.1
godebug default=go1.21
require (
	example.com/b v1.2.0 // indirect
	example.com/c v2.0.0+incompatible
)
exclude example.com/b v1.1.0
replace example.com/b v1.2.0 => ../b
// bad
retract [v1.0.0, v1.0.5]
tool example.com/c/cmd
ignore ./node_modules
`;
    expect(parseGoMod("go.mod", text, "strict")).toEqual({
      module: { path: "example.com/a", deprecated: "use b" },
      go: "1.24.0",
      toolchain: "go1.24.1",
      godebug: [{ key: "default", value: "go1.21" }],
      require: [
        { path: "example.com/b", version: "v1.2.0", indirect: true },
        { path: "example.com/c", version: "v2.0.0+incompatible", indirect: false },
      ],
      exclude: [{ path: "example.com/b", version: "v1.1.0" }],
      replace: [{ old: { path: "example.com/b", version: "v1.2.0" }, new: { path: "../b" } }],
      retract: [{ low: "v1.0.0", high: "v1.0.5", rationale: "bad" }],
      tool: ["example.com/c/cmd"],
      ignore: ["./node_modules"],
    } satisfies GoMod);
  });

  test("an error carries all problems with their positions", () => {
    const error = (() => {
      try {
        return parseGoMod("go.mod", "module m\nrequire (\n\ta.b/c master\n)\nodd\n", "strict");
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({
      subject: "go.mod",
      position: { line: 3, column: 2 },
      problems: [
        { position: { line: 3, column: 2 }, message: expect.stringContaining('version "master" invalid') },
        { position: { line: 5, column: 1 }, message: "unknown directive: odd" },
      ],
    });
  });

  test("a file above 16 MiB is refused by name", () => {
    expect(() => parseGoMod("a@v1/go.mod", new Uint8Array(16 * 1024 * 1024 + 1), "lax")).toThrow(
      /^a@v1\/go\.mod:1: file too large: 16777217 bytes/,
    );
    expect(() => parseGoWork("go.work", "é".repeat(8 * 1024 * 1024 + 1))).toThrow(ModFileError);
  });

  const megabyte = 1024 * 1024;
  const fill = (unit: string) => unit.repeat(Math.floor(megabyte / unit.length));
  test.each([
    ["spaces", fill(" ")],
    ["slashes", fill("/")],
    ["one word", fill("a")],
    ["quotes", fill('"')],
    ["backslashes in a string", `module "${fill("\\a")}"`],
    ["escaped line breaks", `odd "${fill("\\\n")}" // c`],
    ["lines that are wrong", fill("a\n")],
    ["retractions that are wrong", `retract (\n${fill("[\n")})`],
    ["a comment of spaces", `module m //${fill(" ")}x`],
    ["comments", `${fill("//\n")}module m`],
    ["parentheses", fill("(")],
    ["blocks", fill("a(\n)\n")],
    ["open blocks", fill("require (\n")],
    ["dots and digits", `module a/v${fill("1.")}`],
    ["a long version", `require a v1.0.0-${fill("0.")}`],
    ["deprecations", `${fill("// Deprecated:\n")}module m`],
    ["bytes that are no UTF-8", Buffer.alloc(megabyte, 0xff)],
    ["zero bytes", Buffer.alloc(megabyte)],
  ])("a megabyte of %s ends in time, as a GoMod or a ModFileError", (_, file) => {
    for (const mode of ["strict", "lax", "work"] as const) {
      let thrown: unknown;
      const spent = cpuMilliseconds(() => {
        try {
          if (mode === "work") parseGoWork("go.work", file);
          else parseGoMod("go.mod", file, mode);
        } catch (error) {
          thrown = error;
        }
      });
      if (thrown !== undefined) {
        expect(thrown).toBeInstanceOf(ModFileError);
        expect((thrown as Error).message.length).toBeLessThan(2.5 * megabyte);
      }
      expect(spent).toBeLessThan(LINEAR_MS);
    }
  });
});
