import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatModuleVersion } from "../../gomod/version.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { parseRecording, recordingRequest } from "../../mirror/recording.ts";
import { MOST_RECORDED, parseRequestBody, printRequestBody } from "../../mirror/requests.ts";
import { parseWishes } from "../../mirror/wishes.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const A = "example.com/!a/@v/v1.0.0";
const needs = (keys: readonly string[]) =>
  parseRecording(keys).needs.map(({ version, extent }) => `${formatModuleVersion(version)} ${extent}`);
const roots = (keys: readonly string[]) => parseRecording(keys).roots.map(formatModuleVersion);

describe("a recording", () => {
  test.each<[string, string[], string[]]>([
    ["a .mod", [`${A}.mod`], ["example.com/A@v1.0.0 mod"]],
    ["a lookup", ["sumdb/sum.example.com/lookup/example.com/!a@v1.0.0"], ["example.com/A@v1.0.0 mod"]],
    ["an .info", [`${A}.info`], ["example.com/A@v1.0.0 whole"]],
    ["a zip", [`${A}.zip`], ["example.com/A@v1.0.0 whole"]],
    ["a .mod after a zip", [`${A}.zip`, `${A}.mod`], ["example.com/A@v1.0.0 whole"]],
    ["a zip after a .mod", [`${A}.mod`, `${A}.zip`], ["example.com/A@v1.0.0 whole"]],
    ["a list", ["example.com/!a/@v/list"], []],
    [
      "tiles and heads",
      ["sumdb/s.example/tile/8/0/000", "sumdb/s.example/latest", "sumdb/s.example/supported"],
      [],
    ],
    [
      "a toolchain",
      ["golang.org/toolchain/@v/v0.0.1-go1.26.1.linux-amd64.zip"],
      ["golang.org/toolchain@v0.0.1-go1.26.1.linux-amd64 whole"],
    ],
  ])("%s needs what go reads of it", (_what, keys, expected) => {
    expect(needs(keys)).toEqual(expected);
  });

  test("of a module whose list or @latest was asked, what was asked by .info or zip is a root; nothing else is", () => {
    const b = "example.com/b/@v/v1.0.0";
    expect(roots([`${A}.info`, `${b}.zip`])).toEqual([]);
    expect(roots([`${A}.info`, `${b}.zip`, "example.com/!a/@v/list"])).toEqual(["example.com/A@v1.0.0"]);
    expect(roots(["example.com/b/@latest", `${A}.info`, `${b}.zip`])).toEqual(["example.com/b@v1.0.0"]);
    expect(roots([`${A}.mod`, "example.com/!a/@v/list"])).toEqual([]);
  });

  test("only zips that were asked name what a build opens", () => {
    expect([...parseRecording([`${A}.info`, "example.com/b/@v/v1.0.0.zip"]).zips]).toEqual([
      "example.com/b@v1.0.0",
    ]);
  });

  const bodyOf = (recorded: unknown) => Buffer.from(JSON.stringify({ ...recordingRequest([]), recorded }));
  const refused = (recorded: unknown): string => {
    try {
      parseWishes(parseRequestBody(bodyOf(recorded)));
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(MirrorError);
      expect((thrown as MirrorError).class).toBe("misuse");
      return (thrown as MirrorError).message;
    }
    throw new Error("accepted");
  };

  test.each<[string, string]>([
    ["a path that climbs", "example.com/../etc/@v/v1.0.0.zip"],
    ["a version that climbs", "example.com/a/@v/../../x.zip"],
    ["an absolute path", "/example.com/a/@v/v1.0.0.zip"],
    ["a URL", "https://example.com/a/@v/v1.0.0.zip"],
    ["upper case that is not escaped", "example.com/A/@v/v1.0.0.zip"],
    ["percent-encoding", "example.com/%21a/@v/v1.0.0.zip"],
    ["a branch", "example.com/a/@v/main.info"],
    ["a version that is not canonical", "example.com/a/@v/v1.0.zip"],
    ["another file", "example.com/a/@v/v1.0.0.txt"],
    ["a major version that disagrees", "example.com/a/v2/@v/v1.0.0.zip"],
    ["module@version", "example.com/a@v1.0.0"],
    ["a NUL", "example.com/a\0/@v/v1.0.0.zip"],
    ["a line break", "example.com/a\n/@v/v1.0.0.zip"],
    ["a database's name that climbs", "sumdb/../lookup/example.com/a@v1.0.0"],
    ["spaces", "   "],
  ])("%s is refused in one line that names it", (_what, key) => {
    const message = refused([`${A}.mod`, key]);
    expect(message).toContain("recorded.1: ");
    expect(message).toContain(JSON.stringify(key));
    expect(message).not.toMatch(/[\n\0]/);
  });

  test.each<[string, unknown, RegExp]>([
    ["no array", "x", /recorded: .*array/],
    ["a number in it", [1], /recorded\.0: .*string/],
    ["an empty key", [""], /recorded\.0: /],
    ["a key without end", ["a".repeat(3000)], /recorded\.0: /],
    ["too many", new Array(MOST_RECORDED + 1).fill("abc"), /recorded: .*200000/],
  ])("%s is refused", (_what, recorded, message) => {
    expect(refused(recorded)).toMatch(message);
  });

  test("whatever stands in it: parsed, or refused as misuse in one line", () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom("/@v/", "v1.0.0", ".info", "..", "sumdb/", "!a", "example.com"),
    );
    fc.assert(
      fc.property(
        fc.array(
          fc.array(piece, { maxLength: 6 }).map((parts) => parts.join("")),
          { maxLength: 4 },
        ),
        (keys) => {
          try {
            parseRecording(keys);
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(MirrorError);
            expect((thrown as MirrorError).message).not.toMatch(/[\n\r\0]/);
          }
        },
      ),
    );
  });

  test("a full one is read in the time of a request", () => {
    const keys = Array.from(
      { length: MOST_RECORDED },
      (_, at) => `example.com/m${at % 5000}/@v/v1.${at}.0.mod`,
    );
    expect(parseRecording(keys).needs).toHaveLength(MOST_RECORDED);
  });
});

describe("a request that is a recording", () => {
  function universe(): MadeUpstream {
    const upstream = new MadeUpstream();
    upstream.database.grow(20);
    upstream.add("example.com/d@v1.0.0");
    upstream.add("example.com/c@v1.0.0", { requires: ["example.com/d@v1.0.0"] });
    upstream.add("example.com/c@v1.1.0", { requires: ["example.com/d@v1.0.0"] });
    upstream.add("example.com/e@v1.0.0");
    return upstream;
  }

  test("holds what was asked and no more, and lists nothing that no list was asked of", async () => {
    const mirror = new MadeMirror(universe());
    const recorded = ["example.com/c/@v/v1.0.0.mod", "example.com/d/@v/v1.0.0.zip"];
    const request = await mirror.request({ recorded });
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    const files = (await mirror.keys()).filter((key) => /\.(info|mod|zip)$/.test(key));
    expect(files).toEqual([
      "example.com/c/@v/v1.0.0.mod",
      "example.com/d/@v/v1.0.0.info",
      "example.com/d/@v/v1.0.0.mod",
      "example.com/d/@v/v1.0.0.zip",
    ]);
    expect(await mirror.text("example.com/d/@v/list")).toBe("");
  });

  test("lists what go chose from a list, with all that it needs to be used", async () => {
    const mirror = new MadeMirror(universe());
    const recorded = ["example.com/c/@v/list", "example.com/c/@v/v1.1.0.info"];
    const request = await mirror.request({ recorded });
    expect((await mirror.ledger.readRequest(request))?.state).toBe("DONE");
    expect(await mirror.text("example.com/c/@v/list")).toBe("v1.1.0\n");
    expect(await mirror.keys()).toContain("example.com/d/@v/v1.0.0.zip");
  });

  test("goes with other wishes, which close as they do without it", async () => {
    const mirror = new MadeMirror(universe());
    await mirror.request({ wishes: ["example.com/c@v1.0.0"], recorded: ["example.com/e/@v/v1.0.0.mod"] });
    const keys = await mirror.keys();
    expect(await mirror.text("example.com/c/@v/list")).toBe("v1.0.0\n");
    expect(keys).toContain("example.com/e/@v/v1.0.0.mod");
    expect(keys).not.toContain("example.com/e/@v/v1.0.0.zip");
  });

  test("what upstream has no more is named", async () => {
    const mirror = new MadeMirror(universe());
    const request = await mirror.request({ recorded: ["example.com/gone/@v/v1.0.0.mod"] });
    expect(await mirror.ledger.readRequest(request)).toMatchObject({ state: "INCOMPLETE", missing: 1 });
  });

  test("is printed and parsed again as it was", () => {
    const body = recordingRequest(["example.com/c/@v/v1.1.0.info", "example.com/c/@v/list"]);
    expect(parseRequestBody(printRequestBody(body))).toEqual(body);
  });
});
