import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { misuse } from "../mirror/errors.ts";
import { oneLine } from "./output.ts";

/** Signals that end a command line, and that its command gets too. */
const PASSED_ON = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** From the first signal to SIGKILL, in ms: a command that does not end by then would outlive us. */
const GRACE = 10_000;

/** How a command ended. */
export interface CommandEnd {
  /** As a shell has it in `$?`: its exit status, or 128 plus the number of the signal that ended it. */
  readonly status: number;
  /** The signal that we got while it ran; it was passed on. */
  readonly stoppedBy: NodeJS.Signals | undefined;
}

export interface CommandOptions {
  readonly environment: NodeJS.ProcessEnv;
  /** Where its standard output goes: to ours, or to our standard error where ours is for events. */
  readonly stdout: "inherit" | "to stderr";
}

/**
 * Runs a command as a shell would, with our standard input, output and error. Signals that we get are passed on, and we
 * wait for its end, so that no child is left.
 * @throws MirrorError misuse when it cannot be started.
 */
export async function runCommand(
  [file = "", ...args]: readonly string[],
  { environment, stdout }: CommandOptions,
): Promise<CommandEnd> {
  // From a terminal, Ctrl-C goes to its whole foreground group, and only that group may read it. Elsewhere the command
  // gets a group of its own, so that a signal reaches what it has started too.
  const ownGroup = !process.stdin.isTTY;
  let child: ChildProcess | undefined;
  // Before the command starts: a signal that found nobody listening would end us, and leave the command running.
  const release = holdSignals();
  const signals = passSignals((signal) => {
    if (child?.pid === undefined) return;
    if (signal === "SIGINT" && !ownGroup) return;
    kill(ownGroup ? -child.pid : child.pid, signal);
  });
  try {
    const started = spawn(file, args, {
      env: environment,
      stdio: ["inherit", stdout === "inherit" ? "inherit" : 2, "inherit"],
      detached: ownGroup,
    });
    child = started;
    const status = await new Promise<number>((resolve, reject) => {
      started.once("error", (cause) => reject(cannotRun(file, cause)));
      started.once("exit", (code, signal) =>
        resolve(code ?? 128 + (constants.signals[signal ?? "SIGKILL"] ?? 0)),
      );
    });
    // What a stopped command has started itself is stopped with it.
    if (signals.stoppedBy() !== undefined && ownGroup && started.pid !== undefined)
      kill(-started.pid, "SIGKILL");
    return { status, stoppedBy: signals.stoppedBy() };
  } finally {
    signals.end();
    release();
  }
}

/** While the command runs, a signal is for it; what else listens is put back afterwards. */
function holdSignals(): () => void {
  const held = PASSED_ON.map((signal) => [signal, process.rawListeners(signal)] as const);
  for (const signal of PASSED_ON) process.removeAllListeners(signal);
  return () => {
    for (const [signal, listeners] of held)
      for (const listener of listeners) process.on(signal, listener as NodeJS.SignalsListener);
  };
}

function passSignals(pass: (signal: NodeJS.Signals) => void): {
  stoppedBy(): NodeJS.Signals | undefined;
  end(): void;
} {
  let first: NodeJS.Signals | undefined;
  let timer: NodeJS.Timeout | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    // Whoever asks twice means it.
    pass(first === undefined ? signal : "SIGKILL");
    first ??= signal;
    timer ??= setTimeout(() => pass("SIGKILL"), GRACE);
  };
  for (const signal of PASSED_ON) process.on(signal, onSignal);
  return {
    stoppedBy: () => first,
    end: () => {
      clearTimeout(timer);
      for (const signal of PASSED_ON) process.off(signal, onSignal);
    },
  };
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended in the meantime.
  }
}

function cannotRun(file: string, cause: Error): Error {
  const code = "code" in cause ? cause.code : undefined;
  const shown = oneLine(file);
  if (code === "ENOENT")
    return misuse("COMMAND", `${shown}: no such command; check its name and PATH`, cause);
  if (code === "EACCES")
    return misuse("COMMAND", `${shown}: not permitted to run it; is it a program?`, cause);
  return misuse("COMMAND", `${shown}: cannot be run: ${cause.message}`, cause);
}
