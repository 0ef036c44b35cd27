import { parseInfo } from "../../gomod/info.ts";
import { parseVersionList } from "../../gomod/list-file.ts";
import { compareSemver } from "../../gomod/semver.ts";
import { type Version, version } from "../../gomod/version.ts";
import { latestOf, type VersionLists } from "../../gomod/version-query.ts";
import {
  escaped,
  moduleUniverse,
  moduleZip,
  proxyFiles,
  type Random,
  random,
  type ShapeOf,
  type UniverseModule,
} from "./module-universe.ts";
import type { ProxyFiles } from "./recording-proxy.ts";

const SHAPES: readonly (readonly string[])[] = [
  ["v1.0.0", "v1.0.1", "v1.1.0-rc.1", "v1.1.0", "v1.1.3", "v1.2.0"],
  ["v1.0.0", "v1.0.2", "v1.2.0", "v1.2.1-0.20210101000000-aaaaaaaaaaaa", "v1.3.0-beta.1"],
  ["v0.1.0-alpha.1", "v0.1.0-beta.2", "v0.1.1-beta.1"],
  [
    "v0.0.0-20200101000000-aaaaaaaaaaaa",
    "v0.0.0-20210101000000-bbbbbbbbbbbb",
    "v0.0.0-20220101000000-cccccccccccc",
  ],
  ["v1.0.0", "v1.1.0", "v1.2.0-rc.1", "v2.0.0+incompatible", "v2.1.0+incompatible", "v3.0.0+incompatible"],
  ["v2.0.0+incompatible", "v2.0.4+incompatible", "v3.0.0-pre+incompatible"],
];
const SECOND_MAJOR = ["v2.0.0", "v2.0.1", "v2.1.0"];

const shapeOf: ShapeOf = (at, pick) => {
  if (pick(6) === 0) return { path: `example.com/m${Math.max(0, at - 1)}/v2`, versions: SECOND_MAJOR };
  const path = pick(6) === 0 ? `example.com/Dir/m${at}` : `example.com/m${at}`;
  const shape = SHAPES[pick(2) === 0 ? 0 : pick(SHAPES.length)] ?? [];
  const kept = shape.filter(() => pick(4) > 0);
  return { path, versions: kept.length === 0 ? shape : kept };
};

/** Modules with several releases each, and all that makes a newest version hard to tell. */
export interface ReleaseUniverse {
  readonly modules: readonly UniverseModule[];
  /** The files of a GOPROXY that has them all; highest versions retract and deprecate. */
  readonly files: ProxyFiles;
}

export function releaseUniverse(pick: Random): ReleaseUniverse {
  const modules = moduleUniverse(pick, shapeOf);
  const files = new Map(proxyFiles(modules));
  // Numbers of its own: what else a seed makes does not change with these.
  const own = random(files.size);
  for (const [path, versions] of versionsByPath(modules)) {
    const base = `/${escaped(path)}/@v/`;
    files.set(
      `${base}list`,
      versions
        .filter((v) => !isPseudo(v))
        .map((v) => `${v}\n`)
        .join(""),
    );
    for (const text of versions) files.set(`${base}${text}.info`, info(text, pick));
    for (const text of versions) files.set(`${base}${text}.mod`, almostMadeUp(path, text, files, own));
    const newest = versions.at(-1) ?? "";
    if (versions.every(isPseudo))
      files.set(`/${escaped(path)}/@latest`, files.get(`${base}${newest}.info`) ?? "");
    else if (pick(3) === 0) addRetractions(files, `${base}${newest}.mod`, versions, pick);
  }
  // The go.mod of a zip is that of its version.
  for (const module of modules) {
    const base = `/${escaped(module.path)}/@v/${module.version}`;
    files.set(`${base}.zip`, moduleZip(module, String(files.get(`${base}.mod`))));
  }
  return { modules, files };
}

function addRetractions(
  files: Map<string, string | Uint8Array>,
  mod: string,
  versions: readonly string[],
  pick: Random,
): void {
  const low = versions[pick(versions.length)];
  const line = [
    `retract ${low} // broken`,
    `retract [${low}, ${versions.at(-1)}]`,
    `retract ${versions.at(-1)}`,
  ];
  const [first = "", ...rest] = String(files.get(mod)).split("\n");
  const head = pick(3) === 0 ? `// Deprecated: use another.\n${first}` : first;
  files.set(mod, [head, ...rest, line[pick(line.length)], ""].join("\n"));
}

/** Go.mod files that say no more than what go makes up, and yet are somebody's own: go compares the bytes. */
export function almostLegacy(path: string): readonly string[] {
  return [
    `module ${path}`,
    `module ${path}\n\n`,
    `module ${path}\r\n`,
    `module ${path} // our own\n`,
    `// Ours.\nmodule ${path}\n`,
    `module "${path}"\n`,
    `module (\n\t${path}\n)\n`,
  ];
}

/** Some of what would be made up is somebody's own. */
function almostMadeUp(path: string, text: string, files: ProxyFiles, pick: Random): string {
  const mod = String(files.get(`/${escaped(path)}/@v/${text}.mod`));
  if (mod !== `module ${path}\n` || text.endsWith("+incompatible") || pick(3) === 0) return mod;
  const choice = almostLegacy(path);
  return choice[pick(choice.length)] ?? mod;
}

function info(text: string, pick: Random): string {
  const stamp = /(\d{4})0101000000-/.exec(text)?.[1] ?? String(2020 + pick(3));
  return JSON.stringify({ Version: text, Time: `${stamp}-01-01T00:00:00Z` });
}

function versionsByPath(modules: readonly UniverseModule[]): Map<string, string[]> {
  const byPath = new Map<string, string[]>();
  for (const { path, version } of modules) byPath.set(path, [...(byPath.get(path) ?? []), version]);
  for (const versions of byPath.values()) versions.sort(compareSemver);
  return byPath;
}

const isPseudo = (text: string): boolean => /\d{14}-[a-z]{12}$/.test(text);

/** What a mirror serves that holds `held` of these files, and lists `listed`: `module@version`. */
export async function servedByMirror(
  files: ProxyFiles,
  held: ReadonlySet<string>,
  listed: Iterable<string>,
): Promise<ProxyFiles> {
  const served = new Map([...files].filter(([path]) => held.has(path)));
  const lists = new Map<string, Version[]>();
  for (const path of held) {
    const module = path.endsWith(".zip") ? (path.split("/@v/")[0] ?? "") : "";
    if (module !== "" && !lists.has(module)) lists.set(module, []);
  }
  for (const name of listed) {
    const [path = "", text = ""] = name.split("@");
    lists.get(`/${escaped(path)}`)?.push(version(text));
  }
  for (const [module, versions] of lists) {
    const tagged = versions.filter((text) => !isPseudo(text)).sort(compareSemver);
    served.set(`${module}/@v/list`, tagged.map((text) => `${text}\n`).join(""));
    const path = module.slice(1).replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const hasGoMod = async (text: Version) => files.get(`${module}/@v/${text}.mod`) !== `module ${path}\n`;
    const best = await latestOf(versions, hasGoMod);
    if (best !== undefined) served.set(`${module}/@latest`, files.get(`${module}/@v/${best}.info`) ?? "");
  }
  return served;
}

/** What upstream lists, as a resolution reads it. */
export function listsFrom(files: ProxyFiles): VersionLists {
  return {
    list: async (path) => parseVersionList(String(files.get(`/${escaped(path)}/@v/list`) ?? "")).versions,
    latest: async (path) => {
      const info = files.get(`/${escaped(path)}/@latest`);
      return info === undefined ? undefined : parseInfo(info).version;
    },
  };
}
