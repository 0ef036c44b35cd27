import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { misuse } from "../../mirror/errors.ts";

/** MiniStack's own metadata asks for this Python (PyPI, ministack 1.5.33, Requires-Python). */
const OLDEST_MINOR = 10;
const CANDIDATES = ["python3", "python3.13", "python3.12", "python3.11", "python3.10"];
/** A shim of a version manager that installs on demand may be slow; a hung one is no Python. */
const PROBE_TIMEOUT = 10_000;

/** Prints `3.11 yes`: the version, and whether a venv with pip can be made (Debian splits ensurepip off). */
const PROBE = `
import importlib.util as u, sys
print("%d.%d" % sys.version_info[:2], "yes" if u.find_spec("venv") and u.find_spec("ensurepip") else "no")
`;

const run = promisify(execFile);

/**
 * Finds a Python that can make MiniStack's venv.
 * @returns the command's name on PATH.
 * @throws MirrorError misuse: one line that says what is missing and what installs it.
 */
export async function findPython(environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  const seen: string[] = [];
  for (const command of CANDIDATES) {
    const found = await probe(command, environment);
    if (found === undefined) continue;
    const recent = found.major === 3 && found.minor >= OLDEST_MINOR;
    if (recent && found.hasVenv) return command;
    seen.push(`${command} is ${found.major}.${found.minor}${recent ? " without venv" : ""}`);
  }
  if (seen.some((text) => text.endsWith("without venv"))) {
    throw misuse(
      "python",
      `python: ${seen.join(", ")}: install it (Debian, Ubuntu: apt-get install python3-venv)`,
    );
  }
  const found = seen.length === 0 ? "none on PATH" : seen.join(", ");
  throw misuse(
    "python",
    `python: ${found}: Python 3.${OLDEST_MINOR} or newer with venv is needed (Debian, Ubuntu: apt-get install python3 python3-venv)`,
  );
}

async function probe(command: string, environment: NodeJS.ProcessEnv) {
  try {
    const options = { timeout: PROBE_TIMEOUT, killSignal: "SIGKILL", env: environment } as const;
    const { stdout } = await run(command, ["-c", PROBE], options);
    const [, major, minor, hasVenv] = /^(\d+)\.(\d+) (yes|no)$/.exec(stdout.trim()) ?? [];
    if (major === undefined) return undefined;
    return { major: Number(major), minor: Number(minor), hasVenv: hasVenv === "yes" };
  } catch {
    return undefined;
  }
}
