import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { tally } from "../differential/tally.ts";

const root = join(import.meta.dirname, "../..");
/** Filled once by the go command and kept between runs; shared with other suites. */
export const goModCache = join(root, ".modferry/test-cache/gomodcache");
const goEnvironment = { ...process.env, GOFLAGS: "-mod=mod", GOMODCACHE: goModCache, GOWORK: "off" };

/** Go's answer about one zip: error texts, empty where there is none. */
export interface GoAnswer {
  readonly check: string;
  readonly unzip: string;
  readonly hash: string;
  readonly h1: string;
  readonly folds?: readonly (readonly [number, number])[];
  /** Wall and CPU time. */
  readonly nanos?: number;
  readonly cpuNanos?: number;
}

export type GoQuestion =
  | {
      readonly op: "verdict";
      readonly path: string;
      readonly version: string;
      readonly zip?: string;
      readonly file?: string;
    }
  | { readonly op: "hash1"; readonly names: readonly string[]; readonly contents: readonly string[] }
  | { readonly op: "time"; readonly files: readonly string[]; readonly threads: number }
  | { readonly op: "hash"; readonly file: string }
  | { readonly op: "fold" };

/** test/oracle/zip, built and running until `close`; answers come in the order of the questions. */
export class ZipOracle {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #asked = new Map<string, number>();
  readonly #waiting: ((answer: GoAnswer) => void)[] = [];

  constructor() {
    const binary = join(root, `.modferry/test-cache/zip-oracle-${process.pid}-${Date.now()}`);
    mkdirSync(goModCache, { recursive: true });
    execFileSync("go", ["build", "-o", binary, "."], {
      cwd: join(root, "test/oracle/zip"),
      env: { ...goEnvironment, GOFLAGS: "-mod=readonly" },
      stdio: ["ignore", "inherit", "inherit"],
    });
    this.#process = spawn(binary, { stdio: "pipe" });
    this.#process.on("spawn", () => execFileSync("rm", ["-f", binary]));
    this.#process.stderr.pipe(process.stderr);
    createInterface({ input: this.#process.stdout }).on("line", (line) => {
      this.#waiting.shift()?.(JSON.parse(line) as GoAnswer);
    });
  }

  ask(question: GoQuestion): Promise<GoAnswer> {
    this.#asked.set(question.op, (this.#asked.get(question.op) ?? 0) + 1);
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#process.stdin.write(`${JSON.stringify(question)}\n`);
    });
  }

  /** What Go makes of a zip in memory. */
  verdict(zip: Uint8Array, path: string, version: string): Promise<GoAnswer> {
    return this.ask({ op: "verdict", path, version, zip: Buffer.from(zip).toString("base64") });
  }

  close(): void {
    for (const op of ["verdict", "hash1", "hash"]) tally(op, this.#asked.get(op) ?? 0);
    this.#process.stdin.end();
  }
}

/** One line of `go mod download -json`, as far as it matters here. */
export interface DownloadedModule {
  readonly Path: string;
  readonly Version: string;
  readonly Zip: string;
  readonly GoMod: string;
  readonly Sum: string;
  readonly GoModSum: string;
}

/** Brings modules into the cache, checked by the go command against the checksum database. */
export function downloadModules(modules: readonly string[]): DownloadedModule[] {
  mkdirSync(goModCache, { recursive: true });
  const output = execFileSync("go", ["mod", "download", "-json", ...modules], {
    cwd: goModCache,
    env: goEnvironment,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  return JSON.parse(`[${output.trim().replaceAll(/^}\n/gm, "},\n")}]`) as DownloadedModule[];
}
