import { describe, expect, test } from "vitest";
import { INDEX_PAGE_ENTRIES, parseIndexPage } from "../../gomod/index-page.ts";
import {
  compareStamps,
  indexStamp,
  microsecondAfter,
  millisecondsOf,
  secondsBefore,
} from "../../gomod/index-stamp.ts";

const page = (text: string | Uint8Array) =>
  parseIndexPage(typeof text === "string" ? Buffer.from(text) : text);
const line = (Path: string, Version: string, Timestamp = "2026-11-23T09:30:00.123456Z") =>
  `${JSON.stringify({ Path, Version, Timestamp })}\n`;

describe("a page of a module index", () => {
  test("gives the entries in the order sent, stamps verbatim", () => {
    const text =
      line("golang.org/x/text", "v0.3.0", "2019-04-10T19:08:52.997264Z") +
      line("github.com/Azure/x", "v2.0.0+incompatible", "2019-04-10T19:08:52.9Z");
    expect(page(text)).toEqual({
      entries: [
        { version: { path: "golang.org/x/text", version: "v0.3.0" }, stamp: "2019-04-10T19:08:52.997264Z" },
        {
          version: { path: "github.com/Azure/x", version: "v2.0.0+incompatible" },
          stamp: "2019-04-10T19:08:52.9Z",
        },
      ],
      lines: 2,
      skipped: 0,
    });
  });

  test.each([
    ["a path that is none", line("../../etc", "v1.0.0")],
    ["a path of another major version", line("example.com/a/v3", "v2.0.0")],
    ["a version that is not canonical", line("example.com/a", "v1.0")],
    ["a version with a slash", line("example.com/a", "v1.0.0/../x")],
    ["no Timestamp", '{"Path":"example.com/a","Version":"v1.0.0"}\n'],
    ["a Timestamp that is a number", '{"Path":"example.com/a","Version":"v1.0.0","Timestamp":5}\n'],
    ["a time that is none", line("example.com/a", "v1.0.0", "2026-02-30T09:30:00Z")],
    ["a time in another zone", line("example.com/a", "v1.0.0", "2026-11-23T09:30:00+02:00")],
    ["a line without end", line("example.com/a", `v1.0.0-${"a".repeat(5000)}`)],
    ["half a line", '{"Path":"example.com/a","Ver\n'],
    ["an array", "[1,2]\n"],
  ])("%s is passed over and counted, the rest stays", (_, bad) => {
    const { entries, lines, skipped, firstProblem } = page(bad + line("example.com/b", "v1.0.0"));
    expect([entries.length, lines, skipped]).toEqual([1, 2, 1]);
    expect(firstProblem).toEqual(expect.any(String));
  });

  test("blank lines, CRLF and a last line without a line break are no lines too many", () => {
    const text = `\n${line("example.com/a", "v1.0.0").trim()}\r\n\r\n${line("example.com/b", "v1.0.0").trim()}`;
    expect(page(text)).toMatchObject({ lines: 2, skipped: 0 });
    expect(page("")).toEqual({ entries: [], lines: 0, skipped: 0 });
  });

  test.each(["<!DOCTYPE html><html>sign in</html>", "not found", "\u0000\u0001", '"text"', "[]"])(
    "%j is no index at all",
    (text) => {
      expect(() => page(text)).toThrow(/no module index/);
    },
  );

  test("bytes that are no UTF-8, and a million lines of nothing, end soon", () => {
    expect(() => page(Uint8Array.of(0xff, 0xfe, 0x0a))).toThrow(/no module index/);
    const { skipped, lines } = page("{}\n".repeat(1_000_000));
    expect([skipped, lines]).toEqual([10_000, 10_000]);
    expect(lines).toBeGreaterThan(INDEX_PAGE_ENTRIES);
  });
});

describe("an index's stamp", () => {
  const stamps = [
    "2026-11-23T09:30:00Z",
    "2026-11-23T09:30:00.000001Z",
    "2026-11-23T09:30:00.1Z",
    "2026-11-23T09:30:01Z",
  ];
  test("sorts by time whatever its digits", () => {
    const sorted = [...stamps].reverse().map(indexStamp).sort(compareStamps);
    expect(sorted).toEqual(stamps);
    expect(compareStamps(indexStamp("2026-11-23T09:30:00.10Z"), indexStamp("2026-11-23T09:30:00.1Z"))).toBe(
      0,
    );
  });

  test.each([
    ["2026-11-23T09:30:00.123456Z", "2026-11-23T09:30:00.123457Z"],
    ["2026-11-23T09:30:00Z", "2026-11-23T09:30:00.000001Z"],
    ["2026-12-31T23:59:59.999999Z", "2027-01-01T00:00:00.000000Z"],
    ["2026-11-23T09:30:00.123456789Z", "2026-11-23T09:30:00.123457Z"],
  ])("a microsecond after %s is %s", (stamp, after) => {
    expect(microsecondAfter(indexStamp(stamp))).toBe(after);
  });

  test("goes back whole seconds with its fraction verbatim, over midnight and a leap day", () => {
    expect(secondsBefore(indexStamp("2028-03-01T00:10:00.997264Z"), 1800)).toBe(
      "2028-02-29T23:40:00.997264Z",
    );
    expect(millisecondsOf(indexStamp("1970-01-01T00:00:01.9999999Z"))).toBe(1999);
  });

  test.each([
    "",
    "2026-11-23",
    "2026-11-23T09:30:00",
    "2026-11-23T25:30:00Z",
    "2026-13-23T09:30:00Z",
    "9e9",
    "2026-11-23T09:30:60Z",
  ])("%j is none", (text) => {
    expect(() => indexStamp(text)).toThrow(/not RFC 3339 in UTC/);
  });
});
