import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CommandOptions } from "../e2e/modferry-command.ts";
import { misuseOf, NOWHERE } from "./misused.ts";

const TIMEOUT = 120_000;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-misuse-"));
  await mkdir(join(folder, "project"));
  await mkdir(join(folder, "odd/go.mod"), { recursive: true });
  await writeFile(join(folder, "project/go.mod"), "module example.com/m\n\ngo 1.21\n");
  await writeFile(join(folder, "notes.txt"), "\n");
  await mkdir(join(folder, "odd-sum/go.sum"), { recursive: true });
  await writeFile(join(folder, "odd-sum/go.mod"), "module example.com/m\n\ngo 1.21\n");
  await mkdir(join(folder, "replaced"));
  const replace = "replace example.com/r => ../nowhere\n";
  const require = "require example.com/r v1.0.0\n";
  await writeFile(join(folder, "replaced/go.mod"), `module example.com/m\n\ngo 1.21\n\n${require}${replace}`);
  await mkdir(join(folder, "requires"));
  await writeFile(join(folder, "requires/go.mod"), `module example.com/m\n\ngo 1.21\n\n${require}`);
  await mkdir(join(folder, "replaced-work"));
  await writeFile(join(folder, "replaced-work/go.work"), `go 1.21\n\nuse ../requires\n\n${replace}`);
  await mkdir(join(folder, "work"));
  await writeFile(join(folder, "work/go.work"), "go 1.21\n\nuse ./gone\n");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const misused = (args: readonly string[], options: CommandOptions = {}) =>
  misuseOf(args, { cwd: folder, ...options });

describe("a wish that is none is named in one line with what would be right, and exit 2", () => {
  test.concurrent.each<[string, string[], RegExp[]]>([
    ["no wish", ["sync"], [/no wish/, /go\.mod.*module@version.*-/]],
    ["no wish", ["closure"], [/no wish/]],
    [
      "a wish that is nothing",
      ["sync", "golang.org/x/tools", ...NOWHERE],
      [/golang\.org\/x\/tools: not a wish/, /module@version/],
    ],
    [
      "a branch",
      ["sync", "golang.org/x/tools@master", ...NOWHERE],
      [
        /^golang\.org\/x\/tools@master: version "master" invalid: must be of the form v1\.2\.3; /,
        /v1\.2\.3-rc\.1, a pseudo-version as go\.mod has it, or @latest$/,
      ],
    ],
    [
      "a short version",
      ["sync", "golang.org/x/tools@v0.1", ...NOWHERE],
      [/^golang\.org\/x\/tools@v0\.1: version "v0\.1" invalid: not canonical, want v0\.1\.0; .* or @latest$/],
    ],
    ["no module path", ["sync", "a@v1.0.0", ...NOWHERE], [/malformed module path "a": missing dot/]],
    ["no module path", ["sync", "!!x@latest", ...NOWHERE], [/!!x@latest: malformed module path/]],
    [
      "a major version that disagrees",
      ["sync", "example.com/a/v2@v1.0.0", ...NOWHERE],
      [/^example\.com\/a\/v2@v1\.0\.0: version "v1\.0\.0" invalid: should be v2, not v1$/],
    ],
    ["two at signs", ["sync", "a@b@latest", ...NOWHERE], [/a@b@latest: not a wish/]],
    [
      "a folder",
      ["sync", "project", ...NOWHERE],
      [/project: a folder; name the file in it: project\/go\.mod/],
    ],
    ["a folder named go.mod", ["sync", "odd/go.mod", ...NOWHERE], [/odd\/go\.mod: a folder; name a file/]],
    [
      "a folder named go.sum",
      ["closure", "odd-sum/go.mod", ...NOWHERE],
      [/odd-sum\/go\.sum: a folder; name a file/],
    ],
    [
      "a replacement that is not there",
      ["closure", "replaced/go.mod", ...NOWHERE],
      [/^replaced\/go\.mod: replaces example\.com\/r by \.\.\/nowhere, but nowhere has no go\.mod/],
    ],
    [
      "a workspace's replacement that is not there",
      ["closure", "replaced-work/go.work", ...NOWHERE],
      [/^replaced-work\/go\.work: replaces example\.com\/r by \.\.\/nowhere, but nowhere has no go\.mod/],
    ],
    ["a file that is not there", ["closure", "none/go.mod", ...NOWHERE], [/none\/go\.mod: no such file/]],
    [
      "another file",
      ["sync", "notes.txt", ...NOWHERE],
      [/notes\.txt: not named go\.mod, go\.sum, go\.work or \.json/],
    ],
    [
      "a workspace's member that is not there",
      ["sync", "work/go.work", ...NOWHERE],
      [/work\/gone\/go\.mod: no such file/],
    ],
    [
      "nothing on stdin",
      ["sync", "-", ...NOWHERE],
      [/stdin is empty; pipe the output of `go list -m -json all`/],
    ],
  ])(
    "%s: modferry %j",
    async (_what, args, expected) => {
      const line = await misused(args);
      for (const part of expected) expect(line).toMatch(part);
    },
    TIMEOUT,
  );

  test.each<[string, string, RegExp]>([
    ["not JSON", "hello\n}\n", /-: stdin is not the output of `go list -m -json all`/],
    ["objects without Path", "{\n}\n", /an object has no Path/],
    [
      "a version that is none",
      '{\n"Path": "example.com/a",\n"Version": "master"\n}\n',
      /-: stdin: .*"master" invalid/,
    ],
    [
      "a path that would be a line",
      '{\n"Path": "example.com/a v1.0.0\\nreplace",\n"Version": "v1.0.0"\n}\n',
      /-: stdin: malformed/,
    ],
  ])(
    "stdin that is %s",
    async (_what, stdin, expected) => {
      expect(await misused(["sync", "-", ...NOWHERE], { stdin })).toMatch(expected);
    },
    TIMEOUT,
  );
});
