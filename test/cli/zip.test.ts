import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { ended, modferry, spawnModferry } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { makeRepository } from "../gomod/git-world.ts";
import { writeText } from "../gomod/module-files.ts";
import { misuseOf } from "./misused.ts";

const TIMEOUT = 180_000;
const scratch = mkdtempSync(join(tmpdir(), "modferry-zip-cli-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let folders = 0;
const newFolder = () => {
  const folder = join(scratch, String(folders++));
  mkdirSync(folder);
  return folder;
};

function moduleFolder(path = "example.com/Team/m"): string {
  const folder = newFolder();
  writeText(folder, "go.mod", `module ${path}\n\ngo 1.21\n`);
  writeText(folder, "m.go", "// Package m greets.\npackage m\n\nconst Hello = 1\n");
  writeText(folder, "nested/go.mod", "module example.com/other\n");
  writeText(folder, ".git/config", "not a part of it");
  return folder;
}

/** What the go command says of a version in a folder that is its GOPROXY, having checked it. */
function goDownload(proxy: string, module: string): Record<string, string> {
  return JSON.parse(goIn(proxy, newFolder(), ["mod", "download", "-json", module])) as Record<string, string>;
}

/** What the go command prints, run in a folder. */
function goIn(proxy: string, cwd: string, args: readonly string[]): string {
  const home = newFolder();
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: home,
    GOENV: "off",
    GOFLAGS: "-modcacherw",
    GOMODCACHE: join(home, "cache"),
    GONOSUMDB: "*",
    GOPROXY: `file://${proxy}`,
    GOTOOLCHAIN: "local",
    GOWORK: "off",
  };
  return execFileSync("go", args, { cwd, env, encoding: "utf8", stdio: "pipe" });
}

describeWithGo("modferry zip", () => {
  test(
    "a folder becomes a version that go downloads, with the sums that were printed",
    async () => {
      const to = join(newFolder(), "proxy");
      const run = await modferry(["zip", moduleFolder(), "--version", "v1.2.3", "--to", to]);
      expect(run.code, run.stderr).toBe(0);
      const go = goDownload(to, "example.com/Team/m@v1.2.3");
      expect(run.stdout).toBe(
        `example.com/Team/m v1.2.3 ${go.Sum}\nexample.com/Team/m v1.2.3/go.mod ${go.GoModSum}\n`,
      );
      expect(readdirSync(to)).toEqual(["example.com"]);
      expect(readdirSync(join(to, "example.com/!team/m/@v")).sort()).toEqual([
        "list",
        "v1.2.3.info",
        "v1.2.3.mod",
        "v1.2.3.zip",
      ]);
      expect(run.stderr).toContain("left out: nested: directory is in another module");
    },
    TIMEOUT,
  );

  test(
    "a tag of a git repository becomes its version, with commit and time",
    async () => {
      const repository = newFolder();
      const [hash] = makeRepository(repository, [
        {
          files: [
            ["LICENSE", "L"],
            ["sub/go.mod", "module example.com/r/sub\n"],
            ["sub/a.go", "package a\n"],
          ],
          tags: ["sub/v0.2.0"],
        },
      ]);
      const to = newFolder();
      const run = await modferry(["zip", "--git", repository, "--rev", "sub/v0.2.0", "--to", to, "--json"]);
      expect(run.code, run.stderr).toBe(0);
      const go = goDownload(to, "example.com/r/sub@v0.2.0");
      expect(JSON.parse(run.stdout)).toMatchObject({
        event: "zip",
        module: "example.com/r/sub@v0.2.0",
        h1: go.Sum,
        goModH1: go.GoModSum,
        files: 3,
        isNew: true,
      });
      expect(JSON.parse(readFileSync(join(to, "example.com/r/sub/@v/v0.2.0.info"), "utf8"))).toEqual({
        Version: "v0.2.0",
        Time: "2023-11-14T22:13:20Z",
        Origin: { VCS: "git", Subdir: "sub", Hash: hash, Ref: "refs/tags/sub/v0.2.0" },
      });
    },
    TIMEOUT,
  );

  test(
    "a version that is there stays: the same again is fine, another content is refused and changes nothing",
    async () => {
      const folder = moduleFolder();
      const to = newFolder();
      const args = ["zip", folder, "--version", "v1.0.0", "--to", to];
      const first = await modferry(args);
      const files = () =>
        readdirSync(join(to, "example.com/!team/m/@v")).map((name) =>
          readFileSync(join(to, "example.com/!team/m/@v", name), "latin1"),
        );
      const before = files();
      const again = await modferry(args);
      expect([again.code, again.stdout]).toEqual([0, first.stdout]);
      expect(again.stderr).toContain("was there already");
      writeText(folder, "m.go", "package m\n\nconst Hello = 2\n");
      const changed = await modferry(args);
      expect(changed.code).toBe(1);
      expect(changed.stderr).toContain("has another zip of this version, which must never change");
      writeText(folder, "go.mod", "module example.com/Team/m\n\ngo 1.22\n");
      expect((await modferry(args)).stderr).toContain("has another go.mod of this version");
      expect(files()).toEqual(before);
      expect(readdirSync(to)).toEqual(["example.com"]);
    },
    TIMEOUT,
  );

  test(
    "go lists the versions that were made and chooses among them; pseudo-versions are not listed",
    async () => {
      const folder = moduleFolder();
      const to = newFolder();
      const made = ["v1.10.0", "v1.9.0", "v1.11.0-rc.1", "v1.9.1-0.20240101000000-0123456789ab", "v1.9.0"];
      for (const version of made) {
        const run = await modferry(["zip", folder, "--version", version, "--to", to]);
        expect(run.code, run.stderr).toBe(0);
      }
      const file = join(to, "example.com/!team/m/@v/list");
      expect(readFileSync(file, "utf8")).toBe("v1.9.0\nv1.10.0\nv1.11.0-rc.1\n");
      await Promise.all(
        ["v1.0.1", "v1.0.2", "v1.0.3"].map((version) =>
          modferry(["zip", folder, "--version", version, "--to", to]),
        ),
      );
      expect(goIn(to, newFolder(), ["list", "-m", "-versions", "example.com/Team/m"])).toBe(
        "example.com/Team/m v1.0.1 v1.0.2 v1.0.3 v1.9.0 v1.10.0 v1.11.0-rc.1\n",
      );
      const user = newFolder();
      writeText(user, "go.mod", "module example.com/user\n\ngo 1.21\n");
      goIn(to, user, ["get", "example.com/Team/m@latest"]);
      expect(readFileSync(join(user, "go.mod"), "utf8")).toContain("example.com/Team/m v1.10.0");
    },
    TIMEOUT,
  );

  test(
    "files that no zip may hold are named, each on a line; nothing is written",
    async () => {
      const folder = moduleFolder();
      for (const name of ["a'b.go", "M.go", "con.go"]) writeText(folder, name, "x");
      const to = newFolder();
      const run = await modferry(["zip", folder, "--version", "v1.0.0", "--to", to]);
      expect([run.code, run.stdout]).toEqual([1, ""]);
      expect(run.stderr).toMatch(/a'b\.go: malformed file path/);
      expect(run.stderr).toMatch(/m\.go: case-insensitive file name collision: "M\.go" and "m\.go"/);
      expect(run.stderr).toMatch(/con\.go: .*disallowed/);
      expect(existsSync(join(to, "example.com"))).toBe(false);
      expect(readdirSync(to)).toEqual([]);
    },
    TIMEOUT,
  );

  test(
    "a file's name makes no line and no colour of its own",
    async () => {
      const folder = moduleFolder();
      for (const name of ["a\u001b[31mx\nforged: line", "a\u202eb?.go", "é'.go"])
        writeText(folder, name, "x");
      writeFileSync(Buffer.concat([Buffer.from(`${folder}/b`), Buffer.from([0xff])]), "x");
      const run = await modferry(["zip", folder, "--version", "v1.0.0", "--to", newFolder()]);
      expect([run.code, run.stdout]).toEqual([1, ""]);
      const lines = run.stderr.split("\n");
      expect(lines.filter((line) => /^(modferry: )?forged/.test(line))).toEqual([]);
      for (const obeyed of ["\u001b", "\u202e"]) expect(run.stderr).not.toContain(obeyed);
      expect(run.stderr).toContain(String.raw`"a\x1b[31mx\nforged: line": malformed file path`);
      expect(run.stderr).toContain(String.raw`"a\u202eb?.go": malformed file path`);
      expect(run.stderr).toContain(String.raw`"b\xff": malformed file path`);
      // What can be shown is as x/mod has it.
      expect(run.stderr).toContain("é'.go: malformed file path");
    },
    TIMEOUT,
  );

  test(
    "Ctrl-C while git is at work leaves no temporary folder",
    async () => {
      const repository = newFolder();
      makeRepository(repository, [{ files: [["go.mod", "module example.com/r\n"]], tags: ["v1.0.0"] }]);
      const [temporary, bin] = [newFolder(), newFolder()];
      const git = execFileSync("sh", ["-c", "command -v git"], { encoding: "utf8" }).trim();
      const started = join(bin, "started");
      const script = `#!/bin/sh\ncase " $* " in *" archive "*) touch "${started}"; exec sleep 5;; esac\nexec "${git}" "$@"\n`;
      writeFileSync(join(bin, "git"), script, { mode: 0o755 });
      const args = ["zip", "--git", repository, "--rev", "v1.0.0", "--to", newFolder()];
      const env = { PATH: `${bin}:${process.env.PATH}`, TMPDIR: temporary };
      const child = spawnModferry(args, { env });
      const run = ended(child, args);
      while (!existsSync(started)) await sleep(20);
      expect(readdirSync(temporary)).toHaveLength(1);
      child.kill("SIGINT");
      expect((await run).code).toBe(130);
      expect(readdirSync(temporary)).toEqual([]);
    },
    TIMEOUT,
  );

  test(
    "a go.mod that names another module is said to be for replace only",
    async () => {
      const to = newFolder();
      const run = await modferry([
        "zip",
        moduleFolder(),
        "--module",
        "example.com/fork",
        "--version",
        "v1.0.0",
        "--to",
        to,
      ]);
      expect(run.code).toBe(0);
      expect(run.stderr).toContain(
        "go.mod declares the module as example.com/Team/m: go takes example.com/fork in a replace only",
      );
    },
    TIMEOUT,
  );

  test(
    "what is misused is named",
    async () => {
      const folder = moduleFolder();
      const bare = newFolder();
      const repository = newFolder();
      makeRepository(repository, [{ files: [["go.mod", "module example.com/r\n"]], tags: ["v1.0.0"] }]);
      const link = newFolder();
      symlinkSync(join(folder, "go.mod"), join(link, "go.mod"));
      const to = ["--to", newFolder()];
      const v1 = ["--version", "v1.0.0"];
      const cases: [readonly string[], RegExp][] = [
        [[folder, ...v1], /^--to: not given/],
        [[...v1, ...to], /^no module: give a FOLDER, or --git REPO/],
        [[folder, ...to], /^--version: not given/],
        [[folder, "--version", "1.0.0", ...to], /^--version: version "1.0.0" invalid/],
        [[folder, "--module", "m", ...v1, ...to], /^--module: malformed module path "m"/],
        [[folder, "--rev", "main", ...v1, ...to], /^--rev: goes with --git only/],
        [[folder, folder, ...v1, ...to], /one FOLDER at a time/],
        [["--git", folder, ...to], /^--rev: not given/],
        [
          ["--git", bare, "--rev", "main", ...to],
          new RegExp(`^${bare}: git rev-parse: not a git repository`),
        ],
        [
          ["--git", repository, "--rev", "v1.0.0", "--version", "v2.0.0", ...to],
          /^--version v2\.0\.0: .*\bexample\.com\/r\b/,
        ],
        [["--git", repository, "--rev", "v1.0.0", "--subdir", "nosuch", ...to], /^--subdir nosuch: /],
        [
          [
            "--git",
            repository,
            "--rev",
            "main",
            "--subdir",
            "nosuch",
            "--module",
            "example.com/r/nosuch",
            ...to,
          ],
          /^--subdir nosuch: /,
        ],
        [[folder, "--version", "v2.0.0", ...to], /^--version v2\.0\.0: /],
        [["--git", join(bare, "none"), "--rev", "main", ...to], /no such folder/],
        [
          ["--git", bare, "--rev", "main", "--subdir", "../x", ...to],
          /^--subdir \.\.\/x: give a folder below/,
        ],
        [[bare, ...v1, ...to], /no go.mod names the module; name it by --module/],
        [[link, ...v1, ...to], /go.mod is a symbolic link/],
        [[join(folder, "go.mod"), ...v1, ...to], /not a folder/],
        [[join(bare, "none"), ...v1, ...to], /no such folder/],
        [[folder, ...v1, "--to", join(folder, "go.mod")], /not a folder/],
        [
          [folder, ...v1, "--to", "https://example.com/"],
          /^--to https:\/\/example.com\/: give a folder's path/,
        ],
      ];
      for (const [args, problem] of cases) expect(await misuseOf(["zip", ...args], {})).toMatch(problem);
    },
    TIMEOUT,
  );
});
