import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeWithOracle } from "../../go-command.ts";
import { gitEnvironment, makeRepository, type TreeFile, trap } from "../../gomod/git-world.ts";
import { goMod, newFolder, publish } from "./git-answers.ts";

describeWithOracle("a module of a git repository", () => {
  test.each([
    ["files", "100644 blob"],
    ["folders", "040000 tree"],
  ])(
    "a few objects that expand to a million %s are refused before they are taken out",
    async (what, leaf) => {
      const repository = newFolder();
      makeRepository(repository, [{ files: [["go.mod", goMod("example.com/m")]] }]);
      const git = (args: readonly string[], input = "") =>
        execFileSync("git", args, { cwd: repository, env: gitEnvironment, input, encoding: "utf8" }).trim();
      let hash = git(leaf.endsWith("blob") ? ["hash-object", "-w", "--stdin"] : ["mktree"]);
      for (let level = 0; level < 6; level++) {
        const mode = level === 0 ? leaf : "040000 tree";
        const entries = Array.from({ length: 10 }, (_, entry) => `${mode} ${hash}\t${entry}\n`).join("");
        hash = git(["mktree"], level < 5 ? entries : `${entries}${git(["ls-tree", "main"])}\n`);
      }
      const who = ["-c", "user.name=g", "-c", "user.email=g@example.com"];
      git(["tag", "v1.0.0", git([...who, "commit-tree", "-m", "many", hash])]);
      const wish = { repository, revision: "v1.0.0", path: undefined, version: undefined };
      await expect(publish({ ...wish, directory: undefined })).rejects.toThrow(
        `git ls-tree: the tree has more than 250000 ${what}; name a --subdir`,
      );
    },
    30_000,
  );

  test("nothing that a repository's configuration names is run, and none of it changes content", async () => {
    const repository = newFolder();
    const files: TreeFile[] = [
      ["go.mod", goMod("example.com/m")],
      ["a.f", "kept\n"],
      [".gitattributes", "* filter=evil diff=evil ident\n"],
    ];
    makeRepository(repository, [{ files, tags: ["v1.0.0^"] }, { files: [["b.go", "package b\n"]] }]);
    const wish = {
      repository,
      revision: "v1.0.0",
      directory: undefined,
      path: undefined,
      version: undefined,
    };
    const before = [await publish(wish), await publish({ ...wish, revision: "main" })];
    const { command, sprung } = trap(newFolder(), ["evil", "git-remote-evil"]);
    const config = join(repository, ".git", "config");
    writeFileSync(
      config,
      `${readFileSync(config, "utf8")}
[core]
\tfsmonitor = ${command}
\tpager = ${command}
\thooksPath = ${join(command, "..")}
\tsshCommand = ${command}
\tattributesFile = ${join(repository, "attributes")}
\tautocrlf = true
\teol = crlf
[filter "evil"]
\tsmudge = ${command}
\tclean = ${command}
\tprocess = ${command}
\trequired = true
[diff "evil"]
\ttextconv = ${command}
\texternal = ${command}
[gpg]
\tprogram = ${command}
[log]
\tshowSignature = true
[pager]
\tarchive = ${command}
\tlog = ${command}
[alias]
\tarchive = !${command}
\tls-tree = !${command}
[tar "tar"]
\tcommand = ${command}
[credential]
\thelper = ${command}
[protocol]
\tallow = always
[protocol "ext"]
\tallow = always
[remote "origin"]
\turl = ext::${command}
\tpromisor = true
\tpartialclonefilter = blob:none
[extensions]
\tpartialClone = origin
`,
    );
    writeFileSync(join(repository, "attributes"), "*.f export-ignore text eol=crlf\n");
    mkdirSync(join(repository, ".git", "info"), { recursive: true });
    writeFileSync(join(repository, ".git", "info", "attributes"), "*.f export-ignore text eol=crlf\n");
    const after = [await publish(wish), await publish({ ...wish, revision: "main" })];
    expect(after.map((each) => each.h1)).toEqual(before.map((each) => each.h1));
    expect(existsSync(sprung)).toBe(false);
    // The trap works: git itself, told to, falls into it.
    spawnSync("git", ["archive", "--format=tar", "v1.0.0"], { cwd: repository, env: gitEnvironment });
    expect(existsSync(sprung)).toBe(true);
  });

  test.each([
    ["--output=pwned", /no tag, branch or commit/],
    ["HEAD~1", /no tag, branch or commit/],
    ["main:go.mod", /no tag, branch or commit/],
    ["@{-1}", /no tag, branch or commit/],
    ["0123456", /no tag, branch or commit/],
  ])("revision %s is refused and never reaches git as more than a name", async (revision, problem) => {
    const repository = newFolder();
    makeRepository(repository, [
      { files: [["go.mod", goMod("example.com/m")]] },
      { files: [["a.go", "package a\n"]] },
    ]);
    const wish = { repository, revision, directory: undefined, path: undefined, version: undefined };
    await expect(publish(wish)).rejects.toThrow(problem);
    expect(existsSync(join(repository, "pwned"))).toBe(false);
  });
});
