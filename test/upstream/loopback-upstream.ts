import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { exclusively, testCache } from "./exclusive.ts";

const sourceDir = resolve(import.meta.dirname, "../oracle/upstream");

/** Hashing every zip of the medium corpus for the first time takes about 5 s. */
const START_TIMEOUT_MS = 120_000;
const BUILD_TIMEOUT_MS = 300_000;
/** At its end it writes one file of hashes. */
const END_TIMEOUT_MS = 5_000;

export interface UpstreamOptions {
  /** Folders that are GOPROXY trees, such as fillModuleCache returns; the first that has a file serves it. */
  readonly trees: readonly string[];
  /** `module@version`: no other version is listed or has .info and .zip; the .mod of others stays. Default: all. */
  readonly modules?: readonly string[];
  /** The database's name. Default: sumdb.example.test. */
  readonly sumdbName?: string;
  /** Two upstreams with the same seed (and the same records) have one key and one tree. Default: a fresh key. */
  readonly seed?: string;
  /** Record all versions at start, in one fixed order; without it, records come with the first lookup. */
  readonly preset?: boolean;
  /** Synthetic records in the tree: 100,000 make three levels of tiles and cost about 0.3 s. Default: 0. */
  readonly synthetic?: number;
  /** Let lookups carry many different, older heads, as shared caches do. Needs `preset`. */
  readonly oldHeads?: boolean;
  /** So many made-up versions, and their index at `<url>/index`, instead of trees; only kinds of requests are counted. */
  readonly generate?: number;
}

/** Requests since the start or the last reset, whatever the answers were; paths as decoded from the URL. */
interface UpstreamCounts {
  readonly paths: Readonly<Record<string, number>>;
  readonly kinds: Readonly<Partial<Record<RequestKind, number>>>;
}

/** `head` is the database's own `latest`; `other` is nothing that a GOPROXY has. */
type RequestKind =
  | "list"
  | "latest"
  | "info"
  | "mod"
  | "zip"
  | "lookup"
  | "tile"
  | "supported"
  | "head"
  | "index"
  | "other";

export interface LoopbackUpstream {
  /** Such as `http://127.0.0.1:40385`: a GOPROXY, with the database under `/sumdb/<sumdbName>/`. */
  readonly url: string;
  /** The database's verifier key: GOSUMDB for a client that goes through its GOPROXY's /sumdb/. */
  readonly vkey: string;
  readonly sumdbName: string;
  counts(): Promise<UpstreamCounts>;
  reset(): Promise<void>;
  /** Appends synthetic records, so that the database's head moves on. */
  grow(records: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts a Go module upstream on a free loopback port: GOPROXY trees and a private checksum database whose
 * records are computed from the trees' own files. It ends with this process, even by SIGKILL.
 * @throws Error with the program's stderr when it cannot be built or started.
 */
export async function startUpstream(options: UpstreamOptions): Promise<LoopbackUpstream> {
  const program = await buildUpstream();
  const scratch = await mkdtemp(join(tmpdir(), "modferry-upstream-"));
  const child = spawn(program, await flags(options, scratch), { stdio: ["pipe", "pipe", "pipe"] });
  try {
    const ready = await readyLine(child);
    return {
      url: ready.url,
      vkey: ready.vkey,
      sumdbName: ready.name,
      counts: async () => (await (await control(ready.url, "GET", "counts")).json()) as UpstreamCounts,
      reset: async () => void (await control(ready.url, "POST", "reset")),
      grow: async (records) => void (await control(ready.url, "POST", `grow?n=${records}`)),
      close: async () => {
        await end(child);
        await rm(scratch, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await end(child);
    await rm(scratch, { recursive: true, force: true });
    throw error;
  }
}

async function flags(options: UpstreamOptions, scratch: string): Promise<string[]> {
  const list = ["-hash-file", join(testCache, "zip-hashes.json")];
  for (const tree of options.trees) list.push("-tree", tree);
  if (options.modules !== undefined) {
    const file = join(scratch, "modules.txt");
    await writeFile(file, options.modules.map((line) => `${line}\n`).join(""));
    list.push("-modules", file);
  }
  if (options.sumdbName !== undefined) list.push("-name", options.sumdbName);
  if (options.seed !== undefined) list.push("-seed", options.seed);
  if (options.preset === true) list.push("-preset");
  if (options.synthetic !== undefined) list.push("-synthetic", String(options.synthetic));
  if (options.oldHeads === true) list.push("-old-heads");
  if (options.generate !== undefined) list.push("-generate", String(options.generate));
  return list;
}

/** Builds the program once per state of its sources. */
async function buildUpstream(): Promise<string> {
  const hash = createHash("sha256");
  for (const file of (await readdir(sourceDir)).sort())
    hash.update(file).update(await readFile(join(sourceDir, file)));
  const program = join(testCache, "bin", `upstream-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(program)) return program;
  await exclusively(join(testCache, "bin.lock"), async () => {
    if (existsSync(program)) return;
    await mkdir(join(testCache, "bin"), { recursive: true });
    // Renamed when whole: a killed build must not leave half a program under the final name.
    await promisify(execFile)("go", ["build", "-o", `${program}.new`, "."], {
      cwd: sourceDir,
      env: { ...process.env, GOTOOLCHAIN: "local", GOWORK: "off", CGO_ENABLED: "0" },
      timeout: BUILD_TIMEOUT_MS,
    });
    await rename(`${program}.new`, program);
  });
  return program;
}

interface ReadyLine {
  readonly url: string;
  readonly vkey: string;
  readonly name: string;
}

function readyLine(child: ChildProcess): Promise<ReadyLine> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("the upstream was spawned without pipes");
  return new Promise((resolveLine, reject) => {
    let complaint = "";
    stderr.on("data", (chunk) => {
      complaint = `${complaint}${chunk}`.slice(-4096);
    });
    const timer = setTimeout(
      () => reject(new Error(`the upstream is not ready after ${START_TIMEOUT_MS} ms: ${complaint}`)),
      START_TIMEOUT_MS,
    );
    createInterface({ input: stdout }).once("line", (line) => {
      clearTimeout(timer);
      resolveLine(JSON.parse(line) as ReadyLine);
    });
    child.once("error", reject);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`the upstream ended with ${code}: ${complaint}`));
    });
  });
}

async function control(url: string, method: string, path: string): Promise<Response> {
  const response = await fetch(`${url}/-/${path}`, { method });
  if (!response.ok) throw new Error(`${method} /-/${path}: ${response.status} ${await response.text()}`);
  return response;
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((done) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return done();
    const timer = setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS);
    child.once("exit", () => {
      clearTimeout(timer);
      done();
    });
    child.stdin?.end();
  });
}
