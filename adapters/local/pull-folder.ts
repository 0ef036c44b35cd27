import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, realpath, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { misuse } from "../../mirror/errors.ts";
import { codeOf, fileError } from "./file-error.ts";
import { hasEnded, thisProcess } from "./writer-lock.ts";

/** Temporary folders of pulls in their target: no module path begins with a dot, so that no client asks for one. */
const PREFIX = ".modferry-";
/** `.modferry-<machine>-<pid>-<start>-<random>`. */
const OWN = /^\.modferry-([0-9a-f]{16})-(\d{1,10})-(\d{0,20})-[0-9a-f-]{36}$/;
/** What nobody has touched for so long, in ms, and cannot be told to be dead, is: a pull writes into its own all the time. */
const FORGOTTEN_AFTER = 86_400_000;

/**
 * Makes the folder in which a pull into `root` keeps files on their way, on their file system. Those of dead pulls go; of
 * pulls on other machines or in other containers, when nothing was written there for a day.
 * @returns its path; the caller removes it.
 */
export async function makePullFolder(root: string): Promise<string> {
  const { boot, namespace, pid, started } = thisProcess(Date.now());
  const machine = createHash("sha256").update(`${boot}/${namespace}`).digest("hex").slice(0, 16);
  for (const name of await readdir(root)) {
    if (!name.startsWith(PREFIX)) continue;
    const [, on, otherPid = "", otherStart = ""] = OWN.exec(name) ?? [];
    const isDead =
      on === machine && boot !== ""
        ? hasEnded({ pid: Number(otherPid), started: otherStart })
        : await isForgotten(join(root, name));
    if (isDead) await rm(join(root, name), { recursive: true, force: true });
  }
  const path = join(
    root,
    `${PREFIX}${machine}-${pid}-${/^\d+$/.test(started) ? started : ""}-${randomUUID()}`,
  );
  await mkdir(path);
  return path;
}

async function isForgotten(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > FORGOTTEN_AFTER;
}

/**
 * Makes a pull's target, with the folders above it. Step by step: a recursive mkdir never ends where the file system
 * makes no folders and calls their parents missing (/proc; Node 24).
 * @returns its real path. @throws MirrorError misuse where it is a file, or none can be made there.
 */
export async function makeTarget(to: string): Promise<string> {
  await makeFolder(resolve(to), to);
  return await realpath(to);
}

async function makeFolder(path: string, to: string): Promise<void> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) return;
    throw misuse("--to", `--to ${to}: ${path === resolve(to) ? "" : `${path} is `}a file; name a folder`);
  } catch (thrown) {
    if (codeOf(thrown) !== "ENOENT") throw fileError(thrown, to);
  }
  if (dirname(path) !== path) await makeFolder(dirname(path), to);
  try {
    await mkdir(path);
  } catch (thrown) {
    if (codeOf(thrown) === "EEXIST") return;
    if (codeOf(thrown) === "ENOENT")
      throw misuse("--to", `--to ${to}: no folder can be made there; name another`, thrown);
    throw fileError(thrown, to);
  }
}
