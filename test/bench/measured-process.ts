import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** What the kernel says of a finished process. */
export interface Measured {
  readonly wallSeconds: number;
  /** User and system time. */
  readonly cpuSeconds: number;
  /** Largest resident size. */
  readonly peakMiB: number;
}

/**
 * Runs a command and prints its rusage; node has no wait4 of its own. What a shim on PATH ran before it became python
 * is among the children, too, and taken off.
 */
const WRAPPER = `
import json, resource, subprocess, sys, time
before = resource.getrusage(resource.RUSAGE_CHILDREN)
start = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
wall = time.monotonic() - start
use = resource.getrusage(resource.RUSAGE_CHILDREN)
scale = 1048576 if sys.platform == "darwin" else 1024
print(json.dumps({"code": done.returncode, "wallSeconds": wall,
  "cpuSeconds": use.ru_utime + use.ru_stime - before.ru_utime - before.ru_stime,
  "peakMiB": use.ru_maxrss / scale, "stderr": done.stderr.decode(errors="replace")[-2000:]}))
`;

/** @throws Error with the end of stderr when the command does not exit with 0. */
export async function measureProcess(
  command: readonly string[],
  options: { readonly env: NodeJS.ProcessEnv; readonly cwd?: string },
): Promise<Measured> {
  const { stdout } = await promisify(execFile)("python3", ["-c", WRAPPER, ...command], options);
  const { code, stderr, ...measured } = JSON.parse(stdout) as Measured & { code: number; stderr: string };
  if (code !== 0) throw new Error(`${command.join(" ")}: exit ${code}: ${stderr}`);
  return measured;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
