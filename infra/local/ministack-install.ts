import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { findPython } from "./python.ts";

const requirementsFile = fileURLToPath(new URL("ministack-requirements.txt", import.meta.url));
/** Made last in a venv: the SHA-256 of the requirements that are installed in it. */
const MARK = "modferry-requirements.sha256";
const VENV_TIMEOUT = 120_000;
/** About 20 MB of wheels; 10 s where the network is good. */
const PIP_TIMEOUT = 300_000;
/** Leftovers of an installation that was killed; a living one is over long before. */
const STALE_AFTER = 3_600_000;

const run = promisify(execFile);

/** The folder of the emulator inside a checkout; ignored by git. */
export function emulatorFolder(checkout: string): string {
  return join(checkout, ".modferry", "emulator");
}

export function venvPython(folder: string): string {
  return join(folder, "venv", "bin", "python");
}

/**
 * Installs MiniStack into `folder`/venv, pinned by version and hash, unless that very set is there already.
 * Safe to call at the same time from several processes: each builds a venv of its own and renames it into place, so
 * that a half one is never seen; a crash leaves a folder beside it that a later call removes.
 * @throws MirrorError misuse when no Python fits; transient when pip fails or takes too long.
 */
export async function ensureMiniStack(folder: string): Promise<void> {
  const wanted = sha256Of(await readFile(requirementsFile));
  if (await isInstalled(folder, wanted)) return;
  const python = await findPython();
  await mkdir(folder, { recursive: true });
  await removeLeftovers(folder);
  const building = join(folder, `venv.${randomBytes(6).toString("hex")}`);
  try {
    await step("python -m venv", python, ["-m", "venv", "--clear", building], VENV_TIMEOUT);
    const pip = [
      "-m",
      "pip",
      "install",
      "--require-hashes",
      "--only-binary",
      ":all:",
      "--no-input",
      "--quiet",
    ];
    const options = ["--disable-pip-version-check", "-r", requirementsFile];
    await step("pip install", join(building, "bin", "python"), [...pip, ...options], PIP_TIMEOUT);
    await writeFile(join(building, MARK), wanted);
    await moveIntoPlace(folder, building, wanted);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

async function isInstalled(folder: string, wanted: string): Promise<boolean> {
  try {
    // The interpreter is a link to a Python that may since have been removed: stat follows it.
    await stat(venvPython(folder));
    return (await readFile(join(folder, "venv", MARK), "utf8")) === wanted;
  } catch {
    return false;
  }
}

/** A venv runs from where it was moved to as long as it is started as `bin/python -m …`, which is how we start it. */
async function moveIntoPlace(folder: string, building: string, wanted: string): Promise<void> {
  const venv = join(folder, "venv");
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      return await rename(building, venv);
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
    if (await isInstalled(folder, wanted)) return;
    const outdated = `${building}.outdated`;
    await rename(venv, outdated).catch(() => undefined);
    await rm(outdated, { recursive: true, force: true });
  }
  throw new MirrorError(
    "transient",
    "emulator",
    `emulator: ${venv} cannot be replaced: remove it and start again`,
  );
}

async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (name.startsWith("venv.") && Date.now() - mtimeMs > STALE_AFTER) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

async function step(name: string, command: string, args: readonly string[], timeout: number): Promise<void> {
  try {
    await run(command, [...args], { timeout, killSignal: "SIGKILL", maxBuffer: 1 << 24 });
  } catch (cause) {
    const { killed, stderr } = cause as { killed?: boolean; stderr?: string };
    const lines = (stderr ?? "").trim().split("\n");
    const told = (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? "").slice(0, 200);
    const reason = killed ? `not done after ${timeout / 1000} s` : told || String(cause);
    throw new MirrorError(
      "transient",
      "emulator",
      `emulator: ${name} of MiniStack failed: ${reason} (check pip's network access, or set AWS_ENDPOINT_URL to a container's)`,
      { cause },
    );
  }
}
