import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { h1OfGoMod } from "../../gomod/dirhash.ts";
import { isLetter } from "../../gomod/go-unicode.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { checkAndHashZip, hashZip } from "../../gomod/zip-check.ts";
import { foldCase } from "../../gomod/zip-names.ts";
import { bytesSource } from "../../gomod/zip-source.ts";
import { describeWithOracle } from "../go-command.ts";
import { buildZip } from "./zip-builder.ts";
import { downloadModules, goModCache, ZipOracle } from "./zip-oracle.ts";
import { slowSource } from "./zip-verdicts.ts";

/** Modules of gin v1.12.0's build list, from small to large; and one of 2018 that has no go.mod. */
const modules =
  `github.com/bytedance/sonic@v1.15.0 github.com/davecgh/go-spew@v1.1.1 github.com/gin-gonic/gin@v1.12.0
  github.com/go-playground/validator/v10@v10.30.1 github.com/mattn/go-isatty@v0.0.20 golang.org/x/sys@v0.41.0
  golang.org/x/text@v0.34.0 gopkg.in/yaml.v3@v3.0.1`.split(/\s+/);

describeWithOracle("zips of real modules", () => {
  test("pass the check and give the h1 of the checksum database, from bytes and from a file", async () => {
    for (const module of downloadModules(modules)) {
      const zip = readFileSync(module.Zip);
      const version = moduleVersion(module.Path, module.Version);
      const checked = await checkAndHashZip(bytesSource(zip), version);
      expect(checked.h1, module.Path).toBe(module.Sum);
      expect((await checkAndHashZip(slowSource(zip), version)).h1, module.Path).toBe(module.Sum);
      expect(await hashZip(bytesSource(zip)), module.Path).toBe(module.Sum);
      expect(checked.goMod === undefined ? undefined : h1OfGoMod(checked.goMod)).toBe(
        checked.goMod === undefined ? undefined : module.GoModSum,
      );
      expect(checked.entries).toBeGreaterThan(0);
      expect(checked.uncompressed).toBeGreaterThan(zip.length);
    }
  });

  test("fail the check under another version", async () => {
    const [module] = downloadModules(["github.com/davecgh/go-spew@v1.1.1"]);
    const zip = readFileSync(module?.Zip ?? "");
    const other = moduleVersion("github.com/davecgh/go-spew", "v1.1.0");
    await expect(checkAndHashZip(bytesSource(zip), other)).rejects.toThrow(
      /^github\.com\/davecgh\/go-spew@v1\.1\.0: zip entry .* does not begin with /,
    );
  });
});

describeWithOracle("x/mod's own vectors (zip/testdata/check_zip and unzip)", () => {
  const [module] = downloadModules(["golang.org/x/mod@v0.40.0"]);
  const testdata = join(goModCache, "golang.org/x/mod@v0.40.0/zip/testdata");
  const cases = ["check_zip", "unzip"].flatMap((folder) =>
    readdirSync(join(testdata, folder)).map((file) => [`${folder}/${file}`] as const),
  );
  let oracle: ZipOracle;
  beforeAll(() => {
    oracle = new ZipOracle();
  });
  afterAll(() => oracle.close());

  test("are all there", () => {
    expect(module?.Sum).toBe("h1:hUv+3cXcdRHz08UmSiOob7sadHig73uo5bkXxQ/tvUs=");
    expect(cases.length).toBe(17);
  });

  test.each(cases)("%s", async (file) => {
    const archive = readTxtar(readFileSync(join(testdata, file)));
    const setting = (key: string) =>
      new RegExp(`^${key}=([^#\\n]*?) *(?:#.*)?$`, "m").exec(archive.comment)?.[1] ?? "";
    const zip = buildZip(archive.files.filter(({ name }) => name.toString() !== "want"));
    const ours = await (async () => {
      try {
        const version = moduleVersion(setting("path"), setting("version"));
        return (await checkAndHashZip(bytesSource(zip), version)).h1;
      } catch (error) {
        return error instanceof Error ? error.name : "";
      }
    })();
    const go = await oracle.verdict(zip, setting("path"), setting("version"));
    expect(ours).toBe(go.check === "" && go.unzip === "" ? go.h1 : "FormatError");
    if (setting("hash") !== "") expect(ours).toBe(setting("hash"));
    if (setting("wantErr") !== "") expect(ours).toBe("FormatError");
  });
});

describeWithOracle("foldCase", () => {
  test("holds the same letters equal as Go's strings.EqualFold", async () => {
    const oracle = new ZipOracle();
    const { folds = [] } = await oracle.ask({ op: "fold" });
    oracle.close();
    expect(folds.length).toBeGreaterThan(1300);
    const classOf = new Map<number, number>(folds.map(([letter, least]) => [letter, least]));
    const seen = new Map<string, number>();
    for (let code = 0; code <= 0x10ffff; code++) {
      const character = String.fromCodePoint(code);
      // Letters younger than Go's tables fold here and not there; no file may be named by them (CheckFilePath).
      if (!isLetter(code)) continue;
      const folded = foldCase(character);
      const least = classOf.get(code) ?? code;
      const known = seen.get(folded);
      if (known === undefined) seen.set(folded, least);
      else if (known !== least)
        expect([code.toString(16), known.toString(16)]).toEqual(["the class of", least.toString(16)]);
      if (least !== code) expect(foldCase(String.fromCodePoint(least)), code.toString(16)).toBe(folded);
    }
  });
});

/** Reads a txtar file: a comment, then files after lines `-- name --`; names are bytes. */
function readTxtar(bytes: Buffer) {
  const [comment = "", ...parts] = bytes.toString("latin1").split(/^-- (.*) --\n/m);
  const latin1 = (text: string) => Buffer.from(text, "latin1");
  const files: { name: Buffer; content: Buffer }[] = [];
  for (let at = 0; at + 1 < parts.length; at += 2) {
    files.push({ name: latin1(parts[at] ?? ""), content: latin1(parts[at + 1] ?? "") });
  }
  return { comment, files };
}
