import {
  type CodeModule,
  type Commit,
  joinPath,
  legacyGoMod,
  locateModule,
  type ModuleLocation,
  pathMajorOf,
} from "../../gomod/code-repository.ts";
import { codeRevision, refOfVersion, versionOfCommit } from "../../gomod/code-version.ts";
import { FormatError } from "../../gomod/format-error.ts";
import { parseGoMod } from "../../gomod/go-mod.ts";
import type { Info } from "../../gomod/info.ts";
import { type ModulePath, modulePath } from "../../gomod/module-path.ts";
import { isPseudoVersion, pseudoVersionRev } from "../../gomod/pseudo-version.ts";
import { major } from "../../gomod/semver.ts";
import { isIncompatible, type ModuleVersion, moduleVersion, type Version } from "../../gomod/version.ts";
import type { FileProblem, ModuleFile } from "../../gomod/zip-rules.ts";
import { misuse } from "../../mirror/errors.ts";
import { GitRepository } from "./git-repository.ts";

/** Which module of which commit is wanted. */
export interface GitModuleWish {
  readonly repository: string;
  /** A version, tag, branch, HEAD or hash. */
  readonly revision: string;
  /** Undefined: what the tag says (`sub/v1.2.3`), else the root. */
  readonly directory: string | undefined;
  /** Undefined: what the go.mod says. */
  readonly path: ModulePath | undefined;
  /** Undefined: what go makes of tag or commit. */
  readonly version: Version | undefined;
}

/** One version of a module, read from where its source lies. */
export interface ModuleSource {
  readonly module: ModuleVersion;
  readonly info: Info;
  readonly goMod: Uint8Array;
  /** Readable until `close`. */
  readonly files: readonly ModuleFile[];
  /** What is not even in `files`. */
  readonly omitted: readonly FileProblem[];
  close(): Promise<void>;
}

/**
 * Reads a module out of a local git repository as the go command does out of its clone (cmd/go/internal/modfetch,
 * codeRepo), but for the repository's address, which a local one does not tell: `.info` has no Origin.URL.
 * @throws MirrorError misuse, or FormatError for what go refuses.
 */
export async function readGitModule(
  wish: GitModuleWish,
  variables: NodeJS.ProcessEnv,
): Promise<ModuleSource> {
  const repository = await GitRepository.open(wish.repository, variables);
  const closing = [() => repository.close()];
  const close = async () => {
    for (const each of closing.splice(0).reverse()) await each();
  };
  try {
    const code = await codeModule(repository, wish);
    const commit = await repository.commit(codeRevision(code, wish.revision));
    const at = await locateModule(repository, code, commit.hash).catch((error) =>
      wanted("--subdir", wish.directory, () => {
        throw error;
      }),
    );
    const found = await versionFor(repository, code, commit, wish, at);
    const { location } = found;
    const { files, handle } = await repository.files(commit.hash, location.directory);
    closing.push(() => handle.close());
    const module = wanted("--version", wish.version, () => moduleVersion(code.path, found.version));
    const ref = refOfVersion(repository, code, commit, module.version);
    const info = {
      version: module.version,
      time: commit.time.toISOString().replace(".000Z", "Z"),
      origin: {
        vcs: "git",
        ...(code.directory === "" ? {} : { subdir: code.directory }),
        hash: commit.hash,
        ...(ref === undefined ? {} : { ref }),
      },
    };
    const own = below(files, location.directory);
    const license = await rootLicense(repository, commit.hash, location.directory, own);
    return {
      module,
      info,
      goMod: location.goMod ?? legacyGoMod(code.path),
      files: [...own, ...license],
      omitted: [],
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The version that go gives the commit; or the one that the user gives it, which then need not be a tag. */
async function versionFor(
  repository: GitRepository,
  code: CodeModule,
  commit: Commit,
  wish: GitModuleWish,
  location: ModuleLocation,
) {
  if (wish.version === undefined) return versionOfCommit(repository, code, commit, wish.revision);
  if (isIncompatible(wish.version) && location.goMod !== undefined) {
    throw misuse(
      "--version",
      `--version ${wish.version}: a module with a go.mod has no +incompatible versions`,
    );
  }
  return { version: wish.version, location };
}

/** What a flag's own value made go refuse is the user's mistake. */
function wanted<Value>(flag: string, value: string | undefined, make: () => Value): Value {
  try {
    return make();
  } catch (error) {
    if (value === undefined || !(error instanceof FormatError)) throw error;
    throw misuse(flag, `${flag} ${value}: ${error.message}`, error);
  }
}

/** Which module is meant, by what was named, the tag and the go.mod. */
async function codeModule(repository: GitRepository, wish: GitModuleWish): Promise<CodeModule> {
  const isTag = (name: string) => repository.tags.some((tag) => tag.name === name);
  const tag = isTag(wish.revision) ? /^(.+)\/(v\d+\.\d+\.\d+[^/]*)$/.exec(wish.revision) : null;
  const named = wish.directory ?? tag?.[1] ?? "";
  if (wish.path !== undefined) return { path: wish.path, directory: withoutMajor(named, wish.path) };
  // v2.0.0 of a module in sub, or in its sub/v2, is the tag sub/v2.0.0.
  const inDirectory = [named, named.replace(/(^|\/)v\d+$/, "")].map((each) => joinPath(each, wish.revision));
  const revision = isPseudoVersion(wish.revision) ? pseudoVersionRev(wish.revision) : wish.revision;
  const commit = await repository.commit(inDirectory.find(isTag) ?? revision);
  const asked = major(tag?.[2] ?? wish.revision) || major(wish.version ?? "");
  const inMajor = asked === "" || asked === "v0" || asked === "v1" ? [] : [joinPath(named, asked)];
  for (const directory of [...inMajor, named]) {
    const file = joinPath(directory, "go.mod");
    const goMod = await repository.readFile(commit.hash, file);
    const module = goMod && parseGoMod(file, goMod, "lax").module;
    if (module === undefined) continue;
    const path = modulePath(module.path);
    return { path, directory: withoutMajor(named, path) };
  }
  const problem = `no ${joinPath(named, "go.mod")} at ${wish.revision} names the module`;
  // Only the root's module may be without a go.mod.
  if (named !== "" && wish.directory !== undefined)
    throw misuse("--subdir", `--subdir ${named}: ${problem}; name the folder that holds its go.mod`);
  throw misuse("--module", `${wish.repository}: ${problem}; name it by --module`);
}

/** `sub` of `sub/v2` where that is the major version's own directory. */
function withoutMajor(directory: string, path: ModulePath): string {
  const pathMajor = pathMajorOf(path);
  const isOwn = pathMajor.startsWith("/") && `/${directory}`.endsWith(pathMajor);
  return isOwn ? directory.slice(0, Math.max(0, directory.length - pathMajor.length)) : directory;
}

function below(files: readonly ModuleFile[], directory: string): ModuleFile[] {
  if (directory === "") return [...files];
  const prefix = `${directory}/`;
  return files
    .filter((file) => file.path.startsWith(prefix))
    .map((file) => ({ ...file, path: file.path.slice(prefix.length) }));
}

/** The repository's own LICENSE for a module below its root that has none (codeRepo.Zip). */
async function rootLicense(
  repository: GitRepository,
  commit: string,
  directory: string,
  files: readonly ModuleFile[],
): Promise<ModuleFile[]> {
  if (directory === "" || files.some((file) => file.path === "LICENSE")) return [];
  const text = await repository.readFile(commit, "LICENSE");
  if (text === undefined) return [];
  const read = async function* () {
    if (text.length > 0) yield text;
  };
  return [{ path: "LICENSE", kind: "file", size: text.length, read }];
}
