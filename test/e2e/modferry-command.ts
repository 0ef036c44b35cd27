import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { testCache } from "../upstream/exclusive.ts";

export const COMMAND = resolve(import.meta.dirname, "../../cli/modferry.ts");

/** A sync of the largest sample takes a few seconds on a quiet machine, and tests share two cores. */
const LONGEST_RUN = 280_000;

/** How one run of the command ended. */
export interface CommandRun {
  /** As a shell has it in `$?`: the exit status, or 128 plus the signal's number. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** A script that runs the command in its own process; its arguments come first. */
  readonly through?: readonly string[];
}

const SIGNALS: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/** Runs `modferry ARGS` as a child process, as from a shell. @throws Error when it does not end. */
export async function modferry(args: readonly string[], options: CommandOptions = {}): Promise<CommandRun> {
  return await ended(spawnModferry(args, options), args);
}

type CommandChild = ChildProcessByStdio<null, Readable, Readable>;

/** Starts `modferry ARGS`; the caller ends it. */
export function spawnModferry(args: readonly string[], options: CommandOptions = {}): CommandChild {
  const child = spawn(process.execPath, [...(options.through ?? [COMMAND]), ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: commandEnvironment(options.env),
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => {}); // it may end without reading
  child.stdin.end(options.stdin ?? "");
  return child as unknown as CommandChild;
}

/** Nothing of the machine's own settings but PATH; compiled modules are kept between runs, which halves the start. */
export function commandEnvironment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "",
    HOME: tmpdir(),
    GOENV: "off",
    GOPROXY: "off",
    NODE_COMPILE_CACHE: join(testCache, "node-compile"),
    ...more,
  };
}

/** The environment of a command whose clock is ahead, in ms. */
export function ahead(by: number): Record<string, string> {
  return {
    NODE_OPTIONS: `--import=${join(import.meta.dirname, "ahead-child.ts")}`,
    MODFERRY_TEST_AHEAD: String(by),
  };
}

/** Waits for a child's end and all of its output. */
export function ended(child: CommandChild, args: readonly string[] = []): Promise<CommandRun> {
  return new Promise((done, reject) => {
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`modferry ${args.join(" ")}: no end after ${LONGEST_RUN} ms\n${stdout}\n${stderr}`));
    }, LONGEST_RUN);
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      done({ code: code ?? 128 + (SIGNALS[signal ?? ""] ?? 0), stdout, stderr });
    });
  });
}

/** The first line of a child's output. @throws Error when it ends without one. */
export function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((found, reject) => {
    let text = "";
    child.stdout?.on("data", (chunk) => {
      text += chunk;
      const end = text.indexOf("\n");
      if (end >= 0) found(text.slice(0, end));
    });
    child.stderr?.on("data", (chunk) => {
      text += chunk;
    });
    child.once("close", () => reject(new Error(`modferry ended: ${text}`)));
  });
}

/** A `modferry serve` of a mirror on a free port. */
export interface ServedMirror {
  readonly url: string;
  stop(): Promise<CommandRun>;
}

export async function serveMirror(
  mirror: string,
  more: readonly string[] = [],
  options: CommandOptions = {},
): Promise<ServedMirror> {
  const child = spawnModferry(["serve", "--mirror", mirror, "--listen", "127.0.0.1:0", ...more], options);
  const run = ended(child);
  run.catch(() => {});
  const url = (await firstLine(child)).replace(/^export GOPROXY=/, "");
  return {
    url,
    stop: () => {
      child.kill("SIGINT");
      return run;
    },
  };
}
