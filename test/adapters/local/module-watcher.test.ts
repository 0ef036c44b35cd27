import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FSWatcher } from "chokidar";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { watchModules } from "../../../adapters/local/module-watcher.ts";
import type { MirrorError } from "../../../mirror/errors.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-watcher-"));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

/** chokidar tells of it whenever fs.watch fails; what fails is the system's limit, which a test cannot reach. */
const full = Object.assign(new Error("ENOSPC: System limit for number of file watchers reached"), {
  code: "ENOSPC",
});

test("what cannot be watched once all is watched is said, each time, and ends nothing", async () => {
  const watchers: FSWatcher[] = [];
  const emit = FSWatcher.prototype.emit;
  vi.spyOn(FSWatcher.prototype, "emit").mockImplementation(function (this: FSWatcher, ...values: never[]) {
    watchers.push(this);
    return (emit as (...all: never[]) => boolean).apply(this, values);
  });
  const told: MirrorError[] = [];
  const watcher = await watchModules(
    [folder],
    async () => undefined,
    (error) => told.push(error),
  );
  for (let time = 0; time < 2; time++) watchers[0]?.emit("error", full);
  expect(told.map(({ class: type, message }) => [type, message])).toEqual(
    Array(2).fill([
      "misuse",
      `${folder}: cannot be watched: ${full.message}; raise fs.inotify.max_user_watches, or name fewer folders`,
    ]),
  );
  await watcher.close();
});

test("what cannot be watched from the beginning ends it", async () => {
  const emit = FSWatcher.prototype.emit;
  vi.spyOn(FSWatcher.prototype, "emit").mockImplementation(function (this: FSWatcher, ...values: never[]) {
    const failing = (values as unknown[])[0] === "ready" ? ["error", full] : values;
    return (emit as (...all: unknown[]) => boolean).apply(this, failing);
  });
  const watching = watchModules(
    [folder],
    async () => undefined,
    () => undefined,
  );
  await expect(watching).rejects.toThrow(/cannot be watched: ENOSPC/);
});
