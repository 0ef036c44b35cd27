import type { GoMod, Replace } from "./go-mod.ts";
import type { GoSum } from "./go-sum.ts";
import type { GoWork } from "./go-work.ts";
import { canonicalVersion } from "./version.ts";

/** One go.mod that a build starts from. */
export interface MainModule {
  /** The file's name, for messages. */
  readonly name: string;
  readonly goMod: GoMod;
  readonly goSum?: GoSum;
}

/** What a build starts from: one go.mod, or a workspace: a go.work and the go.mod files of its modules. */
export interface BuildRequest {
  readonly mains: readonly MainModule[];
  readonly work?: GoWork;
  /** go.work.sum. */
  readonly workSum?: GoSum;
  /**
   * The go.mod files of directories that replace a module, by the path in the replace line. Where one is not
   * given, what it requires is not known, and the graph says so.
   */
  readonly directories?: ReadonlyMap<string, GoMod>;
  /** The zips that commands were seen to open, as `module@version`; what a go.sum says of zips does not count then. */
  readonly openedZips?: ReadonlySet<string>;
}

/** What go reads instead of a module: another module, or a directory. */
export interface Replacement {
  readonly path: string;
  readonly version: string;
  readonly directory: string | undefined;
}

/** The `replace` lines in force in a build. */
export interface ReplacementTable {
  /** A line for the very version comes before one for all versions; undefined where there is none. */
  get(path: string, version: string): Replacement | undefined;
  goModOf(directory: string): GoMod | undefined;
}

/**
 * The `replace` lines of a build. A go.work's come first: for a path that it names, those of the go.mod files do
 * not count where the go.work's line matches (modload.replacementFrom). Two go.mod files of a workspace that
 * replace the same module differently are an error in go; here the first one holds.
 */
export function replacementTable(request: BuildRequest): ReplacementTable {
  const layers = [request.work?.replace ?? [], ...request.mains.map(({ goMod }) => goMod.replace)]
    .filter((lines) => lines.length > 0)
    .map(byOld);
  return {
    get(path, version) {
      for (const layer of layers) {
        const found = layer.get(`${path}@${version}`) ?? layer.get(path);
        if (found !== undefined) return found;
      }
      return undefined;
    },
    goModOf: (directory) => request.directories?.get(directory),
  };
}

function byOld(lines: readonly Replace[]): Map<string, Replacement> {
  const table = new Map<string, Replacement>();
  for (const { old, new: by } of lines) {
    table.set(old.version === undefined ? old.path : `${old.path}@${canonical(old.version)}`, {
      path: by.path,
      version: by.version === undefined ? "" : canonical(by.version),
      directory: by.version === undefined ? by.path : undefined,
    });
  }
  return table;
}

/** `path@version` of all that the main modules exclude; one module's exclusions hold for the whole workspace. */
export function exclusions(request: BuildRequest): ReadonlySet<string> {
  const excluded = new Set<string>();
  for (const { goMod } of request.mains) {
    for (const { path, version } of goMod.exclude) excluded.add(`${path}@${canonical(version)}`);
  }
  return excluded;
}

/**
 * The main module's path; a go.mod without a module line (which go refuses to build) takes the name that go gives
 * to a build outside any module.
 */
export function mainPath(main: MainModule): string {
  return main.goMod.module?.path ?? "command-line-arguments";
}

function canonical(version: string): string {
  return canonicalVersion(version) || version;
}
