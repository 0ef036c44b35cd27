import { escapePath, type ModulePath, modulePath, unescapePath } from "../gomod/module-path.ts";
import {
  escapeRevision,
  escapeVersion,
  type ModuleVersion,
  moduleVersion,
  unescapeRevision,
  unescapeVersion,
} from "../gomod/version.ts";
import { parseTilePath, type Tile, tilePath } from "../sumdb/tile.ts";

declare const treeKeyBrand: unique symbol;
/** A path below the tree's root, escaped as GOPROXY asks; made only here, so it never holds `..` or a `\`. */
export type TreeKey = string & { readonly [treeKeyBrand]: true };

const key = (text: string): TreeKey => text as TreeKey;
const versionKey = (mv: ModuleVersion, suffix: string): TreeKey =>
  key(`${escapePath(mv.path)}/@v/${escapeVersion(mv.version)}${suffix}`);

export const infoKey = (mv: ModuleVersion): TreeKey => versionKey(mv, ".info");
export const modKey = (mv: ModuleVersion): TreeKey => versionKey(mv, ".mod");
export const zipKey = (mv: ModuleVersion): TreeKey => versionKey(mv, ".zip");
export const listKey = (path: ModulePath): TreeKey => key(`${escapePath(path)}/@v/list`);
export const latestKey = (path: ModulePath): TreeKey => key(`${escapePath(path)}/@latest`);
export const supportedKey = (database: string): TreeKey => key(`sumdb/${database}/supported`);
export const treeHeadKey = (database: string): TreeKey => key(`sumdb/${database}/latest`);
export const tileKey = (database: string, tile: Tile): TreeKey => key(`sumdb/${database}/${tilePath(tile)}`);
export const lookupKey = (database: string, mv: ModuleVersion): TreeKey =>
  key(`sumdb/${database}/lookup/${escapePath(mv.path)}@${escapeVersion(mv.version)}`);

/** What a tree key names. */
export type TreeEntry =
  | { readonly kind: "info" | "mod" | "zip"; readonly version: ModuleVersion; readonly key: TreeKey }
  | { readonly kind: "list" | "latest"; readonly path: ModulePath; readonly key: TreeKey }
  | { readonly kind: "supported" | "treeHead"; readonly database: string; readonly key: TreeKey }
  | {
      readonly kind: "lookup";
      readonly database: string;
      readonly version: ModuleVersion;
      readonly key: TreeKey;
    }
  | { readonly kind: "tile"; readonly database: string; readonly tile: Tile; readonly key: TreeKey };

/** No request path or stored key of ours is longer; longer ones are refused before they are parsed. */
const LONGEST_KEY = 2048;
/** A checksum database's name as it stands in a note's key: a host, perhaps with a path. */
const DATABASE_NAME = /^[a-z0-9][a-z0-9.-]*(?:\/[A-Za-z0-9._-]+)*$/;

/**
 * What a tree key, or a client's decoded URL path without its leading slash, names.
 * Attacker-controlled. Only the one spelling that we ourselves would write is accepted.
 * @returns undefined when it is no name of a file that a GOPROXY tree can hold.
 */
export function parseTreeKey(text: string): TreeEntry | undefined {
  if (text.length > LONGEST_KEY) return undefined;
  try {
    const entry = text.startsWith("sumdb/")
      ? parseSumdbKey(text.slice("sumdb/".length))
      : parseModuleKey(text);
    return entry?.key === text ? entry : undefined;
  } catch {
    return undefined;
  }
}

/** A branch, a tag, a hash or a short version that a client asks a module's proxy for: `go get module@main`. */
export interface RevisionQuery {
  readonly path: ModulePath;
  readonly revision: string;
}

const INFO = ".info";

/**
 * The revision that a client's decoded URL path asks for, where it is no canonical version. Attacker-controlled; as
 * strict as parseTreeKey.
 */
export function parseRevisionQuery(text: string): RevisionQuery | undefined {
  const at = text.lastIndexOf("/@v/");
  if (text.length > LONGEST_KEY || at < 0 || !text.endsWith(INFO) || parseTreeKey(text) !== undefined)
    return undefined;
  try {
    const path = unescapePath(text.slice(0, at));
    const revision = unescapeRevision(text.slice(at + "/@v/".length, -INFO.length));
    const spelled = `${escapePath(path)}/@v/${escapeRevision(revision)}${INFO}`;
    return spelled === text ? { path, revision } : undefined;
  } catch {
    return undefined;
  }
}

function parseModuleKey(text: string): TreeEntry | undefined {
  if (text.endsWith("/@latest")) {
    const path = unescapePath(text.slice(0, -"/@latest".length));
    return { kind: "latest", path, key: latestKey(path) };
  }
  const at = text.lastIndexOf("/@v/");
  if (at < 0) return undefined;
  const path = unescapePath(text.slice(0, at));
  const file = text.slice(at + "/@v/".length);
  if (file === "list") return { kind: "list", path, key: listKey(path) };
  const dot = file.lastIndexOf(".");
  const version = moduleVersion(path, unescapeVersion(file.slice(0, dot)));
  switch (file.slice(dot)) {
    case ".info":
      return { kind: "info", version, key: infoKey(version) };
    case ".mod":
      return { kind: "mod", version, key: modKey(version) };
    case ".zip":
      return { kind: "zip", version, key: zipKey(version) };
    default:
      return undefined;
  }
}

function parseSumdbKey(text: string): TreeEntry | undefined {
  const lookupAt = text.indexOf("/lookup/");
  const tileAt = text.indexOf("/tile/8/");
  if (tileAt > 0 && (lookupAt < 0 || tileAt < lookupAt)) {
    const database = databaseName(text.slice(0, tileAt));
    const tile = parseTilePath(text.slice(tileAt + 1));
    return { kind: "tile", database, tile, key: tileKey(database, tile) };
  }
  if (lookupAt > 0) {
    const database = databaseName(text.slice(0, lookupAt));
    const subject = text.slice(lookupAt + "/lookup/".length);
    const at = subject.lastIndexOf("@");
    const path = modulePath(unescapePath(subject.slice(0, at)));
    const version = moduleVersion(path, unescapeVersion(subject.slice(at + 1)));
    return { kind: "lookup", database, version, key: lookupKey(database, version) };
  }
  const slash = text.lastIndexOf("/");
  const database = databaseName(text.slice(0, slash));
  const file = text.slice(slash + 1);
  if (file === "supported") return { kind: "supported", database, key: supportedKey(database) };
  if (file === "latest") return { kind: "treeHead", database, key: treeHeadKey(database) };
  return undefined;
}

function databaseName(text: string): string {
  if (!DATABASE_NAME.test(text) || text.includes("..")) throw new Error("not a checksum database's name");
  return text;
}
