import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** A folder in which the go command runs against one proxy, from an empty module cache. */
export interface GoProject {
  readonly dir: string;
  /** Runs go. @throws Error with the command line, stdout and stderr when it fails. */
  go(...args: string[]): Promise<string>;
  write(files: Readonly<Record<string, string>>): Promise<void>;
}

const scratches: string[] = [];

/** Removes the folders of all projects. */
export async function cleanUp(): Promise<void> {
  for (const scratch of scratches.splice(0)) await rm(scratch, { recursive: true, force: true });
}

const GO_TIMEOUT_MS = 60_000;

export async function goProject(proxy: string, files: Readonly<Record<string, string>>): Promise<GoProject> {
  const scratch = await mkdtemp(join(tmpdir(), "modferry-graph-"));
  scratches.push(scratch);
  const dir = join(scratch, "project");
  const env = {
    ...process.env,
    GOPROXY: proxy,
    GOMODCACHE: join(scratch, "cache"),
    GOBIN: join(scratch, "bin"),
    GOFLAGS: "-modcacherw",
    GOSUMDB: "off",
    GOTOOLCHAIN: "local",
    GOWORK: "",
    CGO_ENABLED: "0",
  };
  const project: GoProject = {
    dir,
    go: (...args) =>
      new Promise((resolve, reject) => {
        execFile("go", args, { cwd: dir, env, timeout: GO_TIMEOUT_MS }, (error, stdout, stderr) => {
          if (error === null) resolve(stdout);
          else reject(new Error(`go ${args.join(" ")}: ${stdout}${stderr}`, { cause: error }));
        });
      }),
    async write(written) {
      for (const [name, text] of Object.entries(written)) {
        await mkdir(dirname(join(dir, name)), { recursive: true });
        await writeFile(join(dir, name), text);
      }
    },
  };
  await project.write(files);
  return project;
}
