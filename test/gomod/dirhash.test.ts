import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { h1OfGoMod, hash1, isH1, parseH1 } from "../../gomod/dirhash.ts";
import { describeWithOracle } from "../go-command.ts";
import { cases, outcome } from "./oracle.ts";
import { downloadModules, ZipOracle } from "./zip-oracle.ts";

const sha256 = (content: string) => createHash("sha256").update(content).digest();

describeWithOracle("hash1, against dirhash.Hash1", () => {
  let oracle: ZipOracle;
  beforeAll(() => {
    oracle = new ZipOracle();
  });
  afterAll(() => oracle.close());

  test.each([
    ["no files", []],
    ["one file", ["go.mod"]],
    ["names out of order", ["b", "a", "a/b", "a.go", "A", "a b"]],
    [
      "names that UTF-16 sorts otherwise than bytes",
      ["\u{ffb9}", "\u{10400}", "\u{e000}", "é", "z", "\u{1f600}a"],
    ],
    ["one name twice", ["a", "a"]],
    ["more files than go into one update", Array.from({ length: 3000 }, (_, i) => `f${i}`)],
  ])("gives Go's hash for %s", async (_, names) => {
    const content = (name: string) => `content of ${name}`;
    const contents = names.map((name) => Buffer.from(content(name)).toString("base64"));
    const go = await oracle.ask({ op: "hash1", names, contents });
    expect(hash1(names.map((name) => ({ name, sha256: sha256(content(name)) })))).toBe(go.h1);
    expect(hash1(names.map((name) => ({ name, sha256: sha256(content(name)).toString("hex") })))).toBe(go.h1);
  });

  test("gives Go's hash, or refuses, for random names and contents", async () => {
    const piece = fc.constantFrom(
      "a",
      "A",
      "b",
      "/",
      ".",
      "-",
      "é",
      "\u{10400}",
      "\uffb9",
      "\ue000",
      " ",
      "\n",
      "ſ",
    );
    const name = fc.array(piece, { maxLength: 6 }).map((parts) => parts.join(""));
    const files = fc.uniqueArray(fc.tuple(name, fc.string({ maxLength: 4 })), { selector: ([one]) => one });
    for (const list of cases(files, 100)) {
      const names = list.map(([one]) => one);
      const contents = list.map(([, content]) => Buffer.from(content).toString("base64"));
      const go = await oracle.ask({ op: "hash1", names, contents });
      const ours = outcome(() =>
        hash1(list.map(([one, content]) => ({ name: one, sha256: sha256(content) }))),
      );
      expect([names, ours.value ?? ""]).toEqual([names, go.hash === "" ? go.h1 : ""]);
    }
  });

  test("refuses a newline in a name, as Go does", async () => {
    const go = await oracle.ask({ op: "hash1", names: ["a\nb"], contents: [""] });
    expect(go.hash).toContain("newlines");
    expect(() => hash1([{ name: "a\nb", sha256: sha256("") }])).toThrow(/newline/);
  });

  test("h1OfGoMod gives what the checksum database holds for a go.mod", () => {
    for (const module of downloadModules(["golang.org/x/mod@v0.40.0", "github.com/davecgh/go-spew@v1.1.1"])) {
      expect(h1OfGoMod(readFileSync(module.GoMod))).toBe(module.GoModSum);
    }
  });
});

describe("parseH1", () => {
  const good = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

  test("takes a hash of 32 bytes", () => {
    expect(parseH1(good)).toBe(good);
    expect(isH1(good)).toBe(true);
  });

  test.each([
    ["nothing", ""],
    ["no algorithm", good.slice(3)],
    ["another algorithm", good.replace("h1", "h2")],
    ["no padding", good.slice(0, -1)],
    ["31 bytes", `h1:${Buffer.alloc(31).toString("base64")}`],
    ["33 bytes", `h1:${Buffer.alloc(33).toString("base64")}`],
    ["the URL alphabet", good.replace("/", "_")],
    ["bits beyond the last byte", good.replace("FU=", "FV=")],
    ["a newline after it", `${good}\n`],
  ])("refuses %s", (_, text) => {
    expect(isH1(text)).toBe(false);
    expect(() => parseH1(text)).toThrow(/want h1: and 32 bytes/);
  });

  test("refuses a digest of another length", () => {
    expect(() => hash1([{ name: "a", sha256: Buffer.alloc(20) }])).toThrow(/no SHA-256/);
  });
});
