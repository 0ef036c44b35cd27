import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import { formatLookup, formatRecord, parseLookup, parseRecord } from "../../sumdb/lookup.ts";
import { openNote, parseSignerKey, parseVerifierKey, signNote } from "../../sumdb/note.ts";
import { parseTilePath, tilePath } from "../../sumdb/tile.ts";
import { formatTree, parseTree } from "../../sumdb/tree-head.ts";
import { describeWithOracle } from "../go-command.ts";
import { base64, Oracle, xModFolder } from "./oracle.ts";

const hash = "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=";
const signature =
  "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
const bytes = (text: string) => Buffer.from(text);

describe("malformed bytes are a FormatError, at once", () => {
  test.each([
    [""],
    ["\n"],
    ["\n\n"],
    ["text\n"],
    ["text\n\n"],
    [`text\n\n${signature}`],
    [`text\n${signature}\n`],
    [`text\n\n${signature}\n\n`],
    [`text\n\n${signature}\nmore\n`],
    [`text\n\n${signature.replace("— ", "- ")}\n`],
    [`text\n\n${signature.replace("Peter", "Peter ")}\n`],
    [`text\n\n${signature.replace("Peter", "Peter\u2003")}\n`],
    [`text\n\n${signature.replace("Peter", "+")}\n`],
    [`text\n\n${signature} x\n`],
    ["text\n\n— PeterNeumann \n"],
    ["text\n\n— PeterNeumann x08goA==\n"],
    [`te\u0001xt\n\n${signature}\n`],
    [`text\r\n\n${signature}\n`],
    [`${"long".repeat(300_000)}\n\n${signature}\n`],
    [`text\n\n${`${signature}\n`.repeat(101)}`],
  ])("note %#", (text) => {
    expect(() => openNote(bytes(text), [])).toThrow(FormatError);
  });

  test("a note that is not UTF-8", () => {
    const note = Buffer.concat([Buffer.of(0xff), bytes(`text\n\n${signature}\n`)]);
    expect(() => openNote(note, [])).toThrow(FormatError);
    expect(() => openNote(Buffer.of(0xed, 0xa0, 0x80, 0x0a, 0x0a, 0x0a), [])).toThrow(FormatError);
  });

  test.each([
    "",
    "a",
    "a+b",
    "a+b+c",
    "a+00000000+",
    "a+00000000+AA==",
    "+00000000+AA==",
    `a+${"0".repeat(100)}+AA==`,
  ])("key %j", (key) => {
    expect(() => parseVerifierKey(key)).toThrow(FormatError);
    expect(() => parseSignerKey(`PRIVATE+KEY+${key}`)).toThrow(FormatError);
    expect(() => parseSignerKey(key)).toThrow(FormatError);
  });

  test.each(["", "no newline", "control\u0000\n", "lone \ud800\n"])("text to sign %j", (text) => {
    expect(() => signNote(text, [])).toThrow(FormatError);
  });

  test.each([
    "",
    "go.sum database tree",
    `go.sum database tree v2\n1\n${hash}\n`,
    `go.sum database tree\n1\n${hash}`,
    `go.sum database tree\n\n${hash}\n`,
    `go.sum database tree\n-1\n${hash}\n`,
    `go.sum database tree\n+1\n${hash}\n`,
    `go.sum database tree\n01\n${hash}\n`,
    `go.sum database tree\n1e3\n${hash}\n`,
    `go.sum database tree\n1.0\n${hash}\n`,
    `go.sum database tree\n 1\n${hash}\n`,
    `go.sum database tree\n0x10\n${hash}\n`,
    `go.sum database tree\n${2 ** 52 + 1}\n${hash}\n`,
    `go.sum database tree\n9223372036854775808\n${hash}\n`,
    `go.sum database tree\n${"9".repeat(400)}\n${hash}\n`,
    `go.sum database tree\n1\n${hash.slice(1)}\n`,
    `go.sum database tree\n1\n${hash.slice(0, -1)}\n`,
    `go.sum database tree\n1\n${hash}AAAA\n`,
    `go.sum database tree\n1\n${hash.replace("b0=", "b1=")}\n`,
    `go.sum database tree\n1\n${hash.replace("+", "-")}\n`,
  ])("tree %j", (text) => {
    expect(() => parseTree(text)).toThrow(FormatError);
  });

  test.each([
    "",
    "\n\n",
    "1",
    "1\n",
    "1\na\n",
    "1\n\n",
    "\na\n\n",
    "-1\na\n\n",
    "+1\na\n\n",
    "01\na\n\n",
    "1 \na\n\n",
    "1\r\na\n\n",
    "0x1\na\n\n",
    `${2 ** 52}\na\n\n`,
    `${"9".repeat(100_000)}\na\n\n`,
    "1\na\tb\n\n",
    "1\na\u0000b\n\n",
  ])("record %#", (text) => {
    expect(() => parseRecord(bytes(text))).toThrow(FormatError);
    expect(() => parseLookup(bytes(`${text}note`))).toThrow(FormatError);
  });

  test("a record that is not UTF-8, and a lookup without a head, or too long", () => {
    expect(() => parseRecord(Buffer.from("1\na\xff\n\n", "latin1"))).toThrow(FormatError);
    expect(() => parseLookup(bytes("1\na\n\n"))).toThrow(FormatError);
    expect(() => parseLookup(Buffer.alloc(1_000_001, "1\na\n\n"))).toThrow(FormatError);
    expect(() => parseLookup(bytes("<!doctype html>\n\n<title>Login</title>\n\n"))).toThrow(FormatError);
  });

  test.each(["", "hello\nworld", "hello\n\nworld\n", "hello\u0001world\n", "\ud800\n"])(
    "record text %j",
    (text) => {
      expect(() => formatRecord(1, text)).toThrow(FormatError);
      expect(() => formatLookup(1, text, bytes("note"))).toThrow(FormatError);
    },
  );

  test.each([
    "",
    "tile",
    "tile/8",
    "tile/8/0",
    "tile/8/0/",
    "/tile/8/0/000",
    "tile/8/0/000/",
    "tile/8/0/0",
    "tile/8/0/0000",
    "tile/8/0/x000/000",
    "tile/8/0/001/000",
    "tile/8/0/x001/x000",
    "tile/8/0/X001/000",
    "tile/8/00/000",
    "tile/8/-1/000",
    "tile/8/data/000",
    "tile/7/0/000",
    "tile/08/0/000",
    "tile/8/0/000.p",
    "tile/8/0/000.p/",
    "tile/8/0/000.p/0",
    "tile/8/0/000.p/256",
    "tile/8/0/000.p/01",
    "tile/8/0/000.p/-1",
    "tile/8/0/000.p/1.5",
    "tile/8/0/000.p/1/2",
    "tile/8/0/../000",
    "tile/8/0/000\n",
    "tile/8/0/٠٠٠",
    "tile/8/7/000",
    "tile/8/99/000",
    "tile/8/0/x100/x000/x000/x000/000",
    `tile/8/0/${"x999/".repeat(20_000)}999`,
  ])("tile path %#", (path) => {
    expect(() => parseTilePath(path)).toThrow(FormatError);
  });
});

describeWithOracle("what we parse, golang.org/x/mod parses to the same", () => {
  let oracle: Oracle;
  let strings: string[];

  beforeAll(() => {
    oracle = new Oracle();
    const source = ["note_test.go", "tlog_test.go", "tile_test.go"].map((file) =>
      readFileSync(join(xModFolder(), "sumdb/tlog", file), "utf8"),
    );
    const literals = source.join("\n").match(/"(?:[^"\\\n]|\\.)*"/g) ?? [];
    strings = literals.filter((text) => !/\\[^n"\\]/.test(text)).map((text) => JSON.parse(text) as string);
    expect(strings.length).toBeGreaterThan(60);
  });
  afterAll(() => oracle.stop());

  /** x/mod's own strings and some of ours, each with every single character dropped, doubled and changed. */
  function variants(own: readonly string[]): Set<string> {
    const all = new Set(strings);
    for (const text of own) {
      all.add(text);
      for (let i = 0; i <= text.length; i++) {
        all.add(text.slice(0, i) + text.slice(i + 1));
        all.add(text.slice(0, i));
        for (const add of [text.charAt(i), "0", "7", "x", "/", "\n"]) {
          all.add(text.slice(0, i) + add + text.slice(i));
          all.add(text.slice(0, i) + add + text.slice(i + 1));
        }
      }
    }
    return all;
  }

  async function compare<T>(
    inputs: Iterable<string>,
    op: string,
    request: (text: string) => object,
    parse: (text: string) => T,
    same: (ours: T, theirs: unknown) => void,
  ): Promise<{ accepted: number; stricter: string[] }> {
    let accepted = 0;
    const stricter: string[] = [];
    for (const text of inputs) {
      const theirs = await oracle.judge<unknown>(op, request(text));
      let ours: T | undefined;
      try {
        ours = parse(text);
      } catch (error) {
        expect(error, JSON.stringify(text)).toBeInstanceOf(FormatError);
      }
      if (ours === undefined) {
        if (theirs !== undefined) stricter.push(text);
        continue;
      }
      accepted++;
      expect(theirs, JSON.stringify(text)).toBeDefined();
      same(ours, theirs);
    }
    return { accepted, stricter };
  }

  test("tree heads, and only stray bits of base64 are refused beyond that", async () => {
    const { accepted, stricter } = await compare(
      variants([`go.sum database tree\n123456789012\n${hash}\n`, `go.sum database tree\n0\n${hash}\nmore\n`]),
      "parseTree",
      (text) => ({ bytes: base64(text) }),
      parseTree,
      (ours, theirs) => expect({ size: ours.size, hash: base64(ours.hash) }).toEqual(theirs),
    );
    expect(accepted).toBeGreaterThan(50);
    const isStray = (text: string) => {
      const line = text.split("\n")[2] ?? "";
      return base64(Buffer.from(line, "base64")) !== line;
    };
    expect(stricter.filter((text) => !isStray(text))).toEqual([]);
    expect(formatTree(parseTree(`go.sum database tree\n5\n${hash}\n`))).toBe(
      `go.sum database tree\n5\n${hash}\n`,
    );
  });

  test("records, and only numbers that Go would not print are refused beyond that", async () => {
    const { accepted, stricter } = await compare(
      variants(["123456789012\nhello, world\n\n", "0\na\nb\n\nrest\n\nof it"]),
      "parseRecord",
      (text) => ({ bytes: base64(text) }),
      (text) => parseRecord(bytes(text)),
      ({ record, rest }, theirs) => expect({ ...record, rest: base64(rest) }).toEqual(theirs),
    );
    expect(accepted).toBeGreaterThan(50);
    expect(stricter.filter((text) => /^(0|[1-9][0-9]{0,14})\n/.test(text))).toEqual([]);
  });

  test("what a lookup is parsed to prints the same bytes, as x/mod formats its record", async () => {
    for (const text of ["a\n", "a b h1:c\na b/go.mod h1:d\n", "ü\n"]) {
      const reply = bytes(`77\n${text}\nnote\n\n— sig\n`);
      const { id, text: parsed, treeNote } = parseLookup(reply);
      expect(base64(formatLookup(id, parsed, treeNote))).toBe(base64(reply));
      expect(base64(formatRecord(id, parsed))).toBe(await oracle.ask("formatRecord", { id, text }));
    }
  });

  test("tile paths of height 8, and only data tiles and tiles that no tree has are refused beyond that", async () => {
    const { accepted, stricter } = await compare(
      variants([
        "tile/8/0/001",
        "tile/8/1/x123/x456/078.p/255",
        "tile/8/3/x001/000.p/1",
        "tile/8/data/x001/000",
      ]),
      "parseTilePath",
      (path) => ({ path }),
      parseTilePath,
      (ours, theirs) => expect({ height: 8, ...ours }).toEqual(theirs),
    );
    expect(accepted).toBeGreaterThan(40);
    const known = (path: string) =>
      path.startsWith("tile/8/") && /^tile\/8\/[0-3]\//.test(path) && path.length < 40;
    expect(stricter.filter(known)).toEqual([]);
    // The last tiles of the largest tree, and the ones after them.
    for (const path of ["tile/8/0/x017/x592/x186/x044/415", "tile/8/6/000.p/16"]) {
      expect(tilePath(parseTilePath(path))).toBe(path);
    }
    for (const path of ["tile/8/0/x017/x592/x186/x044/416.p/1", "tile/8/6/000.p/17"]) {
      expect(() => parseTilePath(path)).toThrow(FormatError);
    }
  });
});
