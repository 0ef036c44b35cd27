import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { exclusively, testCache } from "./exclusive.ts";
import { projectDir } from "./sample-projects.ts";

const run = promisify(execFile);
const goModCache = join(testCache, "gomodcache");
const filledDir = join(testCache, "filled");

/** One `go mod download all` of the medium corpus takes about a minute on a fair line. */
const FILL_TIMEOUT_MS = 900_000;
/** The go command's own messages, one line per module at most. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/**
 * Fills the tests' module cache from the real upstream (`go env GOPROXY`, checksum database on) with all
 * files that `names` need at tier tidy: the `.mod` of L∪S, the `.info` and `.zip` of S. Each name is
 * `small`, `medium`, a sample project, or a folder with a go.mod. What is there is not asked again; a fill
 * that was killed goes on where it stopped; two processes never fill at once.
 * @returns the folder of `cache/download`, which is itself a GOPROXY tree. It holds every project that was
 *   ever filled, so a test that needs an exact set names it to the loopback upstream (`modules` there).
 * @throws Error with the go command's stderr when a module cannot be downloaded.
 */
export async function fillModuleCache(...names: string[]): Promise<string> {
  for (const name of names) await fillOne(projectDir(name));
  return join(goModCache, "cache/download");
}

async function fillOne(dir: string): Promise<void> {
  const goMod = await readFile(join(dir, "go.mod"));
  const marker = join(filledDir, createHash("sha256").update(goMod).digest("hex"));
  if (existsSync(marker)) return;
  await exclusively(join(testCache, "gomodcache.lock"), async () => {
    if (existsSync(marker)) return;
    await downloadAll(dir);
    await mkdir(filledDir, { recursive: true });
    await writeFile(marker, `${dir}\n`);
  });
}

/** Works on a copy, for `go mod download all` may write to go.mod and go.sum. */
async function downloadAll(dir: string): Promise<void> {
  const copy = await mkdtemp(join(tmpdir(), "modferry-fill-"));
  try {
    await copyFile(join(dir, "go.mod"), join(copy, "go.mod"));
    if (existsSync(join(dir, "go.sum"))) await copyFile(join(dir, "go.sum"), join(copy, "go.sum"));
    await run("go", ["mod", "download", "all"], {
      cwd: copy,
      env: {
        ...process.env,
        GOPROXY: await upstreamProxies(),
        GOMODCACHE: goModCache,
        GOFLAGS: "-mod=mod -modcacherw",
        GOTOOLCHAIN: "local",
        GOWORK: "off",
        GOVCS: "*:off",
      },
      timeout: FILL_TIMEOUT_MS,
      maxBuffer: MAX_OUTPUT_BYTES,
    });
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

/** `go env GOPROXY` without `direct`: the tests' modules come from proxies, never from a version control. */
async function upstreamProxies(): Promise<string> {
  const { stdout } = await run("go", ["env", "GOPROXY"]);
  const proxies = stdout.trim().replace(/[,|](direct|off)$/, "");
  if (/^(direct|off)?$/.test(proxies))
    throw new Error(`GOPROXY=${stdout.trim()}: the tests need a module proxy`);
  return proxies;
}
