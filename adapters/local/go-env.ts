import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { misuse } from "../../mirror/errors.ts";
import { oneLine } from "../../mirror/missing-table.ts";

/** `go env` reads two small files; a machine that takes longer is stuck. In ms. */
const GO_TIMEOUT = 30_000;
/** As much of go's own words is passed on. */
const SHOWN = 300;

/**
 * What `go env` prints for these names, `go env -w` included. The go that is on PATH answers itself: in a folder whose
 * go.mod wants a newer one it would first download that (Go Toolchains, GOTOOLCHAIN=local).
 * @param remedy what to do where there is no go, for the message.
 * @throws MirrorError misuse on `go`: not there, or its own last line where it fails.
 */
export async function goEnv<Name extends string>(
  names: readonly Name[],
  environment: NodeJS.ProcessEnv,
  remedy: string,
): Promise<Readonly<Record<Name, string>>> {
  const env = { ...environment, GOTOOLCHAIN: "local" };
  try {
    const { stdout } = await promisify(execFile)("go", ["env", "-json", ...names], {
      env,
      timeout: GO_TIMEOUT,
      killSignal: "SIGKILL",
    });
    const values = JSON.parse(stdout) as Record<string, string>;
    return Object.fromEntries(names.map((name) => [name, values[name] ?? ""])) as Record<Name, string>;
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    if (code === "ENOENT" || code === "EACCES") {
      throw misuse("go", `go: there is no go command on PATH; ${remedy}`, cause);
    }
    throw misuse("go", `go: \`go env\` fails: ${reasonOf(cause)}; ${remedy}`, cause);
  }
}

/** go's last line that is its own (`go: …`), else the last that it printed, else how it ended. */
function reasonOf(cause: unknown): string {
  const { stderr = "", code, killed } = cause as { stderr?: string; code?: unknown; killed?: boolean };
  const lines = stderr.trim().split("\n").filter(Boolean);
  const line = lines.findLast((text) => text.startsWith("go: ")) ?? lines.at(-1);
  if (line !== undefined) return oneLine(line.replace(/^go: /, "")).slice(0, SHOWN);
  if (killed === true) return `no answer after ${GO_TIMEOUT / 1000} s`;
  return typeof code === "number" ? `exit ${code}` : "what it prints is no JSON";
}
