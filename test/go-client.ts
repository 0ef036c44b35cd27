import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { testCache } from "./upstream/exclusive.ts";
import { removeReadOnlyTree } from "./upstream/read-only-tree.ts";
import { projectDir } from "./upstream/sample-projects.ts";

/** A cold build of the largest sample takes about half a minute on two shared cores. */
const DEFAULT_TIMEOUT_MS = 240_000;

export interface GoClientOptions {
  /** GOPROXY, such as a mirror's address, a `file://` URL, or `off`. Nothing else is reachable. */
  readonly goproxy: string;
  /** GOSUMDB: a private database's verifier key (asked through GOPROXY's /sumdb/), a name, or `off`. */
  readonly gosumdb: string;
  /** An existing folder to live in: it is used as it is and kept by dispose(). Default: a fresh one. */
  readonly home?: string;
  /** More environment, such as GOFLAGS or GONOSUMDB; it wins over all else. */
  readonly env?: Readonly<Record<string, string>>;
}

interface GoRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface GoClient {
  /** Holds gopath/ (with the client's own database state), modcache/ and the copied projects. */
  readonly home: string;
  readonly modCache: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs `go ARGS`; a code other than 0 is a result, not an error. @throws Error after `timeoutMs`. */
  run(args: readonly string[], options?: { cwd?: string; timeoutMs?: number }): Promise<GoRun>;
  /** Copies a sample project (see projectDir) into this client's home; returns the copy's folder. */
  copyProject(name: string): Promise<string>;
  /** Empties the module cache, as on a new machine; the database state under gopath/pkg/sumdb stays. */
  clearModCache(): Promise<void>;
  dispose(): Promise<void>;
}

/**
 * The go command as an isolated client: own HOME, GOPATH and empty GOMODCACHE, no go env file, no proxies,
 * no version control, no other toolchain. Only the build cache is shared between runs, for speed; with
 * -trimpath its entries do not depend on where the module cache lies.
 */
export async function goClient(options: GoClientOptions): Promise<GoClient> {
  const home = options.home ?? (await mkdtemp(join(tmpdir(), "modferry-client-")));
  const modCache = join(home, "modcache");
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? "",
    HOME: home,
    TMPDIR: tmpdir(),
    GOPATH: join(home, "gopath"),
    GOMODCACHE: modCache,
    GOCACHE: join(testCache, "gobuild"),
    GOENV: "off",
    GOFLAGS: "-trimpath",
    GOPROXY: options.goproxy,
    GOSUMDB: options.gosumdb,
    GONOSUMDB: "",
    GONOPROXY: "",
    GOPRIVATE: "",
    GOINSECURE: "",
    GOTOOLCHAIN: "local",
    GOWORK: "",
    GOVCS: "*:off",
    CGO_ENABLED: "0",
    ...options.env,
  };
  await turnTelemetryOff(home);
  return {
    home,
    modCache,
    env,
    run: (args, at = {}) => runGo(args, env, at.cwd ?? home, at.timeoutMs ?? DEFAULT_TIMEOUT_MS),
    copyProject: async (name) => {
      const source = projectDir(name);
      await mkdir(join(home, "projects"), { recursive: true });
      const copy = await mkdtemp(join(home, "projects", `${basename(source)}-`));
      await cp(source, copy, { recursive: true });
      return copy;
    },
    clearModCache: () => removeReadOnlyTree(modCache),
    dispose: async () => {
      await removeReadOnlyTree(modCache);
      if (options.home === undefined) await rm(home, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/**
 * No environment variable does this, only the mode file in the user's configuration folder (x/telemetry).
 * Left on, a child of the go command still writes under HOME while dispose() removes it.
 */
async function turnTelemetryOff(home: string): Promise<void> {
  const configDir = process.platform === "darwin" ? "Library/Application Support" : ".config";
  const telemetryDir = join(home, configDir, "go/telemetry");
  await mkdir(telemetryDir, { recursive: true });
  await writeFile(join(telemetryDir, "mode"), "off\n");
}

function runGo(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd: string,
  timeoutMs: number,
): Promise<GoRun> {
  return new Promise((done, reject) => {
    // Its own process group: a time-out must also end the compilers that go started.
    const child = spawn("go", args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const timer = setTimeout(() => {
      reject(new Error(`go ${args.join(" ")}: no end after ${timeoutMs} ms\n${stderr}`));
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, timeoutMs);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      if (code === null) reject(new Error(`go ${args.join(" ")}: ended by ${signal}\n${stderr}`));
      else done({ code, stdout, stderr });
    });
  });
}
