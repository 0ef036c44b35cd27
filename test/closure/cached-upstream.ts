import { execFile } from "node:child_process";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pLimit from "p-limit";
import { testCache } from "../upstream/exclusive.ts";

/** A GOPROXY by path, such as `/example.com/a/@v/v1.0.0.mod`. */
export interface ProxySource {
  /** The file's bytes; undefined where there is no such file. @throws Error where that is not known. */
  get(path: string): Promise<Uint8Array | undefined>;
}

/** The go command asks for as many `.mod` files at once as it has cores, and for ten zips. */
const REQUESTS_AT_ONCE = 8;
const TRIES = 4;
const FIRST_WAIT_MS = 500;
/** A zip of 500 MB on a poor line. */
const REQUEST_TIMEOUT_MS = 600_000;
/** What the go command takes for "there is no such file"; some upstreams answer 400 or 403 to paths they find odd. */
const ABSENT = new Set([400, 403, 404, 410, 451]);

/** A GOPROXY tree in a folder; what is not there is absent. */
export function folderSource(folder: string): ProxySource {
  return {
    async get(path) {
      if (path.includes("..")) return undefined;
      try {
        return await readFile(join(folder, path));
      } catch (error) {
        if (error instanceof Error && "code" in error && /^(ENOENT|EISDIR|ENOTDIR)$/.test(String(error.code)))
          return undefined;
        throw error;
      }
    },
  };
}

/**
 * The upstream of `go env GOPROXY`, each path of which is asked once for all runs: the answer stays on disk, absence
 * too. Lists are so those of the first run, until the folder is deleted.
 */
export async function cachedUpstream(
  folder = join(testCache, "closure/upstream"),
): Promise<ProxySource & { readonly asked: () => number }> {
  const url = await upstreamUrl();
  const held = folderSource(folder);
  const limit = pLimit(REQUESTS_AT_ONCE);
  const loading = new Map<string, Promise<Uint8Array | undefined>>();
  let asked = 0;
  const load = async (path: string): Promise<Uint8Array | undefined> => {
    const body = await held.get(path);
    if (body !== undefined) return body;
    if ((await held.get(`${path}.absent`)) !== undefined) return undefined;
    asked++;
    const answer = await limit(() => ask(url + path.replaceAll("!", "%21")));
    await keep(join(folder, answer === undefined ? `${path}.absent` : path), answer ?? new Uint8Array());
    return answer;
  };
  return {
    asked: () => asked,
    get(path) {
      if (path.includes("..")) return Promise.resolve(undefined);
      const known = loading.get(path);
      if (known !== undefined) return known;
      const found = load(path).finally(() => loading.delete(path));
      loading.set(path, found);
      return found;
    },
  };
}

async function ask(url: string): Promise<Uint8Array | undefined> {
  for (let tried = 1; ; tried++) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
      const body = new Uint8Array(await response.arrayBuffer());
      if (response.ok) return body;
      if (ABSENT.has(response.status)) return undefined;
      throw new Error(`status ${response.status}`);
    } catch (cause) {
      const { pathname } = new URL(url);
      if (tried === TRIES) throw new Error(`upstream: ${pathname}: no answer in ${TRIES} tries`, { cause });
      await sleep(FIRST_WAIT_MS * 4 ** (tried - 1));
    }
  }
}

/** A run that dies here leaves a file under another name, never half of one under this. */
async function keep(file: string, body: Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const making = `${file}.${process.pid}.tmp`;
  await writeFile(making, body);
  await rename(making, file);
}

/** The first URL of `go env GOPROXY`. */
async function upstreamUrl(): Promise<string> {
  const { stdout } = await promisify(execFile)("go", ["env", "GOPROXY"]);
  const url = stdout.trim().split(/[,|]/)[0] ?? "";
  if (!/^https?:/.test(url))
    throw new Error(`GOPROXY=${stdout.trim()}: the closures' proof needs a module proxy`);
  return url.replace(/\/$/, "");
}
