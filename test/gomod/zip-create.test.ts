import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { listModuleFolder } from "../../adapters/local/module-folder.ts";
import { decodeUtf8 } from "../../gomod/go-unicode.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { checkAndHashZip, MAX_ZIP_BYTES } from "../../gomod/zip-check.ts";
import { checkFiles, type ModuleFile } from "../../gomod/zip-rules.ts";
import { bytesSource } from "../../gomod/zip-source.ts";
import { describeWithOracle } from "../go-command.ts";
import { checkFolder, type Problems } from "./checked-folder.ts";
import {
  type GoZip,
  type ListedFile,
  listedFile,
  moduleFile,
  writeTree,
  zipInMemory,
  zipTestdata,
} from "./module-files.ts";
import { ask } from "./oracle.ts";

const scratch = mkdtempSync(join(tmpdir(), "modferry-zip-create-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let folders = 0;
const newFolder = () => join(scratch, String(folders++));

const EXAMPLE = moduleVersion("example.com/m", "v1.0.0");

/** Go's words for what is wrong, as far as ours are not the same. */
const inOurWords: Readonly<Record<string, string>> = {
  'version "v1.0.0+bad" is not canonical (should be "v1.0.0")': "not canonical, want v1.0.0",
  "invalid version: should be v0 or v1, not v2": "invalid: should be v0 or v1, not v2",
};

/** What x/mod's own TestCreate and TestCreateFromDir ask of Create. */
async function outcomeOf(
  settings: Readonly<Record<string, string>>,
  files: () => Promise<readonly ModuleFile[]>,
) {
  try {
    const module = moduleVersion(
      decodeUtf8(Buffer.from(settings.path ?? "", "latin1")),
      settings.version ?? "",
    );
    const made = await zipInMemory(module, await files());
    const checked = await checkAndHashZip(bytesSource(made.bytes), module);
    expect(checked.h1).toBe(made.h1);
    return made.h1;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function wanted({ wantErr, hash }: Readonly<Record<string, string>>): string {
  return wantErr === undefined ? (hash ?? "") : (inOurWords[wantErr] ?? wantErr);
}

function formatted(checked: { valid: readonly string[]; omitted: Problems; invalid: Problems }): string {
  const lines = (list: Problems) => list.map(({ path, problem }) => `${path}: ${problem}\n`).join("");
  const valid = checked.valid.map((path) => `${path}\n`).join("");
  return `valid:\n${valid}\nomitted:\n${lines(checked.omitted)}\ninvalid:\n${lines(checked.invalid)}`;
}
describeWithOracle("making a module zip", () => {
  test.each(zipTestdata("create").map((archive) => [archive.name, archive] as const))(
    "x/mod's vector create/%s",
    async (_name, { settings, files }) => {
      const outcome = await outcomeOf(settings, async () => files.map(moduleFile));
      expect(outcome).toContain(wanted(settings));
    },
  );

  test.each(zipTestdata("create_from_dir").map((archive) => [archive.name, archive] as const))(
    "x/mod's vector create_from_dir/%s",
    async (_name, { settings, files }) => {
      const folder = newFolder();
      writeTree(folder, files);
      const outcome = await outcomeOf(settings, async () => (await listModuleFolder(folder)).files);
      expect(outcome).toContain(wanted(settings));
    },
  );

  test.each(zipTestdata("check_files").map((archive) => [archive.name, archive] as const))(
    "x/mod's vector check_files/%s",
    async (_name, { files }) => {
      const want = files.find((file) => file.name.toString() === "want");
      const checked = await checkFiles(files.filter((file) => file !== want).map(moduleFile));
      expect(formatted({ ...checked, valid: checked.valid.map((file) => file.path) })).toBe(
        String(want?.data),
      );
    },
  );

  test.each(zipTestdata("check_dir").map((archive) => [archive.name, archive] as const))(
    "x/mod's vector check_dir/%s",
    async (_name, { files }) => {
      const want = files.find((file) => file.name.toString() === "want");
      const folder = newFolder();
      writeTree(
        folder,
        files.filter((file) => file !== want),
      );
      const checked = await checkFolder(folder);
      const inWork = (list: Problems) => list.map((each) => ({ ...each, path: `$work/${each.path}` }));
      const found = {
        valid: checked.valid.map((file) => `$work/${file}`),
        omitted: inWork(checked.omitted),
        invalid: inWork(checked.invalid),
      };
      expect(formatted(found)).toBe(String(want?.data));
    },
  );

  test("every vector was there", () => {
    const counts = ["create", "create_from_dir", "check_files", "check_dir"].map(
      (name) => zipTestdata(name).length,
    );
    expect(counts).toEqual([16, 13, 4, 4]);
  });

  test("Go's reader accepts what we write: small and large files, empty ones, names beyond ASCII, many files", async () => {
    const random = Buffer.from(
      Array.from({ length: 3 << 20 }, (_, i) => (Math.imul(i, 2654435761) >>> 13) & 0xff),
    );
    const lists: ListedFile[][] = [
      [],
      [
        listedFile("empty", ""),
        listedFile("é/日本.go", "package a"),
        listedFile("z.bin", random.subarray(0, 1000)),
      ],
      [
        listedFile("large.bin", random),
        listedFile("large.txt", Buffer.alloc(5 << 20, "text ")),
        listedFile("m.go", "x"),
      ],
      [
        listedFile("exact.bin", random.subarray(0, 1 << 20)),
        listedFile("above.bin", random.subarray(0, (1 << 20) + 1)),
      ],
      Array.from({ length: 70_000 }, (_, at) => listedFile(`d${at % 100}/f${at}`)),
    ];
    for (const files of lists) {
      const made = await zipInMemory(EXAMPLE, files.map(moduleFile));
      const file = join(scratch, "ours.zip");
      writeFileSync(file, made.bytes);
      const [go] = ask<GoZip>([["zipContent", EXAMPLE.path, EXAMPLE.version, file]]);
      expect([go?.error, go?.h1]).toEqual(["", made.h1]);
      expect(go?.files).toHaveLength(files.length);
      expect((await checkAndHashZip(bytesSource(made.bytes), EXAMPLE)).h1).toBe(made.h1);
    }
  }, 120_000);

  test("the same files give the same bytes, in whatever order they are listed", async () => {
    const files = ["b", "a/x", "a.go", "\u{10400}", "\uffb9"].map((name) =>
      moduleFile(listedFile(name, name)),
    );
    const [one, other] = [await zipInMemory(EXAMPLE, files), await zipInMemory(EXAMPLE, files.reverse())];
    expect(other.bytes.equals(one.bytes)).toBe(true);
  });

  test.each([
    ["larger", 5],
    ["smaller", 50],
  ])("a file that is %s than listed ends it", async (how, size) => {
    const file = { ...moduleFile(listedFile("a.go", "package a")), size };
    await expect(zipInMemory(EXAMPLE, [file])).rejects.toThrow(
      `is ${how} than declared size (${size} bytes)`,
    );
  });

  test("sizes are held to Go's limits", async () => {
    const sized = (path: string, size: number): ModuleFile => ({
      path,
      kind: "file",
      size,
      read: zeros(size),
    });
    const problems = async (...files: ModuleFile[]) => {
      const { invalid, sizeProblem } = await checkFiles(files);
      return sizeProblem ?? invalid.map(({ path, problem }) => `${path}: ${problem}`).join();
    };
    const small = 16 << 20;
    expect(await problems(sized("a", MAX_ZIP_BYTES))).toBe("");
    expect(await problems(sized("a", MAX_ZIP_BYTES + 1))).toMatch("module source tree too large");
    expect(await problems(sized("a", 10), sized("b", MAX_ZIP_BYTES - 10))).toBe("");
    expect(await problems(sized("a", 10), sized("b", MAX_ZIP_BYTES - 9))).toMatch(
      "module source tree too large",
    );
    expect(await problems(sized("a", -1))).toMatch("module source tree too large");
    expect(await problems(sized("go.mod", small), sized("LICENSE", small))).toBe("");
    expect(await problems(sized("go.mod", small + 1))).toMatch(
      "go.mod: go.mod file too large (max size is 16777216",
    );
    expect(await problems(sized("LICENSE", small + 1))).toMatch(
      "LICENSE: LICENSE file too large (max size is 16777216",
    );
  });

  test("a folder's links, empty folders and pipes are no part of it; a folder named vendor is any folder", async () => {
    const folder = newFolder();
    mkdirSync(join(folder, "empty"), { recursive: true });
    symlinkSync(folder, join(folder, "link"));
    execFileSync("mkfifo", [join(folder, "pipe")]);
    const empty = await zipInMemory(EXAMPLE, (await listModuleFolder(folder)).files);
    expect(empty.h1).toBe("h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    const vendor = join(newFolder(), "vendor");
    writeTree(vendor, [listedFile("go.mod", "module example.com/m\n\ngo 1.13\n")]);
    const made = await zipInMemory(EXAMPLE, (await listModuleFolder(vendor)).files);
    expect(made.h1).toBe("h1:XduFAgX/GaspZa8Jv4pfzoGEzNaU/r88PiCunijw5ok=");
  });
});

function zeros(size: number) {
  return async function* () {
    const piece = Buffer.alloc(1 << 20);
    for (let left = size; left > 0; left -= piece.length)
      yield piece.subarray(0, Math.min(left, piece.length));
  };
}
