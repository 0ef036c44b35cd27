import type { TreeKey } from "./tree-keys.ts";
import { VULNERABILITY_ID } from "./vulnerability.ts";

/** Where the Go vulnerability database lies in the tree: no module path begins with `-`. GOVULNDB is that folder's URL. */
export const VULNDB_FOLDER = "-/vulndb/";
/** The index files, in the order in which they are written: what a reader begins with comes last. */
export const INDEX_FILES = ["index/vulns", "index/modules", "index/db"] as const;
export type VulndbFile = (typeof INDEX_FILES)[number] | `ID/${string}`;

const FILE = /^(?:index\/(?:db|modules|vulns)|ID\/(?<id>[^/]+))\.json(?:\.gz)?$/;

/** `.json`, or `.json.gz`, which is what govulncheck asks for over http (golang.org/x/vuln/internal/client, httpSource). */
export function vulndbKey(file: VulndbFile, form: "json" | "json.gz"): TreeKey {
  return `${VULNDB_FOLDER}${file}.${form}` as TreeKey;
}

export function vulnerabilityFile(id: string): VulndbFile {
  return `ID/${id}`;
}

/**
 * The tree key that a client's decoded URL path names, where it is one of this database. Attacker-controlled.
 * @returns undefined for all else.
 */
export function parseVulndbKey(text: string): TreeKey | undefined {
  if (!text.startsWith(VULNDB_FOLDER) || text.length > 100) return undefined;
  const found = FILE.exec(text.slice(VULNDB_FOLDER.length));
  if (found === null) return undefined;
  const id = found.groups?.id;
  return id === undefined || VULNERABILITY_ID.test(id) ? (text as TreeKey) : undefined;
}

/** As the database's own host has them; all of it moves. */
export function vulndbHeaders(key: TreeKey): { readonly contentType: string; readonly cacheControl: string } {
  const contentType = key.endsWith(".gz") ? "application/gzip" : "application/json";
  return { contentType, cacheControl: "public, max-age=60" };
}
