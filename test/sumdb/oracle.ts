import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { SumdbSource } from "../../sumdb/client.ts";
import { tilePath } from "../../sumdb/tile.ts";

const module = join(import.meta.dirname, "../oracle/sumdb");

/** What x/mod's client made of a set of files (test/oracle/sumdb/client.go). */
export interface GoClientRun {
  readonly results: readonly { readonly lines: readonly string[]; readonly error?: string }[];
  /** Base64 of the head that it knows afterwards. */
  readonly latest: string | null;
  /** Paths of all tiles that it asked for. */
  readonly tiles: readonly string[] | null;
  readonly security: string;
}

/** Folder of golang.org/x/mod as the oracle's go.sum pins it, for its own tests and test data. */
export function xModFolder(): string {
  return execFileSync("go", ["list", "-m", "-f", "{{.Dir}}", "golang.org/x/mod"], {
    cwd: module,
    encoding: "utf8",
  }).trim();
}

/** golang.org/x/mod as a process that answers questions; see test/oracle/sumdb/main.go. */
export class Oracle {
  readonly #folder = mkdtempSync(join(tmpdir(), "modferry-sumdb-oracle-"));
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #waiting: ((line: string) => void)[] = [];

  constructor() {
    const binary = join(this.#folder, "sumdb");
    execFileSync("go", ["build", "-o", binary, "."], { cwd: module, stdio: ["ignore", "ignore", "inherit"] });
    this.#process = spawn(binary, { stdio: "pipe" });
    this.#process.stderr.pipe(process.stderr);
    createInterface({ input: this.#process.stdout }).on("line", (line) => this.#waiting.shift()?.(line));
    this.#process.on("exit", () => {
      for (const answer of this.#waiting.splice(0))
        answer(JSON.stringify({ error: "the oracle has crashed" }));
    });
  }

  /** @throws Error with x/mod's own message when it refuses. */
  async ask<T>(op: string, request: object = {}): Promise<T> {
    const line = await new Promise<string>((resolve) => {
      this.#waiting.push(resolve);
      this.#process.stdin.write(`${JSON.stringify({ op, ...request })}\n`);
    });
    const { reply, error } = JSON.parse(line) as { reply: T; error?: string };
    if (error !== undefined) throw new Error(error);
    return reply;
  }

  /** What it answers, or undefined when it refuses. */
  async judge<T>(op: string, request: object = {}): Promise<T | undefined> {
    return await this.ask<T>(op, request).catch(() => undefined);
  }

  stop(): void {
    this.#process.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString("base64");

/** A private database (x/mod's TestServer) inside the oracle, as a source; it counts what is asked. */
export class PrivateDatabase implements SumdbSource {
  readonly #oracle: Oracle;
  readonly id: string;
  /** Paths asked for, in order. */
  readonly asked: string[] = [];
  /** Replies to give instead of the database's own, by path; undefined: not found. */
  readonly planted = new Map<string, Uint8Array | undefined>();

  private constructor(oracle: Oracle, id: string) {
    this.#oracle = oracle;
    this.id = id;
  }

  static async create(oracle: Oracle, id: string, signer: string): Promise<PrivateDatabase> {
    await oracle.ask("newDatabase", { db: id, text: signer });
    return new PrivateDatabase(oracle, id);
  }

  /** Adds records example.com/m<number>@v1.0.0 up to this size; another salt gives them other hashes. */
  async grow(size: number, salt = ""): Promise<void> {
    await this.#oracle.ask("grow", { db: this.id, size, salt });
  }

  async get(path: string): Promise<Uint8Array> {
    this.asked.push(path);
    if (this.planted.has(path)) {
      const planted = this.planted.get(path);
      if (planted === undefined) throw new Error(`not found: ${path}`);
      return planted;
    }
    const { status, body } = await this.#oracle.ask<{ status: number; body: string }>("get", {
      db: this.id,
      path,
    });
    if (status !== 200) throw new Error(`${status}: ${path}`);
    return Buffer.from(body, "base64");
  }

  latest = () => this.get("/latest");
  lookup: SumdbSource["lookup"] = ({ path, version }) => this.get(`/lookup/${path}@${version}`);
  tile: SumdbSource["tile"] = (tile) => this.get(`/${tilePath(tile)}`);

  tilesAsked(): string[] {
    return this.asked.filter((path) => path.startsWith("/tile/"));
  }
}
