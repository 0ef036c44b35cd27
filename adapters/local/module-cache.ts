import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { misuse } from "../../mirror/errors.ts";
import { recordingRequest } from "../../mirror/recording.ts";
import { MOST_RECORDED, type RequestBody } from "../../mirror/requests.ts";
import { parseTreeKey } from "../../mirror/tree-keys.ts";
import { codeOf, fileError } from "./file-error.ts";
import { goEnv } from "./go-env.ts";

/** Of a module cache, what is laid out as a GOPROXY (cmd/go, `go help module-proxy`, at its end). */
const DOWNLOADS = "cache/download";

/**
 * The folder of a module cache that is laid out as a GOPROXY.
 * @param given a module cache, or that folder itself; undefined for `go env GOMODCACHE`.
 * @throws MirrorError misuse where there is none.
 */
async function downloadsFolder(given: string | undefined, env: NodeJS.ProcessEnv): Promise<string> {
  const cache =
    given ?? (await goEnv(["GOMODCACHE"], env, "name the module cache: --from-modcache DIR")).GOMODCACHE;
  for (const folder of [join(cache, DOWNLOADS), cache]) if (await isFolder(folder)) return folder;
  const why = given === undefined ? "`go env GOMODCACHE` is not there" : "no such folder";
  throw misuse("--from-modcache", `--from-modcache ${cache}: ${why}; give a module cache's folder`);
}

/**
 * Requests for all that a module cache holds: each version whose zip is there as a whole, else its go.mod.
 * @param given the cache's folder, or nothing for `go env GOMODCACHE`.
 * @throws MirrorError misuse where there is none, or nothing in it.
 */
export async function moduleCacheRequests(
  given: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ readonly folder: string; readonly bodies: readonly RequestBody[] }> {
  const [first, second] = given;
  if (second !== undefined)
    throw misuse("--from-modcache", `--from-modcache: takes one folder; ${second} is one more`);
  const folder = await downloadsFolder(first, env);
  const keys: string[] = [];
  for await (const key of versionFiles(folder)) keys.push(key);
  if (keys.length === 0)
    throw misuse("--from-modcache", `--from-modcache: ${folder} holds no module; name another cache`);
  const bodies: RequestBody[] = [];
  for (let at = 0; at < keys.length; at += MOST_RECORDED)
    bodies.push(recordingRequest(keys.slice(at, at + MOST_RECORDED)));
  return { folder, bodies };
}

async function isFolder(path: string): Promise<boolean> {
  try {
    await readdir(path);
    return true;
  } catch (thrown) {
    if (codeOf(thrown) === "ENOENT" || codeOf(thrown) === "ENOTDIR") return false;
    throw fileError(thrown, path);
  }
}

/**
 * The keys of all `.mod`s and zips of a folder laid out as a GOPROXY, in no promised order. Names that are none, as of
 * locks and of hashes that go keeps beside them, are passed over, as are `.info`s: a graph leaves many of versions that
 * nobody has used.
 */
async function* versionFiles(folder: string): AsyncGenerator<string> {
  const below = [""];
  for (let at = below.pop(); at !== undefined; at = below.pop()) {
    const entries = await readdir(join(folder, at), { withFileTypes: true }).catch((thrown: unknown) => {
      throw fileError(thrown, at);
    });
    for (const entry of entries) {
      const key = `${at}${entry.name}`;
      // The cache's own copy of the checksum database is of another mirror's heads.
      if (entry.isDirectory()) {
        if (key !== "sumdb") below.push(`${key}/`);
        continue;
      }
      const kind = parseTreeKey(key)?.kind;
      if (kind === "mod" || kind === "zip") yield key;
    }
  }
}
