import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { exclusively, testCache } from "../upstream/exclusive.ts";

/** The largest takes about a minute and a half on two idle cores, its modules' download included. */
const BUILD_TIMEOUT_MS = 1_200_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** A program of somebody else's, at the version that our suites and benches were tried with. */
interface GoProgram {
  readonly name: string;
  readonly module: string;
  readonly version: string;
  /** The package of its main function. */
  readonly command: string;
}

/** A strict S3 server over a folder. */
export const VERSITYGW: GoProgram = {
  name: "versitygw",
  module: "github.com/versity/versitygw",
  version: "v1.8.0",
  command: "github.com/versity/versitygw/cmd/versitygw",
};

/** A caching module proxy. */
export const GOPROXY_SERVER: GoProgram = {
  name: "goproxy",
  module: "github.com/goproxy/goproxy",
  version: "v0.18.0",
  command: "github.com/goproxy/goproxy/cmd/goproxy",
};

/**
 * Builds a program from `go env GOPROXY`, once for each version in a checkout, with the checksum database on. Not by
 * `go install`, which refuses programs whose go.mod has replace lines, but as a requirement of a go.mod made for it.
 * @returns the binary's path.
 * @throws Error with the go command's last words when there is no go, no network, or it does not build.
 */
export async function goProgram({ name, module, version, command }: GoProgram): Promise<string> {
  const program = join(testCache, "bin", `${name}-${version}`);
  if (existsSync(program)) return program;
  await exclusively(
    join(testCache, `${name}.lock`),
    async () => {
      if (existsSync(program)) return;
      await mkdir(join(testCache, "bin"), { recursive: true });
      const folder = await mkdtemp(join(tmpdir(), `modferry-${name}-`));
      try {
        await writeFile(join(folder, "go.mod"), `module ${name}.test\n\nrequire ${module} ${version}\n`);
        // Renamed when whole: a killed build must not leave half a program under the final name.
        const half = `${program}.new`;
        await promisify(execFile)("go", ["build", "-trimpath", "-o", half, command], {
          cwd: folder,
          env: { ...process.env, GOFLAGS: "-mod=mod", GOWORK: "off", GOVCS: "*:off", CGO_ENABLED: "0" },
          timeout: BUILD_TIMEOUT_MS,
          maxBuffer: MAX_OUTPUT_BYTES,
        });
        await rename(half, program);
      } catch (cause) {
        const { stderr } = cause as { stderr?: string };
        const told = (stderr ?? "").trim().split("\n").at(-1) || String(cause);
        throw new Error(`${name} ${version} was not built: ${told.slice(0, 300)}`, { cause });
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    BUILD_TIMEOUT_MS,
  );
  return program;
}
