import { FormatError } from "../gomod/format-error.ts";
import { type GoMod, parseGoMod, type Replace } from "../gomod/go-mod.ts";
import { type GoSum, parseGoSum } from "../gomod/go-sum.ts";
import { type GoWork, parseGoWork } from "../gomod/go-work.ts";
import type { BuildRequest, MainModule } from "../gomod/module-graph.ts";
import { type ModulePath, modulePath } from "../gomod/module-path.ts";
import { type ModuleVersion, moduleVersion, version } from "../gomod/version.ts";
import { about, misuse } from "./errors.ts";
import { parseRecording, type Recording } from "./recording.ts";
import type { RequestBody } from "./requests.ts";

/** A request's files and wishes, parsed. */
export interface Wishes {
  /** Each is resolved as the go command would load it: one main module, or a workspace. */
  readonly builds: readonly BuildRequest[];
  /** go.sum files that stand alone: their lines are the closure. */
  readonly sums: readonly GoSum[];
  /** Every go.sum of the request: what its author has verified before. */
  readonly allSums: readonly GoSum[];
  readonly exact: readonly ModuleVersion[];
  readonly roots: readonly ModuleVersion[];
  /** Roots that are closed without their graphs. */
  readonly alone: readonly ModuleVersion[];
  /** Modules wished as `module@latest`, to be asked. */
  readonly latest: readonly ModulePath[];
  /** What commands asked of a recording proxy. */
  readonly recording: Recording;
}

/**
 * Parses all files of a request. Attacker-controlled.
 * @throws MirrorError misuse with go's own `file:line:column: …` text, or naming the wish.
 */
export function parseWishes(body: RequestBody): Wishes {
  const files = Object.entries(body.files);
  const surplus = files.find(([name]) => fileKind(name) === undefined);
  if (surplus !== undefined) throw misuse(surplus[0], `${surplus[0]}: not a go.mod, go.sum or go.work file`);
  const sums = new Map<string, GoSum>();
  for (const [name, text] of ofKind(files, "sum"))
    sums.set(
      name,
      parsed(name, () => parseGoSum(name, text)),
    );
  const mains = new Map<string, MainModule>();
  for (const [name, text] of ofKind(files, "mod")) {
    const goSum = sums.get(sumOf(name));
    const goMod = parsed(name, () => parseGoMod(name, text, "strict"));
    mains.set(name, { name, goMod, ...(goSum === undefined ? {} : { goSum }) });
  }
  const builds: BuildRequest[] = [];
  const used = new Set(
    [...mains.values()].flatMap((main) => localReplacements(main).map(([, name]) => name)),
  );
  for (const [name, text] of ofKind(files, "work")) {
    const work = parsed(name, () => parseGoWork(name, text));
    const members = work.use.map((use) => {
      const main = mains.get(goModIn(folder(name), use.path));
      if (main === undefined)
        throw misuse(name, `${name}: uses ${use.path}, whose go.mod was not handed in; name it too`);
      used.add(main.name);
      return main;
    });
    builds.push(buildRequest(members, mains, folder(name), work, sums.get(sumOf(name))));
  }
  const reached = new Set(
    builds.flatMap((build) => build.mains.flatMap((main) => [...reachedFrom(main, mains)])),
  );
  // Modules that replace each other by their folders, as in most repositories of several modules, are builds too.
  for (const pass of ["unused", "all"] as const) {
    for (const [name, main] of mains) {
      if (reached.has(name) || (pass === "unused" && used.has(name))) continue;
      builds.push(buildRequest([main], mains, folder(name)));
      for (const other of reachedFrom(main, mains)) reached.add(other);
    }
  }
  const paired = new Set([...mains.keys(), ...ofKind(files, "work").map(([name]) => name)].map(sumOf));
  const alone = [...sums].filter(([name]) => !paired.has(name));
  return {
    builds,
    sums: alone.map(([, sum]) => sum),
    allSums: [...sums.values()],
    exact: body.exact.map(parseExactWish),
    roots: body.wishes.filter((wish) => !wish.endsWith("@latest")).map(parseExactWish),
    alone: (body.alone ?? []).map(parseExactWish),
    latest: body.wishes
      .filter((wish) => wish.endsWith("@latest"))
      .map((wish) => parsed(wish, () => modulePath(wish.slice(0, -"@latest".length)))),
    recording: parseRecording(body.recorded),
  };
}

/** @throws MirrorError misuse when it is not `module@version` with a canonical version. */
function parseExactWish(wish: string): ModuleVersion {
  const at = wish.indexOf("@");
  if (at <= 0) {
    throw misuse(
      wish,
      `${wish}: not a wish; give a go.mod, go.sum or go.work file, module@version, module@latest, or -`,
    );
  }
  const [path, text] = [wish.slice(0, at), wish.slice(at + 1)];
  return parsed(wish, () => {
    modulePath(path);
    checkWholeVersion(text);
    return moduleVersion(path, text);
  });
}

/** Go would ask the upstream what a branch or a part of a version means; here only `latest` is asked. */
const ACCEPTED_VERSIONS =
  "; give a whole version such as v1.2.3 or v1.2.3-rc.1, a pseudo-version as go.mod has it, or @latest";

/** @throws FormatError go's own text, and what is accepted. */
function checkWholeVersion(text: string): void {
  try {
    version(text);
  } catch (thrown) {
    throw new FormatError(text, `${thrown instanceof Error ? thrown.message : text}${ACCEPTED_VERSIONS}`);
  }
}

function parsed<T>(subject: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof FormatError) throw misuse(subject, about(subject, cause.message), cause);
    throw cause;
  }
}

/** A build with the go.mods of the folders that replace modules in it, as far as they were handed in. */
function buildRequest(
  members: readonly MainModule[],
  all: ReadonlyMap<string, MainModule>,
  at: string,
  work?: GoWork,
  workSum?: GoSum,
): BuildRequest {
  const lines = [...members.flatMap(localReplacements), ...foldersOf(work?.replace ?? [], at)];
  const directories = new Map<string, GoMod>();
  for (const [path, target] of lines) {
    const goMod = all.get(target)?.goMod;
    if (goMod !== undefined) directories.set(path, goMod);
  }
  return {
    mains: members,
    ...(work === undefined ? {} : { work }),
    ...(workSum === undefined ? {} : { workSum }),
    ...(directories.size === 0 ? {} : { directories }),
  };
}

/** The main module, and those whose folders replace modules in it. */
function reachedFrom(main: MainModule, mains: ReadonlyMap<string, MainModule>): Set<string> {
  const targets = localReplacements(main).map(([, target]) => target);
  return new Set([main.name, ...targets.filter((target) => mains.has(target))]);
}

/** The folders that a main module's replace lines name: as written, and their go.mods as the request names them. */
function localReplacements(main: MainModule): [string, string][] {
  return foldersOf(main.goMod.replace, folder(main.name));
}

function foldersOf(lines: readonly Replace[], at: string): [string, string][] {
  return lines
    .filter((line) => line.new.version === undefined)
    .map((line) => [line.new.path, goModIn(line.new.path.startsWith("/") ? "" : at, line.new.path)]);
}

/** What a file of a request is, by its name's end: go's own names, and those that `go -modfile=x.mod` takes. */
export function fileKind(name: string): "mod" | "sum" | "work" | undefined {
  return (["mod", "sum", "work"] as const).find((kind) => name.endsWith(`.${kind}`));
}

function ofKind(files: readonly [string, string][], kind: "mod" | "sum" | "work"): [string, string][] {
  return files.filter(([name]) => fileKind(name) === kind);
}

/** The go.sum beside a go.mod, `x.sum` beside `x.mod` (go help modules, -modfile), go.work.sum beside a go.work. */
export function sumOf(name: string): string {
  return name.endsWith(".work") ? `${name}.sum` : name.replace(/\.mod$/, ".sum");
}

const folder = (name: string): string => name.slice(0, name.lastIndexOf("/") + 1);

/** The go.mod of the folder `path` below `base`, both in slashes: `x/b/go.mod` for `./a/../b` below `x/`. */
function goModIn(base: string, path: string): string {
  const parts: string[] = [];
  for (const part of `${base}${path}`.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else parts.push(part);
  }
  return [...(base === "" && path.startsWith("/") ? [""] : []), ...parts, "go.mod"].join("/");
}
