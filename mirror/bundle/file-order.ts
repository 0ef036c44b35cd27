import { comparePaths } from "../../gomod/module-path.ts";
import { parseTreeKey } from "../tree-keys.ts";
import { parseVulndbKey } from "../vulndb-keys.ts";

/** Where a file stands in a bundle: the first part that differs decides, by bytes. */
export type FilePlace = readonly string[];

/**
 * The place of a tree key in the order of bundles (snapshot-files.ts); undefined for what is no file of a tree.
 * Attacker-controlled.
 */
export function placeOf(path: string): FilePlace | undefined {
  const entry = parseTreeKey(path);
  if (entry === undefined)
    return parseVulndbKey(path) === undefined ? undefined : ["6", vulndbTurn(path), path];
  switch (entry.kind) {
    case "tile":
      return ["1", entry.database, path];
    case "lookup":
      return ["2", entry.version.path, entry.version.version, "0", entry.database];
    case "mod":
      return ["2", entry.version.path, entry.version.version, "1"];
    case "zip":
      return ["2", entry.version.path, entry.version.version, "2"];
    case "info":
      return ["2", entry.version.path, entry.version.version, "3"];
    case "treeHead":
      return ["3", entry.database];
    case "list":
      return ["4", entry.path, "0"];
    case "latest":
      return ["4", entry.path, "1"];
    case "supported":
      return ["5", entry.database];
  }
}

/** Entries before the indexes that name them, `index/db` last. */
function vulndbTurn(path: string): string {
  if (path.includes("/ID/")) return "0";
  return path.includes("/index/vulns") ? "1" : path.includes("/index/modules") ? "2" : "3";
}

export function comparePlaces(a: FilePlace, b: FilePlace): number {
  for (let at = 0; at < a.length && at < b.length; at++) {
    const order = comparePaths(a[at] as string, b[at] as string);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}
