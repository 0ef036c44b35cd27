import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { codeOf } from "./file-error.ts";

/** A temporary folder that is removed with this process, also when a signal ends it (not by SIGKILL). */
export class ScratchFolder {
  readonly path = mkdtempSync(join(tmpdir(), "modferry-"));
  readonly #onExit = (): void => removeTree(this.path);

  constructor() {
    process.once("exit", this.#onExit);
  }

  /** A new empty folder in it. */
  folder(name: string): string {
    const path = join(this.path, name);
    mkdirSync(path);
    return path;
  }

  remove(): void {
    process.off("exit", this.#onExit);
    removeTree(this.path);
  }
}

/** Removes a folder whose own folders may be read-only, as the go command leaves a module cache without -modcacherw. */
function removeTree(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (thrown) {
    const code = codeOf(thrown);
    if (code !== "EACCES" && code !== "EPERM" && code !== "ENOTEMPTY") throw thrown;
    makeWritable(path);
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  }
}

function makeWritable(path: string): void {
  if (!lstatSync(path).isDirectory()) return;
  chmodSync(path, 0o700);
  for (const name of readdirSync(path)) makeWritable(join(path, name));
}
