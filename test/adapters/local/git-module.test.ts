import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { type GitModuleWish, readGitModule } from "../../../adapters/local/git-module.ts";
import { h1OfGoMod } from "../../../gomod/dirhash.ts";
import { printInfo } from "../../../gomod/info.ts";
import { modulePath } from "../../../gomod/module-path.ts";
import { isValidSemver } from "../../../gomod/semver.ts";
import { version } from "../../../gomod/version.ts";
import { factor } from "../../differential/seed.ts";
import { describeWithOracle } from "../../go-command.ts";
import {
  type Downloaded,
  gitEnvironment,
  goDownload,
  type MadeCommit,
  makeRepository,
  originOf,
  type TreeFile,
  trap,
} from "../../gomod/git-world.ts";
import { type GoZip, zipInMemory } from "../../gomod/module-files.ts";
import { ask, cases } from "../../gomod/oracle.ts";

const scratch = mkdtempSync(join(tmpdir(), "modferry-git-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let folders = 0;
const newFolder = () => join(scratch, String(folders++));

/** A path whose root go knows without asking the network: it ends in .git. */
const ADDRESS = "example.com/r.git";

interface Query {
  readonly path: string;
  readonly directory: string;
  readonly revision: string;
}

/** go keeps one .info of a version, by whatever it was first asked for: versions get a cache of their own. */
const isVersion = (query: Query) => isValidSemver(query.revision);

/** What we make of a query, in the terms of `go mod download -json`; `error` where we refuse. */
async function ours(repository: string, { path, directory, revision }: Query) {
  const wish = { repository, revision, directory, path: modulePath(path), version: undefined };
  return publish(wish).catch((error: Error) => ({ error: error.message }));
}

async function publish(wish: GitModuleWish) {
  const read = await readGitModule(wish, process.env);
  try {
    const zip = await zipInMemory(read.module, read.files);
    const info = JSON.parse(printInfo(read.info)) as {
      Version: string;
      Time: string;
      Origin: Record<string, string>;
    };
    return {
      version: read.module.version,
      h1: zip.h1,
      goModH1: h1OfGoMod(read.goMod),
      info,
      bytes: zip.bytes,
    };
  } finally {
    await read.close();
  }
}

/** Compares one answer with go's: both refuse, or version, hashes and .info are the same but for the address. */
function compare(
  made: Awaited<ReturnType<typeof ours>>,
  go: Downloaded | undefined,
  query: Query,
): "made" | "refused" {
  const what = `${query.path}@${query.revision}`;
  if ("error" in made) {
    expect(go?.Error, `${what}: ${made.error}`).toBeDefined();
    return "refused";
  }
  expect(go?.Error, what).toBeUndefined();
  expect([made.version, made.h1, made.goModH1], what).toEqual([go?.Version, go?.Sum, go?.GoModSum]);
  const { Origin, ...rest } = JSON.parse(readFileSync(go?.Info ?? "", "utf8")) as typeof made.info;
  const { URL, ...origin } = Origin;
  expect(URL).toBe(originOf(ADDRESS));
  // By a branch or hash that is tagged, go's clone names the branch; the version's own tag is what others get.
  const { Ref: _, ...ownOrigin } = made.info.Origin;
  const { Ref: __, ...goOrigin } = origin;
  if (isVersion(query)) expect(made.info.Origin, what).toEqual(origin);
  else expect(ownOrigin, what).toEqual(goOrigin);
  expect([made.info.Version, made.info.Time]).toEqual([rest.Version, rest.Time]);
  return "made";
}

async function compareAll(
  commits: readonly MadeCommit[],
  queries: (hashes: readonly string[]) => readonly Query[],
) {
  const repository = newFolder();
  const asked = queries(makeRepository(repository, commits));
  const answers = new Map<Query, Downloaded>();
  for (const queries of [asked.filter(isVersion), asked.filter((query) => !isVersion(query))]) {
    if (queries.length === 0) continue;
    const go = goDownload(
      repository,
      ADDRESS,
      newFolder(),
      queries.map(({ path, revision }) => `${path}@${revision}`),
    );
    for (const [at, answer] of go.entries()) answers.set(queries[at] as Query, answer);
  }
  const outcomes: ("made" | "refused")[] = [];
  for (const query of asked) outcomes.push(compare(await ours(repository, query), answers.get(query), query));
  return outcomes;
}

const goMod = (path: string, more = "") => `module ${path}\n\ngo 1.24\n${more}`;
const at = (directory: string, revision: string, major = ""): Query => ({
  path: [ADDRESS, directory, major].filter(Boolean).join("/"),
  directory,
  revision,
});

describeWithOracle("a module of a git repository", () => {
  test("a tag, with attributes, line ends, links and a license of the root, is what go makes of it", async () => {
    const long = `${"d/".repeat(60)}${"n".repeat(120)}.go`;
    const files: TreeFile[] = [
      ["go.mod", goMod(ADDRESS)],
      ["LICENSE", "of the root\n"],
      [
        ".gitattributes",
        "*.crlf text eol=crlf\n*.id ident\n*.u16 text working-tree-encoding=UTF-16LE\n*.no export-ignore\n*.subst export-subst\n*.f filter=evil\n* text=auto\n",
      ],
      ["sub/.gitattributes", "*.crlf -text\n"],
      ["a.crlf", "a\nb\n"],
      ["b.go", "package b\r\n"],
      ["a.id", "// $Id$\n"],
      ["a.u16", "é\n"],
      ["a.no", "not left out\n"],
      ["a.subst", "$Format:%H$\n"],
      ["a.f", "filtered?\n"],
      ["é/日本.go", "package e\n"],
      [long, "package d\n"],
      ["link.go", "b.go", "120000"],
      ["run.sh", "#!/bin/sh\n", "100755"],
      ["sub/go.mod", goMod(`${ADDRESS}/sub`)],
      ["sub/a.crlf", "a\nb\n"],
      ["sub/vendor/modules.txt", "x"],
      ["vendor/modules.txt", "x"],
      ["vendor/x.com/y/y.go", "package y\n"],
      ["pkg/vendor/v.go", "package v\n"],
      [".hg_archival.txt", "x"],
      ["other/LICENSE", "its own\n"],
      ["other/go.mod", goMod(`${ADDRESS}/other`)],
    ];
    const outcomes = await compareAll([{ files, tags: ["v1.2.3^", "sub/v0.1.0", "other/v1.0.0"] }], () => [
      at("", "v1.2.3"),
      at("sub", "v0.1.0"),
      at("other", "v1.0.0"),
      at("", "main"),
      at("none", "main"),
    ]);
    expect(outcomes).toEqual(["made", "made", "made", "made", "refused"]);
  }, 120_000);

  test("major versions lie in a directory or on a branch, not in both; without go.mod they are +incompatible", async () => {
    const v2 = `${ADDRESS}/v2`;
    const directory = await compareAll(
      [
        {
          files: [
            ["go.mod", goMod(ADDRESS)],
            ["v2/go.mod", goMod(v2)],
            ["v2/a.go", "package a\n"],
            ["LICENSE", "L"],
          ],
          tags: ["v2.0.0", "v1.0.0"],
        },
        { files: [["go.mod", goMod(v2)]], tags: ["v2.1.0"] },
      ],
      () => [
        at("", "v2.0.0", "v2"),
        at("", "v1.0.0"),
        at("", "v2.1.0", "v2"),
        at("", "v2.0.0"),
        at("", "main", "v2"),
      ],
    );
    expect(directory).toEqual(["made", "made", "refused", "refused", "refused"]);
    const branch = await compareAll(
      [
        { files: [["a.go", "package a\n"]], tags: ["v3.0.0", "v0.1.0"] },
        { files: [["go.mod", goMod(v2)]], tags: ["v2.1.0"] },
      ],
      ([first = "", second = ""]) => [
        at("", "v3.0.0"),
        at("", "v3.0.0+incompatible"),
        at("", "v0.1.0"),
        at("", "v0.1.0+incompatible"),
        at("", first),
        at("", "v2.1.0", "v2"),
        at("", second, "v2"),
        at("", second),
        at("", "v3.0.0", "v3"),
      ],
    );
    expect(branch).toEqual(["made", "made", "made", "refused", "made", "made", "made", "refused", "refused"]);
  }, 120_000);

  test("commits without a tag get go's pseudo-version: above what is tagged before them and not retracted", async () => {
    const retracting = goMod(ADDRESS, "retract [v1.1.0, v1.1.9]\n");
    const outcomes = await compareAll(
      [
        { files: [["go.mod", goMod(ADDRESS)]] },
        { files: [["a.go", "package a\n"]], tags: ["v1.0.0"] },
        { files: [["a.go", "package b\n"]], tags: ["v1.1.0", "v1.1.0-pre"] },
        {
          files: [["go.mod", retracting]],
          tags: ["v1.0.1", "v1.0.2+meta", "v0.0.0-20200101000000-aaaaaaaaaaaa", "junk"],
        },
        { files: [["a.go", "package c\n"]] },
        { files: [["a.go", "package d\n"]], branch: "side", tags: ["v1.2.0-rc.1"] },
        { files: [["a.go", "package e\n"]], branch: "side" },
      ],
      (hashes) => [
        ...hashes.map((hash) => at("", hash.slice(0, 12))),
        at("", "main"),
        at("", "side"),
        at("", "junk"),
        at("", "v1.1.0"),
        at("", "HEAD"),
        at("", "nothing"),
        at("", `v1.0.2-0.20231115021320-${hashes[4]?.slice(0, 12)}`),
        at("", `v0.0.0-20231115021320-${hashes[4]?.slice(0, 12)}`),
        at("", `v1.2.1-0.20231115021320-${hashes[4]?.slice(0, 12)}`),
        at("", `v1.0.2-0.20231115021321-${hashes[4]?.slice(0, 12)}`),
        at("", `v1.0.2-0.20231115021320-${hashes[4]?.slice(0, 11)}`),
      ],
    );
    expect(outcomes.filter((outcome) => outcome === "made").length).toBeGreaterThan(10);
    expect(outcomes.filter((outcome) => outcome === "refused").length).toBeGreaterThan(2);
    const retracted = await compareAll(
      [
        { files: [["go.mod", goMod(ADDRESS)]], tags: ["v1.0.0"] },
        { files: [["a.go", "package a\n"]], tags: ["v1.1.0"] },
        { files: [["go.mod", goMod(ADDRESS, "retract [v1.1.0, v1.3.0]\n")]], tags: ["v1.3.0"] },
        { files: [["a.go", "package b\n"]] },
      ],
      (hashes) => [at("", "main"), ...hashes.map((hash) => at("", hash)), at("", "v1.3.0")],
    );
    expect(retracted).toEqual(Array(6).fill("made"));
  }, 120_000);

  test("a pseudo-version that go makes and then refuses is refused: its base is another module's tag on the commit", async () => {
    // seed 7: sub/v2's base is v2.0.0 of sub/v2.0.0, and the root's v2.0.0 lies on the commit.
    const outcomes = await compareAll(
      [
        { files: [["sub/go.mod", goMod(`${ADDRESS}/sub/v2`)]], tags: ["sub/v2.0.0"] },
        { files: [["a.go", "package a\n"]], tags: ["v2.0.0"] },
        { files: [["a.go", "package b\n"]] },
      ],
      ([, second = "", third = ""]) => [at("sub", second, "v2"), at("sub", third, "v2")],
    );
    expect(outcomes).toEqual(["refused", "made"]);
  }, 120_000);

  test(
    "random repositories: versions, hashes and .info are go's",
    async () => {
      const count = { made: 0, refused: 0 };
      for (const { commits, revisions } of cases(repositories, 8)) {
        const outcomes = await compareAll(commits, (hashes) => {
          const all = [
            ...new Set(["main", ...revisions, hashes.at(-1) ?? "", hashes[0]?.slice(0, 12) ?? ""]),
          ];
          const modules = [at("", ""), at("", "", "v2"), at("sub", ""), at("sub", "", "v2")];
          return all.flatMap((revision) => modules.map((module) => ({ ...module, revision })));
        });
        for (const outcome of outcomes) count[outcome]++;
      }
      expect(count.made).toBeGreaterThan(25);
      expect(count.refused).toBeGreaterThan(30);
    },
    300_000 * factor,
  );

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

const oneOf = <Value>(...values: Value[]) => fc.constantFrom(...values);

/** Files of a few names, so that commits change what others made. */
const someFile: fc.Arbitrary<TreeFile> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .record({
        path: oneOf("go.mod", "go.mod", "v2/go.mod"),
        text: oneOf(
          goMod(ADDRESS),
          goMod(ADDRESS, "retract v1.0.0\n"),
          goMod(`${ADDRESS}/v2`),
          `module "${ADDRESS}/v2"\n`,
          "module (\n",
          "go 1.20\n",
          "// module x\nmodule gopkg.in/x.v1\n",
        ),
      })
      .map(({ path, text }): TreeFile => [path, text]),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({
        path: oneOf("sub/go.mod", "sub/go.mod", "sub/v2/go.mod"),
        text: oneOf(goMod(`${ADDRESS}/sub`), goMod(`${ADDRESS}/sub/v2`), goMod("example.com/fork/sub/v2")),
      })
      .map(({ path, text }): TreeFile => [path, text]),
  },
  {
    weight: 1,
    arbitrary: oneOf<TreeFile>(
      ["go.mod", null],
      ["v2/go.mod", null],
      ["sub/v2/go.mod", null],
      ["go.mod", "sub/go.mod", "120000"],
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({
        path: oneOf("LICENSE", "sub/LICENSE", "v2/LICENSE", "sub/v2/LICENSE"),
        text: oneOf("one\n", "two\r\n", "$Id$"),
      })
      .map(({ path, text }): TreeFile => [path, text]),
  },
  {
    weight: 1,
    arbitrary: oneOf<TreeFile>(["LICENSE", "COPYING", "120000"], ["sub/LICENSE", "../LICENSE", "120000"]),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({
        path: oneOf(".gitattributes", "sub/.gitattributes"),
        text: oneOf(
          "* text eol=crlf\n",
          "*.go ident -text\n",
          "* export-ignore\nsub export-ignore\n",
          "* export-subst\n",
          "[attr]odd eol=crlf\n*.txt odd\n",
          "*.go working-tree-encoding=UTF-16\n",
        ),
      })
      .map(({ path, text }): TreeFile => [path, text]),
  },
  {
    weight: 5,
    arbitrary: fc
      .record({
        path: oneOf(
          "a.go",
          "sub/a.go",
          "sub/v2/a.txt",
          "v2/a.go",
          "vendor/modules.txt",
          "sub/vendor/x/y.go",
          "pkg/vendor/v.go",
          "sub/p/vendor/v.go",
        ),
        text: oneOf("package a\n", "a\r\nb\n", "$Id$\n$Format:%H$\n", "\0\r\n", ""),
      })
      .map(({ path, text }): TreeFile => [path, text]),
  },
  {
    weight: 1,
    arbitrary: oneOf<TreeFile>(
      ["A.go", "x"],
      ["a'.go", "x"],
      ["sub/a\nb", "x"],
      [Buffer.from("v2/\xff", "latin1"), "x"],
      ["sub/con", "x"],
      ["back\\slash", "x"],
    ),
  },
);

const someTag = oneOf(
  "v0.1.0",
  "v1.0.0",
  "v1.0.0",
  "v1.2.0-pre.1",
  "v2.0.0",
  "v2.1.0",
  "v3.0.0",
  "v1.0.1+meta",
  "v1",
  "sub/v0.1.0",
  "sub/v1.0.0",
  "sub/v2.0.0",
  "sub/v2.0.1+m",
  "other/v9.9.9",
);

const repositories = fc
  .array(
    fc.record({
      files: fc.array(someFile, { minLength: 2, maxLength: 9 }),
      tags: fc.array(
        fc.tuple(someTag, oneOf("", "^")).map(([tag, kind]) => tag + kind),
        { maxLength: 4 },
      ),
      branch: oneOf("main", "main", "main", "side"),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((made) => {
    const seen = new Set<string>();
    const isNew = (tag: string) => !seen.has(tag.replace("^", "")) && seen.add(tag.replace("^", ""));
    const commits = made.map((commit, index) => ({
      ...commit,
      // There is always a main.
      branch: index === 0 ? "main" : commit.branch,
      tags: commit.tags.filter(isNew),
      files: [["always.go", `package a // ${index}\n`] as TreeFile, ...commit.files],
    }));
    const versions = [...seen]
      .map((tag) => tag.replace(/^(?:sub|other)\//, ""))
      .filter((tag) => /^v\d+\.\d+\.\d+(-[\w.]+)?$/.test(tag));
    return { commits, revisions: versions };
  });
