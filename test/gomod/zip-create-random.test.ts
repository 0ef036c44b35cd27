import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { listModuleFolder } from "../../adapters/local/module-folder.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { checkAndHashZip } from "../../gomod/zip-check.ts";
import { checkFiles, type ModuleFile } from "../../gomod/zip-rules.ts";
import { bytesSource } from "../../gomod/zip-source.ts";
import { factor } from "../differential/seed.ts";
import { describeWithOracle } from "../go-command.ts";
import { checkFolder, type Problems } from "./checked-folder.ts";
import {
  content,
  type GoChecked,
  type GoZip,
  goMod,
  type ListedFile,
  listedFile,
  moduleFile,
  path,
  question,
  writeTree,
  zipInMemory,
} from "./module-files.ts";
import { ask, cases } from "./oracle.ts";

const scratch = mkdtempSync(join(tmpdir(), "modferry-zip-create-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let folders = 0;
const newFolder = () => join(scratch, String(folders++));

const EXAMPLE = moduleVersion("example.com/m", "v1.0.0");

describeWithOracle("making a module zip", () => {
  test(
    "a list of files gets Go's verdict on each of them, and Go's zip",
    async () => {
      const lists = cases(fc.array(listed, { maxLength: 8 }), 3000);
      const checkedByGo = ask<GoChecked>(lists.map((files) => ["checkFiles", question(files)]));
      const zippedByGo = ask<GoZip>(
        lists.map((files) => ["create", EXAMPLE.path, EXAMPLE.version, question(files)]),
      );
      const seen = new Map<string, number>();
      for (const [at, files] of lists.entries()) {
        const ours = await checkFiles(files.map(moduleFile));
        expect(comparable(ours), String(files.map((file) => file.name))).toEqual(
          withoutError(checkedByGo[at]),
        );
        for (const { problem } of [...ours.invalid, ...ours.omitted])
          count(seen, problem.replace(/["'].*/, ""));
        const made = await zipInMemory(EXAMPLE, files.map(moduleFile)).catch(() => undefined);
        expect(made?.h1 ?? "").toBe(zippedByGo[at]?.h1);
        if (made !== undefined) count(seen, "made");
        if (made !== undefined)
          expect((await checkAndHashZip(bytesSource(made.bytes), EXAMPLE)).h1).toBe(made.h1);
      }
      // Else the lists are not what they are meant to be.
      for (const kind of kindsOfProblem) expect(seen.get(kind) ?? 0, kind).toBeGreaterThan(5);
      expect(seen.get("made")).toBeGreaterThan(200);
    },
    120_000 * factor,
  );

  test.each([
    ["all that lies below a directory that collides", ["A/x", "a/b/c", "a/b/d", "a/e", "a/b", "a/b/c/f"]],
    ["all that lies below a file", ["a", "a/b/c", "a/b/d", "a/e"]],
    ["a directory that only an omitted file needs", ["A/go.mod", "A/b", "a/c"]],
  ])("%s gets Go's verdict", async (_what, paths) => {
    const files = paths.map((each) => listedFile(each));
    const [go] = ask<GoChecked>([["checkFiles", question(files)]]);
    expect(comparable(await checkFiles(files.map(moduleFile)))).toEqual(withoutError(go));
  });

  test(
    "a folder gets Go's verdict on each file, and Go's zip",
    async () => {
      const trees = cases(fc.tuple(fc.option(goMod), fc.array(onDisk, { maxLength: 10 })), 400).map(
        ([root, files]) => {
          const folder = newFolder();
          const all = root === null ? files : [listedFile("go.mod", root), ...files];
          writeTree(folder, all);
          return folder;
        },
      );
      const checkedByGo = ask<GoChecked>(trees.map((folder) => ["checkDir", folder]));
      const zippedByGo = ask<GoZip>(
        trees.map((folder) => ["createFromDir", EXAMPLE.path, EXAMPLE.version, folder]),
      );
      let made = 0;
      for (const [at, folder] of trees.entries()) {
        const ours = await checkFolder(folder);
        expect(comparable(ours)).toEqual(withoutVendored(withoutError(checkedByGo[at]), folder));
        const zip = await zipInMemory(EXAMPLE, (await listModuleFolder(folder)).files).catch(() => undefined);
        expect(zip?.h1 ?? "").toBe(zippedByGo[at]?.h1);
        if (zip === undefined) continue;
        made++;
        writeFileSync(join(scratch, "made.zip"), zip.bytes);
      }
      expect(made).toBeGreaterThan(50);
    },
    120_000 * factor,
  );
});

/** Kinds of problem that the random lists must have met. */
const kindsOfProblem = [
  "file is in vendor directory",
  "file is in another module",
  "file is a symbolic link",
  "not a regular file",
  "go.mod files must have lowercase names",
  "case-insensitive file name collision: ",
  "entry ",
  "multiple entries for file ",
  "malformed file path ",
  "file path is not clean",
];

const listed: fc.Arbitrary<ListedFile> = fc
  .tuple(
    fc.oneof(
      { weight: 20, arbitrary: path },
      {
        weight: 1,
        arbitrary: fc
          .constantFrom("", ".", "/a", "a/", "a//b", "../a", "a/../b", "./a")
          .map((text) => Buffer.from(text)),
      },
      { weight: 3, arbitrary: fc.constant(Buffer.from("go.mod")) },
    ),
    fc.constantFrom("file", "file", "file", "file", "file", "symlink", "directory", "other"),
    goMod,
    content,
  )
  .map(([name, kind, modText, data]) =>
    listedFile(name, /go\.mod$/i.test(String(name)) ? modText : data, kind),
  );

const onDisk: fc.Arbitrary<ListedFile> = fc
  .tuple(path, fc.constantFrom("file", "file", "file", "file", "symlink", "directory"), goMod, content)
  .map(([name, kind, modText, data]) =>
    listedFile(name, /go\.mod$/i.test(String(name)) ? modText : data, kind),
  );

/** Bytes that are no UTF-8 cannot be told in the oracle's JSON. */
function comparable(ours: {
  valid: readonly (string | ModuleFile)[];
  omitted: Problems;
  invalid: Problems;
  sizeProblem: string | undefined;
}) {
  const plain = (list: Problems) => list.map(({ path, problem }) => ({ path: path.toWellFormed(), problem }));
  return {
    valid: ours.valid.map((file) => (typeof file === "string" ? file : file.path)),
    omitted: plain(ours.omitted),
    invalid: plain(ours.invalid),
    sizeProblem: ours.sizeProblem ?? "",
  };
}

function withoutError(go: GoChecked | undefined) {
  const { error: _, ...rest } = go ?? { error: "" };
  return rest as Omit<GoChecked, "error">;
}

/** Relative to the folder; Go also lists what lies in vendored folders, each file. */
function withoutVendored(go: Omit<GoChecked, "error">, folder: string): Omit<GoChecked, "error"> {
  const relative = (text: string) => text.slice(folder.length + 1);
  const seen: string[] = [];
  const omitted = go.omitted
    .map((each) => ({ ...each, path: relative(each.path) }))
    .filter(({ path, problem }) => {
      const isInside = seen.some((above) => path.startsWith(`${above}/`));
      if (problem === "file is in vendor directory") seen.push(path);
      return !isInside;
    });
  const invalid = go.invalid.map((each) => ({ ...each, path: relative(each.path) }));
  return { ...go, valid: go.valid.map(relative), omitted, invalid };
}

function count(seen: Map<string, number>, kind: string): void {
  seen.set(kind, (seen.get(kind) ?? 0) + 1);
}
