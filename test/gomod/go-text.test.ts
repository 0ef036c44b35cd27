import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { quote, quoteRune, unquote } from "../../gomod/go-quote.ts";
import { decodeUtf8, fields, isLetter, isPrintable, isSpace, trimSpace } from "../../gomod/go-unicode.ts";
import { describeWithOracle } from "../go-command.ts";
import { ask, cases, type Outcome } from "./oracle.ts";

type Ranges = readonly (readonly [number, number])[];

function ranges(has: (code: number) => boolean, last = 0x10ffff): Ranges {
  const list: [number, number][] = [];
  for (let code = 0; code <= last; code++) {
    if (!has(code)) continue;
    const open = list.at(-1);
    if (open?.[1] === code - 1) open[1] = code;
    else list.push([code, code]);
  }
  return list;
}

describeWithOracle("text against Go's unicode and strconv", () => {
  test("letters, printable characters and spaces are those of Go, over all code points", () => {
    const go = ask<{ version: string; letter: Ranges; printable: Ranges; space: Ranges }>([["unicode"]])[0];
    // A go with newer tables is no fault of ours; what Go 1.21 to 1.26 say is what the code promises.
    if (go?.version !== "15.0.0") {
      console.log(`skipped: this go has Unicode ${go?.version}, compared is 15.0.0`);
      return;
    }
    expect(ranges(isLetter)).toEqual(go.letter);
    expect(ranges(isPrintable)).toEqual(go.printable);
    expect(ranges(isSpace, 0xffff)).toEqual(go.space);
  });

  test("text is quoted and unquoted as by strconv", () => {
    const piece = fc.constantFrom(
      ...[
        "\\",
        "\\a",
        "\\x41",
        "\\xff",
        "\\xc3\\xa9",
        "\\303\\251",
        "\\400",
        "\\08",
        "\\u00e9",
        "\\ud800",
        "\\U0001f600",
      ],
      ...[
        "\\U00110000",
        '\\"',
        "\\'",
        "\\n",
        "\\q",
        "\\x4",
        "a",
        "é",
        "\u{1f600}",
        "\u0378",
        "\u200b",
        "\0",
        "\x7f",
        "\n",
        "\t",
        '"',
      ],
    );
    const texts = [
      ...cases(
        fc.array(piece, { maxLength: 4 }).map((list) => `"${list.join("")}"`),
        500,
      ),
      ...cases(
        fc.array(piece, { maxLength: 3 }).map((list) => list.join("")),
        200,
      ).filter((text) => !/^[`']/.test(text)),
    ];
    const wanted = ask<[string, Outcome<string>]>(texts.map((text) => ["quote", text]));
    const plain = (text: string | undefined) => text?.toWellFormed();
    expect(texts.map((text) => [text, quote(text), plain(unquote(text))])).toEqual(
      texts.map((text, index) => [text, wanted[index]?.[0], wanted[index]?.[1].value]),
    );
    expect(wanted.filter(([, unquoted]) => unquoted.error === undefined).length).toBeGreaterThan(100);
  });

  test("characters are quoted as by strconv", () => {
    const codes = [
      0, 7, 10, 31, 32, 34, 39, 65, 92, 127, 128, 0xa0, 0xe9, 0x378, 0x200b, 0xfeff, 0xfffd, 0x1f600, 0x1fae9,
      0x10ffff,
    ];
    expect(codes.map(quoteRune)).toEqual(ask(codes.map((code) => ["quoteRune", String(code)])));
  });
});

describe("text", () => {
  test("bytes that are no UTF-8 stay apart, one for one, and are quoted as bytes", () => {
    const bytes = Buffer.from("61ffe282c3a9f09f9880eda080", "hex");
    const text = decodeUtf8(bytes);
    expect(text).toBe("a\udcff\udce2\udc82é\u{1f600}\udced\udca0\udc80");
    expect(text.isWellFormed()).toBe(false);
    expect(quote(text)).toBe('"a\\xff\\xe2\\x82é\u{1f600}\\xed\\xa0\\x80"');
    expect(decodeUtf8(Buffer.from("\ufeffé"))).toBe("\ufeffé");
  });

  test("any bytes decode to what Node makes of them, once lone bytes are put aside", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        const text = decodeUtf8(bytes);
        const valid = [...text].filter((character) => character.isWellFormed()).join("");
        const lone = [...text].filter((character) => !character.isWellFormed());
        expect(Buffer.byteLength(valid) + lone.length).toBe(bytes.length);
        if (lone.length === 0) expect(text).toBe(Buffer.from(bytes).toString());
      }),
    );
  });

  test("words and ends are cut at Go's spaces, not JavaScript's", () => {
    expect(fields(" a\u0085b\u3000\tc\ufeff ")).toEqual(["a", "b", "c\ufeff"]);
    expect(fields("  ")).toEqual([]);
    expect(trimSpace("\u0085 a b\ufeff\n")).toBe("a b\ufeff");
  });
});
