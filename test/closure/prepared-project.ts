import { cp, mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseGoMod } from "../../gomod/go-mod.ts";
import { compareGoVersions, goVersionOf } from "../../gomod/go-version.ts";
import type { GoClient } from "../go-client.ts";
import { type ClosureSubject, library, type Sources, type WishedRoot } from "./projects.ts";

/** A subject as folders that go runs in. */
export interface PreparedProject {
  readonly subject: ClosureSubject;
  /** Tidy, with its go.sum; of a wish: a module that imports from it. */
  readonly dir: string;
  /** The go.mod, go.sum and go.work files, by name below `dir`. */
  readonly requestFiles: Readonly<Record<string, string>>;
  /** Below `dir`, of each module; "" for the folder itself. */
  readonly modules: readonly string[];
  /** The highest go line among the main modules' and the wish's. */
  readonly goLine: string;
}

/** Writes the subject's files and has go tidy them, with the newest toolchain. @throws Error with go's message. */
export async function prepareProject(subject: ClosureSubject, client: GoClient): Promise<PreparedProject> {
  const dir = await mkdtemp(join(client.home, "prepared-"));
  const go = async (folder: string, ...args: string[]) => {
    const { code, stdout, stderr } = await client.run(args, { cwd: join(dir, folder) });
    if (code !== 0) throw new Error(`${subject.name}: go ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  if (subject.kind === "program") {
    const found = JSON.parse(await go("", "mod", "download", "-json", subject.module)) as { Dir: string };
    await cp(found.Dir, dir, { recursive: true });
  } else if (subject.kind === "project") {
    await write(dir, subject.files);
  } else {
    await write(dir, {
      "go.mod": `module example.com/main\n\ngo ${subject.go}\n`,
      "main.go": importer(subject),
    });
    await go("", "get", subject.module);
  }
  const isWorkspace = (await readdir(dir)).includes("go.work");
  const modules = isWorkspace ? await foldersWithGoMod(dir) : [""];
  // A published program's go.mod counts as it is.
  const tidy = (subject.kind === "project" ? subject.tidy : undefined) ?? [[]];
  if (subject.kind !== "program")
    for (const folder of modules) for (const args of tidy) await go(folder, "mod", "tidy", ...args);
  if (isWorkspace) {
    await go("", "work", "sync");
    for (const folder of modules) await go(folder, "mod", "tidy");
    // go.work.sum comes of itself, from whatever asks for a hash that no go.sum has.
    await go("", "list", "-deps", "-test", ...modules.map((folder) => `./${folder}/...`));
  }
  const requestFiles = await readRequestFiles(dir, modules);
  const lines = modules.map((folder) => {
    const name = join(folder, "go.mod");
    return goVersionOf(parseGoMod(name, requestFiles[name] ?? "", "strict"));
  });
  const goLine = lines.reduce((highest, line) => (compareGoVersions(highest, line) < 0 ? line : highest));
  return { subject, dir, requestFiles, modules, goLine };
}

export async function write(dir: string, files: Sources): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
}

function importer({ imports }: WishedRoot): string {
  return `${library("main", ...imports)}\nfunc main() {}\n`;
}

async function foldersWithGoMod(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

/** All that a user would hand in: also the go.mod of a folder that replaces a module. */
async function readRequestFiles(dir: string, modules: readonly string[]): Promise<Record<string, string>> {
  const names = new Set(modules.flatMap((folder) => [join(folder, "go.mod"), join(folder, "go.sum")]));
  for (const name of ["go.work", "go.work.sum", "local/go.mod"]) names.add(name);
  const files: Record<string, string> = {};
  for (const name of names) {
    const text = await readFile(join(dir, name), "utf8").catch(() => undefined);
    if (text !== undefined) files[name] = text;
  }
  return files;
}
