import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import { MAX_GO_SUM_BYTES, parseGoSum } from "../../gomod/go-sum.ts";
import { describeWithGo } from "../go-command.ts";
import { cpuMilliseconds, LINEAR_MS } from "./cpu-time.ts";
import { problem } from "./oracle.ts";

const zip = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const mod = "h1:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB=";

describeWithGo("go.sum against the go command", () => {
  test.each([
    ["two words", `a.b/c v1.0.0 ${zip}\n\na.b/c v1.0.0\n`],
    ["four words", `a.b/c v1.0.0 ${zip} x`],
    ["one word between Go's spaces", `\u00a0\u3000a\u0085\n`],
  ])("go prints our message for a line of %s", (_, text) => {
    const folder = mkdtempSync(join(tmpdir(), "modferry-go-sum-"));
    try {
      writeFileSync(join(folder, "go.mod"), "module m\n\ngo 1.21\n\nrequire a.b/c v1.0.0\n");
      writeFileSync(join(folder, "go.sum"), text);
      const env = { ...process.env, GOPROXY: "off", GOFLAGS: "-mod=mod", GOWORK: "off" };
      const { stderr } = spawnSync("go", ["list", "-m", "all"], { cwd: folder, encoding: "utf8", env });
      const printed = stderr.replaceAll(join(folder, "go.sum"), "go.sum").trimEnd();
      expect(printed.replace(/^go: /, "")).toBe(problem(() => parseGoSum("go.sum", text)));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("go.sum", () => {
  const text = `a.b/c v1.0.0 ${zip}\r\na.b/c v1.0.0/go.mod ${mod}\n\n  a.b/d\tv2.0.0+incompatible/go.mod ${mod}\na.b/c v1.0.0 h9:x\n`;

  test("entries keep the file's order, and tell go.mod from zip", () => {
    expect(parseGoSum("go.sum", text).entries).toEqual([
      { path: "a.b/c", version: "v1.0.0", kind: "zip", hash: zip },
      { path: "a.b/c", version: "v1.0.0", kind: "mod", hash: mod },
      { path: "a.b/d", version: "v2.0.0+incompatible", kind: "mod", hash: mod },
      { path: "a.b/c", version: "v1.0.0", kind: "zip", hash: "h9:x" },
    ]);
  });

  test("look-ups give all hashes of a file, each once", () => {
    const sums = parseGoSum("go.sum", Buffer.from(text + text));
    expect(sums.hashes("a.b/c", "v1.0.0", "zip")).toEqual([zip, "h9:x"]);
    expect(sums.hashes("a.b/c", "v1.0.0", "mod")).toEqual([mod]);
    expect(sums.hashes("a.b/d", "v2.0.0+incompatible", "zip")).toEqual([]);
    expect(sums.hashes("constructor", "__proto__", "zip")).toEqual([]);
  });

  test("the hash of an empty go.mod, an old bug of go, is passed over", () => {
    const line = "a.b/c v1.0.0/go.mod h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=\n";
    expect(parseGoSum("go.sum", line).entries).toEqual([]);
  });

  test("the error names the line", () => {
    expect(() => parseGoSum("go.sum", "\na b\n")).toThrow(
      expect.objectContaining({ subject: "go.sum", position: { line: 2 } }),
    );
  });

  test.each([
    ["no line break", "a".repeat(1_000_000)],
    ["spaces", " ".repeat(1_000_000)],
    ["line breaks", "\n".repeat(1_000_000)],
    ["words", "a ".repeat(500_000)],
    ["good lines", "a v1.0.0 h1:x\n".repeat(70_000)],
    ["different hashes", Array.from({ length: 20_000 }, (_, index) => `a b ${index}\n`).join("")],
    ["no UTF-8", Buffer.alloc(1_000_000, 0xff)],
  ])("a megabyte of %s ends in time, as a GoSum or a FormatError", (_, file) => {
    let said = "";
    const spent = cpuMilliseconds(() => {
      said = problem(() => parseGoSum("go.sum", file));
    });
    expect(said).toMatch(/^$|malformed go\.sum/);
    expect(spent).toBeLessThan(LINEAR_MS);
  });

  test("a file above 16 MiB is refused", () => {
    expect(() => parseGoSum("go.sum", new Uint8Array(MAX_GO_SUM_BYTES + 1))).toThrow(
      new FormatError("go.sum", "go.sum: 16777217 bytes, more than 16777216"),
    );
  });
});
