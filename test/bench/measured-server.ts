import { type ChildProcess, spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Measured } from "./measured-process.ts";

/** As measured-process.ts has it, but the command is a server: it runs until standard input ends, then gets SIGTERM. */
const WRAPPER = `
import json, resource, subprocess, sys
before = resource.getrusage(resource.RUSAGE_CHILDREN)
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=sys.stderr)
sys.stdin.read()
server.terminate()
try:
    server.wait(20)
except subprocess.TimeoutExpired:
    server.kill()
    server.wait()
use = resource.getrusage(resource.RUSAGE_CHILDREN)
scale = 1048576 if sys.platform == "darwin" else 1024
print(json.dumps({"cpuSeconds": use.ru_utime + use.ru_stime - before.ru_utime - before.ru_stime,
  "peakMiB": use.ru_maxrss / scale}))
`;
const POLL = 10;
const START_TIMEOUT = 60_000;
/** Of what a server said on standard error, for the message. */
const LAST_WORDS = 2_000;

/**
 * Runs a server while `drive` asks it things: wall time is that of `drive` alone, CPU time and memory those of the server
 * from its start to its end, with the children that it has waited for.
 * @throws what `drive` throws, and an Error when the server does not answer at `url`; both with its last words.
 */
export async function measureServer(
  command: readonly string[],
  at: { readonly url: string; readonly env: NodeJS.ProcessEnv; readonly cwd: string },
  drive: () => Promise<void>,
): Promise<Measured> {
  const wrapper = spawn("python3", ["-c", WRAPPER, ...command], { stdio: "pipe", env: at.env, cwd: at.cwd });
  wrapper.stdin.on("error", () => undefined);
  const printed = text(wrapper.stdout);
  let said = "";
  wrapper.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    said = `${said}${chunk}`.slice(-LAST_WORDS);
  });
  try {
    await untilItAnswers(at.url, wrapper);
    const begun = performance.now();
    await drive();
    const wallSeconds = (performance.now() - begun) / 1000;
    wrapper.stdin.end();
    return { ...(JSON.parse(await printed) as Omit<Measured, "wallSeconds">), wallSeconds };
  } catch (cause) {
    wrapper.stdin.end();
    await printed;
    throw new Error(`${command[0]}: ${String(cause)}: ${said}`, { cause });
  }
}

async function untilItAnswers(url: string, process: ChildProcess): Promise<void> {
  const until = Date.now() + START_TIMEOUT;
  while (Date.now() < until && process.exitCode === null) {
    try {
      await (await fetch(url)).arrayBuffer();
      return;
    } catch {
      await sleep(POLL);
    }
  }
  throw new Error(`no answer at ${url}`);
}
