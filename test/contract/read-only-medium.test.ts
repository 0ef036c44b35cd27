import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { modulePath } from "../../gomod/module-path.ts";
import { parseModuleVersion } from "../../gomod/version.ts";
import { want } from "../../mirror/records.ts";

const VERSION = parseModuleVersion("example.com/a@v1.0.0");

/** Whether this process may mount. */
const mayMount = (() => {
  try {
    execFileSync("unshare", ["--mount", "true"], { stdio: "ignore" });
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
})();

describe.skipIf(!mayMount)("a mirror on a read-only medium", () => {
  let root: string;
  let mirror: string;
  let medium: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "modferry-medium-"));
    [mirror, medium] = [join(root, "mirror"), join(root, "medium")];
    execFileSync("mkdir", [mirror, medium]);
  });
  afterEach(async () => {
    execFileSync("umount", [medium]);
    await rm(root, { recursive: true, force: true });
  });
  const mount = () => {
    execFileSync("mount", ["--bind", mirror, medium]);
    execFileSync("mount", ["-o", "remount,ro,bind", medium]);
  };
  const states = async () => {
    const opened = await openFolderMirror(medium, { mode: "read" });
    try {
      let count = 0;
      for await (const _ of opened.ledger.records()) count++;
      const module = await opened.ledger.readModule(modulePath("example.com/a"));
      return [count, module.map(({ state }) => state)];
    } finally {
      await opened.close();
    }
  };

  test("is read as it is", async () => {
    const writer = await openFolderMirror(mirror, { mode: "write" });
    await writer.ledger.write([{ record: want(undefined, VERSION, "whole", "sync", 1, true) }]);
    await writer.close();
    mount();
    expect(await states()).toEqual([1, ["PENDING"]]);
  });

  test("is read with what a writer that was killed has left in its log", async () => {
    const program = `
      import { openFolderMirror } from ${JSON.stringify(join(import.meta.dirname, "../../adapters/local/folder-mirror.ts"))};
      import { want } from ${JSON.stringify(join(import.meta.dirname, "../../mirror/records.ts"))};
      const { ledger } = await openFolderMirror(${JSON.stringify(mirror)}, { mode: "write" });
      await ledger.write([{ record: want(undefined, ${JSON.stringify(VERSION)}, "whole", "sync", 1, true) }]);
      process.kill(process.pid, "SIGKILL");`;
    const writer = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "inherit" });
    expect((await once(writer, "exit"))[1]).toBe("SIGKILL");
    // Who copies a folder to a disc may leave out what SQLite makes anew.
    await rm(join(mirror, "ledger.sqlite-shm"));
    mount();
    expect(await states()).toEqual([1, ["PENDING"]]);
  });
});
