/**
 * Runs a command that must not outlive our process: when standard input ends, because our process asked so or is gone
 * by whatever signal, the command gets SIGTERM, and SIGKILL if that does not end it.
 * Started by guarded-child.ts; `node child-guard.ts COMMAND ARGS…`.
 */
import { spawn } from "node:child_process";

/** From SIGTERM to SIGKILL, in ms: `modferry serve` lets open replies go on for 5 s. */
const GRACE = 7_000;
const KILLED = 137;

const [command = "", ...args] = process.argv.slice(2);
// In a group of its own, as this process is: a terminal's Ctrl-C reaches neither.
const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"], detached: true });
child.once("error", () => process.exit(1));
child.once("exit", (code) => process.exit(code ?? KILLED));
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, stop);
process.stdin.on("end", stop).on("error", stop).resume();

function stop(): void {
  child.kill("SIGTERM");
  setTimeout(() => child.kill("SIGKILL"), GRACE);
}
