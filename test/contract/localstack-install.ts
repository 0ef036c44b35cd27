import { execFile } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { exclusively, testCache } from "../upstream/exclusive.ts";

/** The last open release; what it does and does not in host mode is in the facts page of emulators. */
const PACKAGES = ["localstack-core[base-runtime,runtime]==2026.3.0", "service-identity"];
/** Newer releases of what it depends on do not start with it; PyPI's files never change, so this date pins them all. */
const RESOLVED_BEFORE = "2026-03-27";
/** It honours the date, which pip does not. */
const INSTALLER = "uv==0.13.9";
const PYTHONS = ["python3.13", "python3.12", "python3"];
/** It needs 3.12; of 3.14 its dependencies have no common version. */
const FITS = "import sys; print(sys.executable if (3, 12) <= sys.version_info[:2] < (3, 14) else '')";
const INSTALL_TIMEOUT = 600_000;
const PROBE_TIMEOUT = 10_000;

const run = promisify(execFile);
const folder = join(testCache, "localstack");

/**
 * Installs LocalStack into the checkout's cache, once.
 * @returns its Python.
 * @throws Error, one line, when there is no fitting Python or no network.
 */
export async function ensureLocalStack(): Promise<string> {
  const python = join(folder, "venv", "bin", "python");
  const mark = join(folder, "installed");
  const wanted = [INSTALLER, RESOLVED_BEFORE, ...PACKAGES].join("\n");
  const isInstalled = async () =>
    existsSync(python) && (await readFile(mark, "utf8").catch(() => "")) === wanted;
  if (await isInstalled()) return python;
  await exclusively(join(testCache, "localstack.lock"), async () => {
    if (await isInstalled()) return;
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const base = await fittingPython();
    const tool = join(folder, "installer", "bin");
    await step("python -m venv", base, ["-m", "venv", join(folder, "installer")]);
    await step("pip install uv", join(tool, "python"), ["-m", "pip", "install", "--quiet", INSTALLER]);
    await step("uv venv", join(tool, "uv"), ["venv", "--quiet", "--python", base, join(folder, "venv")]);
    const options = ["--quiet", "--python", python, "--exclude-newer", RESOLVED_BEFORE];
    await step("uv pip install", join(tool, "uv"), ["pip", "install", ...options, ...PACKAGES]);
    await writeFile(`${mark}.new`, wanted);
    await rename(`${mark}.new`, mark);
  });
  return python;
}

/** On PATH, or where pyenv keeps those that are not switched on. */
async function fittingPython(): Promise<string> {
  const pyenv = join(process.env.PYENV_ROOT ?? join(homedir(), ".pyenv"), "versions/3.1[23].*/bin/python3");
  const candidates = [...PYTHONS, ...globSync(pyenv)];
  for (const candidate of candidates) {
    const { stdout } = await run(candidate, ["-c", FITS], { timeout: PROBE_TIMEOUT }).catch(() => ({
      stdout: "",
    }));
    if (stdout.trim() !== "") return stdout.trim();
  }
  throw new Error("LocalStack needs Python 3.12 or 3.13 with venv, and none is on PATH");
}

async function step(name: string, command: string, args: readonly string[]): Promise<void> {
  try {
    await run(command, [...args], { timeout: INSTALL_TIMEOUT, killSignal: "SIGKILL", maxBuffer: 1 << 24 });
  } catch (cause) {
    const { stderr } = cause as { stderr?: string };
    const lines = (stderr ?? "").trim().split("\n");
    const told = lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? String(cause);
    throw new Error(`LocalStack cannot be installed: ${name}: ${told.slice(0, 200)}`, { cause });
  }
}
