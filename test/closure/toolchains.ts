import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { compareGoVersions } from "../../gomod/go-version.ts";
import { testCache } from "../upstream/exclusive.ts";

/** A Go installation under test. */
export interface Toolchain {
  /** Such as `1.21.13`. */
  readonly version: string;
  /** The folder with its `go`. */
  readonly bin: string;
  /** Whether it is the one on PATH. */
  readonly newest: boolean;
}

/** The last of each line that a team may still pin, beside the newest, which is the one on PATH. */
export const OLDER_TOOLCHAINS = ["1.21.13", "1.23.12"];

const run = promisify(execFile);

/** The go on PATH. */
export async function newestToolchain(): Promise<Toolchain> {
  const { stdout } = await run("go", ["env", "GOVERSION", "GOROOT"], { env: local() });
  const [version = "", root = ""] = stdout.trim().split("\n");
  return { version: version.replace(/^go/, ""), bin: join(root, "bin"), newest: true };
}

/** A toolchain that the go command fetches through the module proxy, once, and checks against the checksum database. */
export async function olderToolchain(version: string): Promise<Toolchain> {
  const cache = join(testCache, "toolchains");
  await mkdir(cache, { recursive: true });
  // Not below a go.mod or go.work, whose lines would choose a toolchain.
  const empty = await mkdtemp(join(tmpdir(), "modferry-toolchain-"));
  try {
    const env = {
      ...process.env,
      GOMODCACHE: cache,
      GOTOOLCHAIN: `go${version}`,
      GOFLAGS: "-modcacherw",
      GOWORK: "off",
    };
    const { stdout } = await run("go", ["env", "GOROOT"], { cwd: empty, env });
    return { version, bin: join(stdout.trim(), "bin"), newest: false };
  } finally {
    await rm(empty, { recursive: true, force: true });
  }
}

/** Whether a main module or dependency with this `go` line is one that the toolchain takes. */
export function takesGoLine(toolchain: Toolchain, goLine: string): boolean {
  return compareGoVersions(goLine, toolchain.version) <= 0;
}

function local(): NodeJS.ProcessEnv {
  return { ...process.env, GOTOOLCHAIN: "local" };
}
