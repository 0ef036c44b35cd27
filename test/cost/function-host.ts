/**
 * One execution environment of a function: a process of its own, which loads its bundle and calls it with each event that
 * its parent sends, telling what the call took. `node function-host.ts INDEX.MJS`.
 */
import type { Context } from "aws-lambda";

/** What Lambda would bill, but for the machine; `reply` is what the function returned. */
export interface Call {
  readonly reply: unknown;
  readonly error?: string;
  readonly wallMs: number;
  /** Of all threads. */
  readonly cpuMs: number;
  /** Written to standard output and error. */
  readonly logBytes: number;
}

const REMAINING = 300_000;
let logBytes = 0;
const count = (chunk: string | Uint8Array): boolean => {
  logBytes += Buffer.byteLength(chunk);
  return true;
};
process.stdout.write = count as typeof process.stdout.write;
process.stderr.write = count as typeof process.stderr.write;
console.log = (...parts: unknown[]) => void count(`${parts.join(" ")}\n`);
console.error = console.log;

const { handler } = (await import(String(process.argv[2]))) as {
  handler: (event: unknown, context: Context) => Promise<unknown>;
};
const context = { getRemainingTimeInMillis: () => REMAINING } as Context;

process.on("message", async (event) => {
  const before = process.cpuUsage();
  const logged = logBytes;
  const begun = performance.now();
  const outcome = await handler(event, context).then(
    (reply) => ({ reply }),
    (error: unknown) => ({ reply: undefined, error: String(error) }),
  );
  const wallMs = performance.now() - begun;
  const { user, system } = process.cpuUsage(before);
  const call: Call = { ...outcome, wallMs, cpuMs: (user + system) / 1_000, logBytes: logBytes - logged };
  process.send?.(call);
});
process.on("disconnect", () => process.exit(0));
process.send?.("ready");
