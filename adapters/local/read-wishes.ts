import { readFile, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, normalize, posix, sep } from "node:path";
import { z } from "zod";
import { FormatError } from "../../gomod/format-error.ts";
import { parseGoMod, type Replace, type Requirement } from "../../gomod/go-mod.ts";
import { parseGoWork } from "../../gomod/go-work.ts";
import { modulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion, moduleVersion } from "../../gomod/version.ts";
import { about, misuse } from "../../mirror/errors.ts";
import type { GraphExtent, RequestBody, Tier } from "../../mirror/requests.ts";
import { fileKind, parseWishes, sumOf } from "../../mirror/wishes.ts";
import { codeOf, whyUnread } from "./file-error.ts";
import { isRequestFile, joinRequests, readRequestFile } from "./request-file.ts";

/**
 * Turns the wishes of a command line into a request: files are read, with the go.sum beside each go.mod and the go.mods
 * that a go.work uses; what request files ask for is added.
 * @throws MirrorError misuse naming the wish.
 */
export async function readWishes(
  wishes: readonly string[],
  { tier, graph }: { readonly tier: Tier; readonly graph: GraphExtent },
  stdin: () => Promise<string>,
): Promise<RequestBody> {
  if (wishes.length === 0) {
    throw misuse(
      "WISH",
      "no wish: give a go.mod, go.sum, go.work or request (.json) file, module@version, module@latest, or -",
    );
  }
  const files: Record<string, string> = {};
  const exact: string[] = [];
  const roots: string[] = [];
  const requests: [string, RequestBody][] = [];
  for (const [at, wish] of wishes.entries()) {
    if (wish === "-") {
      const list = readBuildList(await stdin());
      files[`stdin${at}/go.mod`] = list.goMod;
      exact.push(...list.exact);
    } else if (/^[a-z][a-z0-9+.-]*:\/\//i.test(wish)) {
      // Not repeated: it may hold a password.
      throw misuse("WISH", "a URL is no wish: name where to fetch from with --upstream");
    } else if (!wish.includes("@") && fileKind(basename(wish)) !== undefined)
      await readModuleFile(wish, files);
    else if (isRequestFile(wish)) requests.push([wish, await readRequestFile(wish)]);
    else if (/^[^@\s]+@[^@\s]+$/.test(wish)) roots.push(wish);
    else throw misuse(wish, await explainWish(wish));
  }
  const body = joinRequests(
    { format: 1, tier, files, exact, wishes: roots, together: true, graph, recorded: [] },
    requests,
  );
  checkWishes(body);
  return body;
}

/** Here, before anything is opened or asked: accepting the request would find the same later. */
function checkWishes(body: RequestBody): void {
  for (const path of parseWishes(body).latest) parsed(() => modulePath(path), `${path}@latest`);
}

async function explainWish(wish: string): Promise<string> {
  const found = await stat(wish).catch(() => undefined);
  if (found?.isDirectory()) return `${wish}: a folder; name the file in it: ${join(wish, "go.mod")}`;
  if (found !== undefined) return `${wish}: not named go.mod, go.sum, go.work or .json`;
  return `${wish}: not a wish; give a go.mod, go.sum, go.work or request (.json) file, module@version, module@latest, or -`;
}

/** Names in a request are as the user typed them, in slashes: go's messages carry them. */
const requestFileName = (path: string): string => normalize(path).split(sep).join(posix.sep);

async function readModuleFile(path: string, files: Record<string, string>): Promise<void> {
  const text = await readText(path);
  files[requestFileName(path)] = text;
  const folder = dirname(path);
  if (fileKind(path) !== "sum") await readIfThere(sumOf(path), files);
  if (fileKind(path) === "work") {
    const work = parsed(() => parseGoWork(path, text), path);
    const required: Requirement[] = [];
    for (const use of work.use) {
      const member = join(folder, use.path, "go.mod");
      const name = requestFileName(member);
      if (files[name] === undefined) await readModuleFile(member, files);
      required.push(...parsed(() => parseGoMod(member, files[name] ?? "", "strict"), member).require);
    }
    await readReplacements(path, work.replace, required, files);
  }
  if (fileKind(path) === "mod") {
    const goMod = parsed(() => parseGoMod(path, text, "strict"), path);
    await readReplacements(path, goMod.replace, goMod.require, files);
  }
}

/**
 * The go.mods of folders that replace a module: what they require is part of the graph. go minds that a folder has none
 * only where the module is in the graph: here, where `required` has it.
 */
async function readReplacements(
  path: string,
  lines: readonly Replace[],
  required: readonly Requirement[],
  files: Record<string, string>,
): Promise<void> {
  for (const { old, new: by } of lines) {
    if (by.version !== undefined) continue;
    const folder = resolveFrom(dirname(path), by.path);
    if (await readIfThere(join(folder, "go.mod"), files)) continue;
    const isNeeded = required.some(
      (each) => each.path === old.path && (old.version === undefined || each.version === old.version),
    );
    if (!isNeeded) continue;
    const problem = `replaces ${old.path} by ${by.path}, but ${folder} has no go.mod`;
    throw misuse(path, `${path}: ${problem}; check the path, or drop the replace`);
  }
}

const resolveFrom = (folder: string, path: string): string => (isAbsolute(path) ? path : join(folder, path));

function parsed<T>(parse: () => T, path: string): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof FormatError) throw misuse(path, about(path, cause.message), cause);
    throw cause;
  }
}

/** @returns whether it is there. */
async function readIfThere(path: string, files: Record<string, string>): Promise<boolean> {
  try {
    files[requestFileName(path)] ??= await readFile(path, "utf8");
    return true;
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return false;
    throw misuse(path, `${path}: ${whyUnread(cause)}`, cause);
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw misuse(path, `${path}: ${whyUnread(cause)}`, cause);
  }
}

const listedModule = z.object({
  Path: z.string(),
  Version: z.string().optional(),
  Main: z.boolean().optional(),
  GoVersion: z.string().optional(),
  Replace: z.object({ Path: z.string(), Version: z.string().optional() }).optional(),
});

/**
 * `go list -m -json all`: a stream of JSON objects. Each listed version is wanted whole as it stands; the graph that
 * go loads for it is that of a main module which requires them all.
 */
function readBuildList(text: string): { goMod: string; exact: string[] } {
  const modules = splitObjects(text).map((object) => {
    const parsed = listedModule.safeParse(object);
    if (!parsed.success)
      throw misuse("-", "-: stdin is not the output of `go list -m -json all`: an object has no Path");
    return parsed.data;
  });
  const main = modules.find((module) => module.Main);
  const required = modules.flatMap((module) => {
    const { Path: path, Version: version } = module.Replace ?? module;
    if (module.Main || version === undefined) return [];
    return [parsed(() => moduleVersion(path, version), "-: stdin")];
  });
  const lines = required.map(({ path, version }) => `\t${path} ${version}\n`).join("");
  return {
    goMod: `module stdin.invalid/main\n\ngo ${main?.GoVersion ?? "1.21"}\n\nrequire (\n${lines})\n`,
    exact: required.map(formatModuleVersion),
  };
}

/** go prints each object with its closing brace alone at the start of a line. */
function splitObjects(text: string): unknown[] {
  const objects: unknown[] = [];
  for (const piece of text.split(/^}\s*$/m)) {
    if (piece.trim() === "") continue;
    try {
      objects.push(JSON.parse(`${piece}}`));
    } catch (cause) {
      throw misuse(
        "-",
        "-: stdin is not the output of `go list -m -json all`: it is no sequence of JSON objects",
        cause,
      );
    }
  }
  if (objects.length === 0)
    throw misuse("-", "-: stdin is empty; pipe the output of `go list -m -json all` into it");
  return objects;
}
