import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "vitest";
import { commandEnvironment } from "../e2e/modferry-command.ts";

/** Runs a command on a terminal of its own: util-linux's, and the BSDs', which takes its arguments otherwise. */
const SCRIPT = "/usr/bin/script";
const COLUMNS = 100;

/** `test` for what is shown on a terminal. Without `script` it says so and is skipped; with CI=true that is a failure. */
export const testOnTerminal: (name: string, body: () => Promise<void>, timeout: number) => void = existsSync(
  SCRIPT,
)
  ? test
  : without(`${SCRIPT} is not there (Debian, Ubuntu: apt-get install bsdutils)`);

function without(missing: string) {
  return (name: string, body: () => Promise<void>, timeout: number) => {
    if (process.env.CI === "true") throw new Error(`${name}: ${missing}`);
    console.log(`skipped: ${name}: ${missing}`);
    test.skip(`${name} (${missing})`, body, timeout);
  };
}

/** Runs a shell's command line on a terminal of 100 columns; what it wrote, controls included. */
export function onTerminal(command: string): Promise<{ code: number | null; text: string }> {
  const line = `stty cols ${COLUMNS}; ${command}`;
  // BSD: script [-q] FILE COMMAND…, which ends with the command's own status; util-linux needs -e for that.
  const args =
    process.platform === "linux" ? ["-qec", line, "/dev/null"] : ["-q", "/dev/null", "/bin/sh", "-c", line];
  return new Promise((done, reject) => {
    const child = spawn(SCRIPT, args, {
      env: { ...commandEnvironment(), TERM: "xterm" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    child.once("error", reject);
    child.once("close", (code) => done({ code, text }));
  });
}
