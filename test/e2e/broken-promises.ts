import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { parseVersionList } from "../../gomod/list-file.ts";
import {
  infoKey,
  lookupKey,
  modKey,
  parseTreeKey,
  type TreeKey,
  tileKey,
  zipKey,
} from "../../mirror/tree-keys.ts";
import { verifyMirror } from "../../mirror/verify.ts";
import { parseVerifierKey } from "../../sumdb/note.ts";
import { OfflineClient } from "../../sumdb/offline-client.ts";

/**
 * What a reader of the mirror's tree, as it lies on the disk, would find broken: a list or `@latest` that names what
 * cannot be fetched whole, a lookup that does not verify offline, a `.mod` or zip without a proven lookup.
 * @param how `whole`: no run is to come; then `modferry verify`'s own findings count too.
 */
export async function brokenPromises(mirror: string, vkey: string, how?: "whole"): Promise<string[]> {
  const tree = join(mirror, "tree");
  if (!existsSync(tree)) return [];
  const keys = (await readdir(tree, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(tree.length + 1));
  const has = new Set(keys);
  const broken: string[] = [];
  const verifier = parseVerifierKey(vkey);
  const read = async (key: TreeKey) => (has.has(key) ? await readFile(join(tree, key)) : undefined);
  const missing = (by: string, ...needed: TreeKey[]) => {
    for (const key of needed) if (!has.has(key)) broken.push(`${by} promises ${key}, which is not there`);
  };
  for (const key of keys) {
    const entry = parseTreeKey(key);
    if (entry === undefined) broken.push(`${key}: no file of a GOPROXY tree`);
    else if (entry.kind === "list") {
      for (const version of parseVersionList(await readFile(join(tree, key))).versions) {
        const listed = { path: entry.path, version };
        missing(key, infoKey(listed), modKey(listed), zipKey(listed));
      }
    } else if (entry.kind === "latest") {
      const { Version: version } = JSON.parse(await readFile(join(tree, key), "utf8"));
      const latest = { path: entry.path, version };
      missing(key, infoKey(latest), modKey(latest), zipKey(latest));
    } else if (entry.kind === "mod" || entry.kind === "zip")
      missing(key, lookupKey(verifier.name, entry.version));
    else if (entry.kind === "lookup") {
      // A fresh client each: what one has learnt must not help the next.
      const offline = new OfflineClient({
        verifier,
        tree: {
          read: (tile) => read(tileKey(verifier.name, tile)),
          lookup: (version) => read(lookupKey(verifier.name, version)),
        },
      });
      await offline.lookup(entry.version).catch((error: unknown) => broken.push(String(error)));
    }
  }
  return how === "whole" ? [...broken, ...(await findings(mirror, vkey))] : broken;
}

async function findings(mirror: string, vkey: string): Promise<string[]> {
  const { tree, ledger, close } = await openFolderMirror(mirror, { mode: "read" });
  try {
    const verifiers = [parseVerifierKey(vkey)];
    const found = await verifyMirror({ tree, ledger, zips: zipChecker, verifiers, progress: () => {} });
    return found.findings.map(({ subject, message }) => `${subject}: ${message}`);
  } finally {
    await close();
  }
}
