import { type ModuleSource, readGitModule } from "../adapters/local/git-module.ts";
import { listModuleFolder } from "../adapters/local/module-folder.ts";
import { publishVersion } from "../adapters/local/proxy-folder.ts";
import { legacyGoMod } from "../gomod/code-repository.ts";
import { h1OfGoMod } from "../gomod/dirhash.ts";
import { FormatError } from "../gomod/format-error.ts";
import { parseGoMod } from "../gomod/go-mod.ts";
import { type ModulePath, modulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, moduleVersion, version } from "../gomod/version.ts";
import { MAX_GO_MOD_BYTES } from "../gomod/zip-check.ts";
import { misuse } from "../mirror/errors.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine, shownName } from "./json-line.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/** As many omitted files are named on stderr; `--json` names all. */
const SHOWN_OMITTED = 5;

/**
 * `modferry zip FOLDER` or `modferry zip --git REPO --rev REV`: makes the module zip that go would, and writes it with
 * its `.info` and `.mod` into a folder that serves as a GOPROXY. Prints the two lines that go.sum will have.
 */
export async function zip(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  if (options.to === undefined)
    throw misuse("--to", "--to: not given; name the folder for .info, .mod and .zip");
  const source = await openSource(options, environment);
  try {
    const { module, goMod } = source;
    warn(source, output);
    const published = await publishVersion(options.to, source);
    const made = { ...published, omitted: [...source.omitted, ...published.omitted] };
    const name = formatModuleVersion(module);
    const goModH1 = h1OfGoMod(goMod);
    if (options.json) {
      const { h1, size, files, uncompressed, omitted, isNew } = made;
      output.print(
        jsonLine({ event: "zip", module: name, h1, goModH1, size, files, uncompressed, isNew, omitted }),
      );
    } else {
      output.print(`${module.path} ${module.version} ${made.h1}`);
      output.print(`${module.path} ${module.version}/go.mod ${goModH1}`);
      for (const { path, problem } of made.omitted.slice(0, SHOWN_OMITTED)) {
        output.error(oneLine(`modferry: left out: ${shownName(path.toWellFormed())}: ${problem}`));
      }
      const more = made.omitted.length - SHOWN_OMITTED;
      if (more > 0) output.error(`modferry: left out: ${more} more (--json names all)`);
      if (!made.isNew) output.error(`modferry: ${name}: was there already, the same`);
    }
    return 0;
  } finally {
    await source.close();
  }
}

async function openSource(options: Options, environment: CliEnvironment): Promise<ModuleSource> {
  const { git, rev, subdir, module, version: named } = options.source;
  const [folder, surplus] = options.arguments;
  const path = module === undefined ? undefined : checked("--module", module, modulePath);
  const canonical = named === undefined ? undefined : checked("--version", named, version);
  if (git === undefined) {
    if (folder === undefined) throw misuse("FOLDER", "no module: give a FOLDER, or --git REPO --rev TAG");
    if (surplus !== undefined) throw misuse(surplus, `${surplus}: one FOLDER at a time`);
    for (const [flag, value] of [
      ["--rev", rev],
      ["--subdir", subdir],
    ] as const) {
      if (value !== undefined)
        throw misuse(flag, `${flag}: goes with --git only; a FOLDER is zipped as it is`);
    }
    if (canonical === undefined)
      throw misuse("--version", "--version: not given; a FOLDER tells none: v1.2.3");
    return folderModule(folder, path, canonical);
  }
  if (folder !== undefined) throw misuse(folder, `${folder}: give a FOLDER or --git REPO, not both`);
  if (rev === undefined || rev === "")
    throw misuse("--rev", "--rev: not given; name a tag, branch or commit");
  const directory = subdir === undefined ? undefined : cleanDirectory(subdir);
  return readGitModule(
    { repository: git, revision: rev, directory, path, version: canonical },
    environment.variables,
  );
}

/** A folder's module as of now: nothing tells when it was made. */
async function folderModule(
  folder: string,
  path: ModulePath | undefined,
  canonical: string,
): Promise<ModuleSource> {
  const listed = await listModuleFolder(folder);
  const file = listed.files.find((each) => each.path === "go.mod");
  if (file === undefined && listed.omitted.some((each) => each.path === "go.mod")) {
    throw misuse(
      "go.mod",
      `${folder}: go.mod is a symbolic link or no plain file, which no module zip holds`,
    );
  }
  const pieces: Uint8Array[] = [];
  if (file !== undefined && file.size <= MAX_GO_MOD_BYTES) {
    for await (const piece of file.read()) pieces.push(Uint8Array.from(piece));
  }
  const goMod = file === undefined ? undefined : Buffer.concat(pieces);
  const declared = goMod && parseGoMod("go.mod", goMod, "lax").module?.path;
  if (path === undefined && declared === undefined) {
    throw misuse("--module", `${folder}: no go.mod names the module; name it by --module`);
  }
  const module = checked(`--version ${canonical}`, canonical, (text) =>
    moduleVersion(path ?? declared ?? "", text),
  );
  return {
    module,
    info: { version: module.version, time: `${new Date().toISOString().slice(0, 19)}Z` },
    goMod: goMod ?? legacyGoMod(module.path),
    files: listed.files,
    omitted: listed.omitted,
    close: async () => {},
  };
}

/** A go.mod that go would not take, or takes under its own name only. */
function warn({ module, goMod }: ModuleSource, output: Output): void {
  const declared = parseGoMod("go.mod", goMod, "lax").module?.path ?? "";
  if (declared === module.path) return;
  const use = `go takes ${module.path} in a replace only`;
  output.error(oneLine(`modferry: go.mod declares the module as ${shownName(declared)}: ${use}`));
}

function checked<Value>(flag: string, text: string, parse: (text: string) => Value): Value {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw misuse(flag, `${flag}: ${error.message}`, error);
  }
}

function cleanDirectory(text: string): string {
  const directory = text.replace(/^\.\/+/, "").replace(/\/+$/, "");
  if (directory === "." || directory === "") return "";
  const isClean = directory.split("/").every((element) => !["", ".", ".."].includes(element));
  if (isClean && !/[\0\n]/.test(directory)) return directory;
  throw misuse("--subdir", `--subdir ${text}: give a folder below the repository's top, such as sub/module`);
}
