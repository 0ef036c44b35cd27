import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import { MAX_INFO_BYTES, parseInfo, printInfo } from "../../gomod/info.ts";
import { version } from "../../gomod/version.ts";
import { describeWithOracle } from "../go-command.ts";
import { ask, cases, type Outcome, outcome, problem } from "./oracle.ts";

const v1 = version("v1.0.0");
const base64 = (text: string) => Buffer.from(text).toString("base64");

describeWithOracle("info files against Go's encoding/json", () => {
  const text = fc.string({
    unit: fc.constantFrom(...'a<>&"\\/\n\t\b\f\0\x7fé\u2028\u2029', "\u{1f600}"),
    maxLength: 6,
  });
  const origin = fc.record(
    {
      VCS: text,
      URL: text,
      Subdir: text,
      Hash: text,
      TagPrefix: text,
      TagSum: text,
      Ref: text,
      RepoSum: text,
      More: text,
    },
    { requiredKeys: [] },
  );

  test("random files are printed as cmd/go prints them", () => {
    const files = cases(
      fc
        .record(
          {
            Version: fc.constantFrom("v1.0.0", "v2.0.0+incompatible"),
            Time: fc
              .date({ min: new Date("0001-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
              .map((date) => date.toISOString().replace(/\.?0*Z$/, "Z")),
            Origin: fc.option(origin),
            Other: fc.jsonValue({ maxDepth: 2 }),
          },
          { requiredKeys: ["Version"] },
        )
        .map((info) => JSON.stringify(info)),
      300,
    );
    const wanted = ask<Outcome<string>>(files.map((file) => ["info", base64(file)]));
    expect(files.map((file) => ({ file, ...outcome(() => printInfo(parseInfo(file))) }))).toEqual(
      files.map((file, index) => ({ file, ...wanted[index] })),
    );
    expect(wanted.filter(({ error }) => error === undefined)).toHaveLength(files.length);
  });

  test("what is printed is parsed again to the same", () => {
    for (const file of cases(origin, 100)) {
      const info = parseInfo(JSON.stringify({ Version: "v1.0.0", Origin: file }));
      expect(parseInfo(printInfo(info))).toEqual({ ...info, time: "0001-01-01T00:00:00Z" });
    }
  });

  test("every file that is accepted is one that Go accepts", () => {
    const odd = fc.constantFrom(
      ...[
        '"v1.0.0"',
        "null",
        "5",
        "[]",
        "{}",
        '"2020-01-01T00:00:00Z"',
        '"2020-02-30T00:00:00Z"',
        '"2020-01-01T24:00:00Z"',
      ],
      ...[
        '"2020-01-01T00:00:60Z"',
        '"2020-01-01T00:00:00+24:00"',
        '"2020-01-01T00:00:00.123456789-23:59"',
        '"2020-01-01"',
        '""',
      ],
      ...[
        '"2024-02-29T00:00:00.Z"',
        '"2023-02-29T00:00:00Z"',
        '"2020-01-01t00:00:00z"',
        '"\\ud800"',
        '{"VCS":1}',
        '{"vcs":"git"}',
      ],
    );
    const key = fc.constantFrom("Version", "Time", "Origin", "version", "TIME", "x");
    const files = cases(
      fc
        .uniqueArray(fc.tuple(key, odd), { maxLength: 3, selector: ([name]) => name })
        .map((pairs) => `{"Version":"v1.0.0"${pairs.map(([k, v]) => `,"${k}":${v}`).join("")}}`),
      500,
    );
    const wanted = ask<Outcome<string>>(files.map((file) => ["info", base64(file)]));
    let accepted = 0;
    for (const [index, file] of files.entries()) {
      if (problem(() => parseInfo(file)) !== "") continue;
      accepted++;
      expect({ file, error: wanted[index]?.error }).toEqual({ file, error: undefined });
    }
    expect(accepted).toBeGreaterThan(25);
  });
});

describe("info files", () => {
  // Found by test/gomod/mutated.test.ts: Go reads another version, or both origins.
  test.each([
    ["a name with ſ for s", '{"Version":"v1.0.0","Ver\u017fion":"v1.0.1"}'],
    ["two Versions", '{"Version":"v1.0.0","Version":"v1.0.1"}'],
    ["two Origins", '{"Version":"v1.0.0","Origin":{"VCS":"git"},"Origin":{"URL":"x"}}'],
    ["one name escaped", '{"Version":"v1.0.0","\\u0056ersion":"v1.0.1"}'],
  ])("what says two things is refused: %s", (_, file) => {
    expect(() => parseInfo(file)).toThrow(/^@latest has "(?:Ver[sſ]ion|Origin)" twice$/);
    expect(() => parseInfo(file)).toThrow(FormatError);
  });

  test("a name counts as Go folds it, and may stand in two objects", () => {
    expect(parseInfo('{"Ver\u017fion":"v1.0.0","a":{"Version":1},"b":[{"a":1},{"a":"x"}]}').version).toBe(
      "v1.0.0",
    );
    expect(parseInfo('{"Version":"v1.0.0","a":"\\"Version\\":","b":{}}').version).toBe("v1.0.0");
  });

  test("fields match in any case, unknown ones are passed over, the time stays verbatim", () => {
    const file = `{ "version": "v1.0.0", "Time": "2020-01-01T00:00:00.120000000+01:00",
      "Origin": {"vcs": "git", "URL": "https://example.com/a", "Hash": "", "New": {"a": [1]}}, "Name": 5 }`;
    expect(parseInfo(Buffer.from(file), v1)).toEqual({
      version: "v1.0.0",
      time: "2020-01-01T00:00:00.120000000+01:00",
      origin: { vcs: "git", url: "https://example.com/a" },
    });
  });

  test.each([
    ["nothing", "", "v1.0.0.info is not JSON"],
    ["HTML", "<html>v1.0.0</html>", "v1.0.0.info is not JSON"],
    ["a list", "[]", "v1.0.0.info is not a JSON object"],
    ["null", "null", "v1.0.0.info is not a JSON object"],
    [
      "another version",
      '{"Version":"v1.0.1"}',
      'v1.0.0.info is of version "v1.0.1" instead of the requested one',
    ],
    ["no version", "{}", 'v1.0.0.info is of version "" instead of the requested one'],
    ["a version twice", '{"Version":"v1.0.0","VERSION":"v1.0.0"}', 'v1.0.0.info has "VERSION" twice'],
    ["a version that is a number", '{"Version":1}', "v1.0.0.info: Version is not a string"],
    ["a time that is none", '{"Version":"v1.0.0","Time":"now"}', 'v1.0.0.info: Time "now" is not RFC 3339'],
    [
      "an origin that is text",
      '{"Version":"v1.0.0","Origin":"git"}',
      "v1.0.0.info: Origin is not a JSON object",
    ],
    [
      "an origin's field that is a list",
      '{"Version":"v1.0.0","Origin":{"URL":[]}}',
      "v1.0.0.info: Origin: URL is not a string",
    ],
    [
      "an origin too long",
      `{"Version":"v1.0.0","Origin":{"URL":"${"a".repeat(5000)}"}}`,
      "v1.0.0.info: Origin.URL is longer than 4096",
    ],
    ["too many bytes", " ".repeat(MAX_INFO_BYTES + 1), "v1.0.0.info: 65537 bytes, more than 65536"],
    ["brackets as deep as they go", "[".repeat(MAX_INFO_BYTES), "v1.0.0.info is not JSON"],
  ])("%s is refused in one line", (_, file, message) => {
    expect(() => parseInfo(file, v1)).toThrow(FormatError);
    expect(problem(() => parseInfo(file, v1))).toBe(message);
  });

  test("without an expected version any canonical one will do, and no other", () => {
    expect(parseInfo('{"Version":"v1.2.3"}')).toEqual({ version: "v1.2.3" });
    expect(problem(() => parseInfo('{"Version":"master"}'))).toBe(
      'version "master" invalid: must be of the form v1.2.3',
    );
    expect(problem(() => parseInfo('{"Version":"../../x"}'))).toMatch("invalid");
  });

  test("a field named like a property of every object is only a field", () => {
    const file =
      '{"Version":"v1.0.0","__proto__":{"Version":"v2.0.0"},"constructor":1,"Origin":{"__proto__":{"vcs":"x"}}}';
    expect(parseInfo(file)).toEqual({ version: "v1.0.0", origin: {} });
  });
});
