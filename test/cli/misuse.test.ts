import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { type CommandOptions, modferry } from "../e2e/modferry-command.ts";
import { misuseOf, NOWHERE } from "./misused.ts";

const VKEY = "sumdb.example.test+10968c75+AZBv9m6MKyyc9YuOdh2zQI9j0V6EAqgb36PAYuNV1HCX";
const TIMEOUT = 120_000;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-misuse-"));
  await mkdir(join(folder, "odd/go.mod"), { recursive: true });
  await writeFile(join(folder, "notes.txt"), "\n");
  await mkdir(join(folder, "foreign"));
  await writeFile(join(folder, "foreign/file"), "");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const misused = (args: readonly string[], options: CommandOptions = {}) =>
  misuseOf(args, { cwd: folder, ...options });

describe("a mistake on the command line is one line that names it and what would be right, and exit 2", () => {
  const WISH = "example.com/a@v1.0.0";
  test.concurrent.each<[string, string[], RegExp[]]>([
    [
      "an unknown verb",
      ["frob"],
      [/frob: no such verb/, /sync, serve, verify, .*hash, .*closure, record, rehearse/],
    ],
    ["a verb that is a word of JavaScript", ["constructor"], [/constructor: no such verb/]],
    ["an unknown flag", ["sync", WISH, "--bogus"], [/'--bogus'/, /takes --mirror/]],
    ["another verb's flag", ["serve", "--tier", "build"], [/--tier/, /takes --mirror, --listen/]],
    ["a flag without its value", ["sync", WISH, "--mirror"], [/'--mirror <value>' argument missing/]],
    ["a value for a switch", ["sync", WISH, "--json=yes"], [/'--json' does not take an argument/]],
    ["an argument too many", ["serve", "surplus"], [/surplus/, /flags only/]],
    ["an argument too many", ["verify", "surplus"], [/surplus/, /flags only/]],
    [
      "a mirror given twice",
      ["sync", WISH, "--mirror", "a", "--mirror=b"],
      [/^--mirror: given twice; give it once$/],
    ],
    ["a tier given twice", ["closure", WISH, "--tier=build", "--tier=build"], [/^--tier: given twice/]],
    [
      "a name that is none",
      ["sync", WISH, "--name", "../up"],
      [/^--name \.\.\/up: give a name such as app or team\/app/],
    ],
    ["a feed's name", ["sync", WISH, "--name", "poll"], [/^--name poll: .*not poll/]],
    ["an empty mirror", ["sync", WISH, "--mirror="], [/--mirror: empty; give a folder/]],
    [
      "a mirror that is a URL",
      ["sync", WISH, "--mirror", "https://h/x"],
      [/--mirror: https:\/\/h\/x/, /folder/],
    ],
    ["a mirror in AWS", ["sync", WISH, "--mirror", "aws:prod"], [/--mirror: aws:prod/, /folder/]],
    [
      "a mirror that is a file",
      ["sync", WISH, ...NOWHERE, "--mirror", "notes.txt"],
      [/notes\.txt: a file; name a folder/],
    ],
    [
      "a foreign folder",
      ["sync", WISH, ...NOWHERE, "--mirror", "foreign"],
      [/foreign: no mirror, but not empty/],
    ],
    [
      "no mirror to serve",
      ["serve", "--mirror", "none"],
      [/none: no mirror here; `modferry sync` makes one/],
    ],
    ["no mirror to verify", ["verify", "--mirror", "none"], [/none: no mirror here/]],
    ["an unknown tier", ["sync", WISH, "--tier", "all"], [/--tier all: give one of build, tidy, upgrade/]],
    ["no key", ["sync", WISH, "--sumdb", "sum.example.com"], [/--sumdb: .*verifier key/, /NAME\+HASH\+KEY/]],
    [
      "two URLs after a key",
      ["sync", WISH, "--sumdb", `${VKEY} http://a http://b`],
      [/--sumdb: /, /one argument/],
    ],
    [
      "a database's address that is none",
      ["sync", WISH, "--sumdb", `${VKEY} ftp://h/`],
      [/--sumdb: ftp:\/\/h/, /http\(s\)/],
    ],
    [
      "an upstream that is no URL",
      ["sync", WISH, "--mirror", "m1", "--upstream", "proxy"],
      [/--upstream: not a URL/, /https:\/\//],
    ],
    [
      "an upstream of no known kind",
      ["sync", WISH, "--mirror", "m2", "--upstream", "ftp://h/"],
      [/--upstream: ftp:\/\/h/, /https:\/\//],
    ],
    [
      "no upstream at all",
      ["sync", WISH, "--mirror", "m3"],
      [/--upstream: GOPROXY .* names no http\(s\) URL/, /--upstream URL/],
    ],
    [
      "no port",
      ["serve", "--listen", "localhost"],
      [/--listen localhost: give HOST:PORT, such as 127\.0\.0\.1:3000/],
    ],
    [
      "no port that can be",
      ["serve", "--listen", "127.0.0.1:70000"],
      [/--listen 127\.0\.0\.1:70000: give HOST:PORT/],
    ],
    ["no host", ["serve", "--listen", ":3000"], [/--listen :3000: give HOST:PORT/]],
    [
      "an IPv6 address without brackets",
      ["serve", "--listen", "::1:3000"],
      [/--listen ::1:3000: .*\[::1\]:3000/],
    ],
    ["nothing to hash", ["hash"], [/no file/, /zips or go\.mod/]],
    ["a file to hash that is not there", ["hash", "none.zip"], [/^none\.zip: no such file; check the path$/]],
    ["a folder to hash", ["hash", "odd/go.mod"], [/^odd\/go\.mod: a folder; name a file$/]],
    ["what is neither zip nor go.mod", ["hash", "notes.txt"], [/notes\.txt: not named \.zip or \.mod/]],
  ])(
    "%s: modferry %j",
    async (_what, args, expected) => {
      const line = await misused(args);
      for (const part of expected) expect(line).toMatch(part);
    },
    TIMEOUT,
  );

  test(
    "a mistake in the environment names the variable",
    async () => {
      const env = { MODFERRY_MIRROR: "https://h/x" };
      expect(await misused(["sync", WISH, ...NOWHERE], { env })).toMatch(
        /^MODFERRY_MIRROR: https:\/\/h\/x: give a folder/,
      );
    },
    TIMEOUT,
  );

  test(
    "a folder whose go.mod wants a newer go takes nothing from `go env`, which downloads none to answer",
    async () => {
      await mkdir(join(folder, "newer"), { recursive: true });
      await writeFile(join(folder, "newer/go.mod"), "module example.com/m\n\ngo 1.999\n");
      const env = { GOPROXY: "", GOENV: join(folder, "newer/env"), GOTOOLCHAIN: "auto" };
      await writeFile(join(folder, "newer/env"), "GOPROXY=off\n");
      const line = await misused(["sync", WISH], { cwd: join(folder, "newer"), env });
      expect(line).toMatch(/^--upstream: GOPROXY of `go env` names no http\(s\) URL/);
    },
    TIMEOUT,
  );

  test.each<[string, string | undefined, RegExp]>([
    ["is not there", undefined, /there is no go command on PATH; give --upstream URL/],
    [
      "fails",
      "echo 'go: downloading go1.999' >&2; echo 'go: it broke\u001b' >&2; echo 'see help' >&2; exit 1",
      /`go env` fails: it broke ; give --upstream URL/,
    ],
  ])(
    "a go command that %s is named, in its own words",
    async (what, script, expected) => {
      const path = join(folder, `path-${what.replaceAll(" ", "-")}`);
      await mkdir(path, { recursive: true });
      if (script !== undefined) await writeFile(join(path, "go"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      const line = await misused(["sync", WISH], { env: { PATH: path, GOPROXY: "" } });
      expect(line).toMatch(/^--upstream: not given, and GOPROXY is not to be had: go: /);
      expect(line).toMatch(expected);
    },
    TIMEOUT,
  );

  test(
    "a port that is taken is named",
    async () => {
      const server = createServer();
      await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
      const { port } = server.address() as AddressInfo;
      await (await openFolderMirror(join(folder, "to-serve"), { mode: "write" })).close();
      const line = await misused(["serve", "--mirror", "to-serve", "--listen", `127.0.0.1:${port}`]);
      expect(line).toMatch(
        new RegExp(`--listen 127\\.0\\.0\\.1:${port}: .*EADDRINUSE.*; give another address or port`),
      );
      server.close();
    },
    TIMEOUT,
  );

  test(
    "version and --version print package.json's own",
    async () => {
      const { version } = JSON.parse(await readFile(join(import.meta.dirname, "../../package.json"), "utf8"));
      for (const args of [["version"], ["--version"]]) {
        expect(await modferry(args)).toEqual({ code: 0, stdout: `modferry ${version}\n`, stderr: "" });
      }
    },
    TIMEOUT,
  );

  test(
    "help and no verb print the usage and succeed",
    async () => {
      for (const args of [[], ["help"], ["--help"], ["sync", "--help"], ["serve", "-h"]]) {
        const run = await modferry(args);
        expect([run.code, run.stderr]).toEqual([0, ""]);
        expect(run.stdout).toContain("usage: modferry VERB");
      }
    },
    TIMEOUT,
  );
});
