import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { modulePath } from "../../../gomod/module-path.ts";
import { version } from "../../../gomod/version.ts";
import { describeWithOracle } from "../../go-command.ts";
import { gitEnvironment, goDownload, makeRepository, type TreeFile } from "../../gomod/git-world.ts";
import type { GoZip } from "../../gomod/module-files.ts";
import { ask } from "../../gomod/oracle.ts";
import { ADDRESS, at, compare, goMod, newFolder, ours, publish, scratch } from "./git-answers.ts";

describeWithOracle("a module of a git repository", () => {
  test("a module is found by its tag, its directory or its path", async () => {
    const repository = newFolder();
    makeRepository(repository, [
      {
        files: [
          ["sub/go.mod", goMod("example.com/m/sub")],
          ["sub/v2/go.mod", goMod("example.com/m/sub/v2")],
          ["sub/v2/a.go", "package a\n"],
          ["LICENSE", "L"],
        ],
        tags: ["sub/v2.0.0", "sub/v1.0.0"],
      },
    ]);
    const wish = { repository, directory: undefined, path: undefined, version: undefined };
    const path = modulePath("example.com/m/sub/v2");
    const first = await publish({ ...wish, revision: "sub/v2.0.0" });
    expect(first.info).toMatchObject({
      Version: "v2.0.0",
      Origin: { Subdir: "sub", Ref: "refs/tags/sub/v2.0.0" },
    });
    for (const other of [
      { ...wish, revision: "v2.0.0", directory: "sub/v2" },
      { ...wish, revision: "v2.0.0", directory: "sub" },
      { ...wish, revision: "sub/v2.0.0", directory: "sub/v2", path },
      { ...wish, revision: "v2.0.0", directory: "sub", path },
      { ...wish, revision: "main", directory: "sub/v2" },
    ]) {
      const made = await publish(other);
      expect([made.h1, made.info]).toEqual([first.h1, first.info]);
    }
    expect((await publish({ ...wish, revision: "sub/v1.0.0" })).info.Version).toBe("v1.0.0");
    const named = await publish({ ...wish, revision: "main", directory: "sub", version: version("v1.5.0") });
    expect(named.info).toMatchObject({ Version: "v1.5.0", Origin: { Subdir: "sub" } });
    expect(named.info.Origin.Ref).toBeUndefined();
  });

  test("x/mod's CreateFromVCS makes the same zip, where no attribute leaves files out", async () => {
    const repository = newFolder();
    const files: TreeFile[] = [
      ["go.mod", goMod("example.com/m")],
      ["LICENSE", "L"],
      ["a.go", "package a\r\n"],
      [".gitattributes", "*.t text eol=crlf\n"],
      ["d/x.t", "a\nb\n"],
      ["d/go.mod", goMod("example.com/m/d")],
      ["e/e.go", "package e\n"],
      ["e/link", "../a.go", "120000"],
    ];
    makeRepository(repository, [{ files, tags: ["v1.0.0", "d/v1.0.0"] }]);
    execFileSync("git", ["reset", "-q", "--hard"], { cwd: repository, env: gitEnvironment });
    for (const [path, directory, tag] of [
      ["example.com/m", "", "v1.0.0"],
      ["example.com/m/d", "d", "d/v1.0.0"],
    ] as const) {
      const wish = { repository, revision: tag, directory: undefined, path: undefined, version: undefined };
      const made = await publish(wish);
      const [go] = ask<GoZip>([["createFromVCS", path, "v1.0.0", repository, tag, directory]]);
      expect([go?.error, go?.h1]).toEqual(["", made.h1]);
      expect(made.info.Version).toBe("v1.0.0");
    }
  });

  test("a repository of SHA-256 objects is read", async () => {
    const repository = newFolder();
    const [hash = ""] = makeRepository(
      repository,
      [{ files: [["go.mod", goMod("example.com/m")]], tags: ["v1.0.0"] }],
      "sha256",
    );
    const made = await publish({
      repository,
      revision: "v1.0.0",
      directory: undefined,
      path: undefined,
      version: undefined,
    });
    expect(made.info.Origin.Hash).toBe(hash);
    expect(hash).toHaveLength(64);
  });

  test("a bare clone, a worktree and a shallow clone give the same; what a clone lacks is an error, not left out", async () => {
    const repository = newFolder();
    const files: TreeFile[] = [
      ["go.mod", goMod("example.com/m")],
      ["a.go", "package a\n"],
    ];
    makeRepository(repository, [
      { files, tags: ["v1.0.0"] },
      { files: [["a.go", "package b\n"]], tags: ["v1.1.0^"] },
      { files: [["b.go", "package b\n"]] },
    ]);
    const wish = {
      repository,
      revision: "v1.1.0",
      directory: undefined,
      path: undefined,
      version: undefined,
    };
    const expected = (await publish(wish)).h1;
    const git = (cwd: string, ...args: string[]) =>
      execFileSync("git", args, {
        cwd,
        env: gitEnvironment,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }).trim();
    const [bare, tree, shallow] = [newFolder(), newFolder(), newFolder()];
    git(scratch, "clone", "-q", "--bare", repository, bare);
    git(repository, "worktree", "add", "-q", "--detach", tree, "main");
    git(scratch, "clone", "-q", "--depth=1", "--branch=v1.1.0", `file://${repository}`, shallow);
    for (const each of [bare, tree, shallow])
      expect((await publish({ ...wish, repository: each })).h1).toBe(expected);
    expect((await publish({ ...wish, repository: tree, revision: "HEAD" })).version).toMatch(/^v1\.1\.1-0\./);
    git(
      shallow,
      "-c",
      "user.name=g",
      "-c",
      "user.email=g@example.com",
      "commit",
      "-q",
      "--allow-empty",
      "-m",
      "next",
    );
    await expect(publish({ ...wish, repository: shallow, revision: "HEAD" })).rejects.toThrow(
      "a shallow clone does not",
    );
    for (const name of ["go.mod", "a.go"]) {
      const partial = newFolder();
      git(scratch, "clone", "-q", "--bare", repository, partial);
      const blob = git(partial, "rev-parse", `v1.1.0:${name}`);
      rmSync(join(partial, "objects", blob.slice(0, 2), blob.slice(2)), { force: true });
      await expect(publish({ ...wish, repository: partial }), name).rejects.toThrow(
        /^git (cat-file|archive): /,
      );
    }
    const inside = join(tree, "inside");
    mkdirSync(inside);
    await expect(publish({ ...wish, repository: inside })).rejects.toThrow(
      "inside/ of a git repository; name its top",
    );
  }, 60_000);

  test("a commit whose time no .info can tell is refused: go writes none either", async () => {
    const repository = newFolder();
    makeRepository(repository, [{ files: [["go.mod", goMod(ADDRESS)]] }]);
    const git = (args: readonly string[], input = "") =>
      execFileSync("git", args, { cwd: repository, env: gitEnvironment, input, encoding: "utf8" }).trim();
    const commit = `${git(["cat-file", "commit", "main"])}\n`;
    const dated = ["0", "253402300799", "253402300800", "300000000000", "9999999999999999"];
    for (const [index, seconds] of dated.entries()) {
      const made = commit.replaceAll(/> \d+ \+0230/g, `> ${seconds} +0000`);
      git(["tag", `v1.0.${index}`, git(["hash-object", "-t", "commit", "-w", "--stdin"], made)]);
    }
    const queries = dated.map((_, index) => at("", `v1.0.${index}`));
    const go = goDownload(
      repository,
      ADDRESS,
      newFolder(),
      queries.map(({ path, revision }) => `${path}@${revision}`),
    );
    const made = [];
    for (const query of queries) made.push(await ours(repository, query));
    for (const [index, query] of queries.slice(0, 2).entries())
      expect(compare(made[index] as (typeof made)[number], go[index], query)).toBe("made");
    for (const [index, refused] of made.slice(2).entries()) {
      // time.Time has no JSON beyond the year 9999: go goes on without an .info, and a proxy has none to serve.
      expect(existsSync(go[index + 2]?.Info ?? "")).toBe(false);
      expect(refused).toMatchObject({
        error: expect.stringMatching(/^[0-9a-f]{40}: the commit's time is outside years 1970 to 9999; /),
      });
    }
    const wish = { repository, directory: undefined, path: undefined, version: version("v1.5.0") };
    await expect(publish({ ...wish, revision: "v1.0.3" })).rejects.toThrow("outside years 1970 to 9999");
  }, 60_000);
});
