import fc from "fast-check";
import { expect, test } from "vitest";
import { factor } from "../../differential/seed.ts";
import { describeWithOracle } from "../../go-command.ts";
import type { TreeFile } from "../../gomod/git-world.ts";
import { cases } from "../../gomod/oracle.ts";
import { ADDRESS, at, compareAll, goMod } from "./git-answers.ts";

describeWithOracle("a module of a git repository", () => {
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
