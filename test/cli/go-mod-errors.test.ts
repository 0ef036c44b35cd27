import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { modferry } from "../e2e/modferry-command.ts";
import { type GoClient, goClient } from "../go-client.ts";
import { describeWithGo } from "../go-command.ts";

const NOWHERE = ["--upstream", "http://127.0.0.1:1"];
const TIMEOUT = 60_000;

describeWithGo("a file of the main module that does not parse", () => {
  let go: GoClient;
  let folder: string;
  beforeAll(async () => {
    go = await goClient({ goproxy: "off", gosumdb: "off" });
    folder = await mkdtemp(join(tmpdir(), "modferry-parse-"));
  });
  afterAll(async () => {
    await go?.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  /** The lines that say where: `go.mod:3:2: …`. */
  const positions = (text: string, file: string) =>
    text
      .split("\n")
      .map((line) => line.replace(/^(?:modferry|go): /, ""))
      .filter((line) => line.startsWith(`${file}:`) && /:\d+:/.test(line));

  const head = "module example.com/m\n\ngo 1.21\n\n";
  test.each<[string, string, string]>([
    ["an unknown directive", "go.mod", `${head}frobnicate example.com/a v1.0.0\n`],
    ["a major version that disagrees with its path", "go.mod", `${head}require example.com/a/v3 v2.0.0\n`],
    ["an unclosed block", "go.mod", `${head}require (\n\texample.com/a v1.0.0\n`],
    ["an unclosed string", "go.mod", `${head}require "example.com/a v1.0.0\n`],
    ["three mistakes", "go.mod", `${head}require (\n\texample.com/a\n\tb v1.0.0\n)\nreplace example.com/c\n`],
    ["a replacement without an arrow", "go.mod", `${head}replace example.com/a v1.0.0 ../a\n`],
    ["a go version that is none", "go.mod", "module example.com/m\n\ngo one\n"],
    ["two module lines", "go.mod", "module example.com/m\nmodule example.com/n\n"],
    ["a retraction of no version", "go.mod", `${head}retract [v1.2.0\n`],
    ["a comment that never ends", "go.mod", `${head}/* never\n`],
    ["a go.work's unknown directive", "go.work", "go 1.21\n\nfrobnicate ./a\n"],
    ["a go.work's use without a folder", "go.work", "go 1.21\n\nuse\n"],
  ])(
    "%s: file, line, column and words are go's own, and exit 2",
    async (_what, file, text) => {
      const dir = await mkdtemp(join(folder, "m-"));
      await writeFile(join(dir, file), text);
      const [theirs, ours] = await Promise.all([
        go.run(["list", "-m"], { cwd: dir }),
        modferry(["sync", file, ...NOWHERE], { cwd: dir }),
      ]);
      // Inside of its sentences go has the file's whole path.
      const expected = positions(theirs.stderr.replaceAll(`${dir}/`, ""), file);
      expect(expected, theirs.stderr).not.toEqual([]);
      expect(positions(ours.stderr, file), ours.stderr).toEqual(expected);
      expect([ours.code, ours.stdout]).toEqual([2, ""]);
    },
    TIMEOUT,
  );

  test(
    "a go.sum: its line and words are go's own",
    async () => {
      const dir = await mkdtemp(join(folder, "m-"));
      await writeFile(join(dir, "go.mod"), `${head}require github.com/pkg/errors v0.9.1\n`);
      await writeFile(
        join(dir, "main.go"),
        'package main\n\nimport _ "github.com/pkg/errors"\n\nfunc main() {}\n',
      );
      await writeFile(join(dir, "go.sum"), "example.com/a v1.0.0 h1:A\nexample.com/a v1.0.0\n");
      const [theirs, ours] = await Promise.all([
        go.run(["build"], { cwd: dir }),
        modferry(["sync", "go.mod", ...NOWHERE], { cwd: dir }),
      ]);
      // go names the file by its whole path there.
      const inFolder = theirs.stderr.replaceAll(`${dir}/`, "");
      expect(positions(inFolder, "go.sum"), theirs.stderr).toEqual(["go.sum:2: wrong number of fields 2"]);
      expect(positions(ours.stderr, "go.sum"), ours.stderr).toEqual(positions(inFolder, "go.sum"));
      expect([ours.code, ours.stdout]).toEqual([2, ""]);
    },
    TIMEOUT,
  );
});
