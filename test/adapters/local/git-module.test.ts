import { expect, test } from "vitest";
import { describeWithOracle } from "../../go-command.ts";
import type { TreeFile } from "../../gomod/git-world.ts";
import { ADDRESS, at, compareAll, goMod } from "./git-answers.ts";

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
});
