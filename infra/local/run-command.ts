import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { MirrorError } from "../../mirror/errors.ts";

/** From SIGTERM to SIGKILL, in ms. */
const GRACE = 3_000;
/** Lines of a failed command's output that its error shows. */
const LAST_LINES = 12;

export interface CommandOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Gets all output, appended. */
  readonly log: string;
  /** In ms. */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

/**
 * Runs a command to its end, with all that it starts.
 * @throws MirrorError transient: its exit status or time-out, and the last lines that it printed; the signal's reason.
 */
export async function runCommand(
  name: string,
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<void> {
  options.signal.throwIfAborted();
  const log = openSync(options.log, "a");
  const begin = statSync(options.log).size;
  // A process group of its own: a terminal's Ctrl-C reaches us alone, and ending it ends all that it started.
  const child = spawn(command, [...args], {
    cwd: options.cwd,
    env: options.env,
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const end = (signal: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // It has ended.
    }
  };
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    end("SIGKILL");
  }, options.timeout);
  const abort = () => {
    end("SIGTERM");
    setTimeout(() => end("SIGKILL"), GRACE).unref();
  };
  options.signal.addEventListener("abort", abort, { once: true });
  try {
    const status = await new Promise<number | string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("close", (code, killed) => resolve(code ?? String(killed)));
    });
    options.signal.throwIfAborted();
    if (status === 0) return;
    const reason = timedOut ? `not done after ${options.timeout / 1000} s` : `ended with ${status}`;
    const lines = lastLines(options.log, begin);
    throw new MirrorError("transient", name, `${name}: ${reason}; all of it: ${options.log}\n${lines}`);
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener("abort", abort);
  }
}

function lastLines(log: string, begin: number): string {
  const lines = readFileSync(log).subarray(begin).toString("utf8").trimEnd().split("\n");
  return lines
    .slice(-LAST_LINES)
    .map((line) => `  | ${line}`)
    .join("\n");
}
