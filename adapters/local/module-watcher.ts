import { basename, dirname } from "node:path";
import { watch } from "chokidar";
import { type MirrorError, misuse } from "../../mirror/errors.ts";

/** What tells which modules a project needs. */
const NAMES = new Set(["go.mod", "go.sum", "go.work", "go.work.sum"]);
/** Folders in which no module of the project lies: a vendor folder has go.mods of others, a repository's own none. */
const PASSED_OVER = new Set([".git", ".hg", ".svn", "node_modules", "vendor", "testdata", ".terraform"]);
/** An editor writes a file in steps, and `go mod tidy` go.mod and go.sum one after the other: wait for quiet, in ms. */
const QUIET = 300;
/** Folders below a watched one, so that a home folder given by mistake does not hold every inode of it. */
const DEPTH = 12;

/** Ends the watching. */
export interface ModuleWatcher {
  close(): Promise<void>;
}

/**
 * Watches go.mod, go.sum and go.work files below some folders: those that are there, and those that come.
 * @param changed is told of the folders of what has changed since it was last told, those found first among them; never
 * before it has ended with the last ones.
 * @param failed is told of what cannot be watched any more, or not yet, once all that was there is: a folder that came
 * since, when the system watches no more files. The rest is watched on.
 * @throws MirrorError misuse where the system watches no more files.
 */
export async function watchModules(
  folders: readonly string[],
  changed: (folders: readonly string[]) => Promise<void>,
  failed: (error: MirrorError) => void,
): Promise<ModuleWatcher> {
  const waiting = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let telling = Promise.resolve();
  const tell = () => {
    telling = telling.then(async () => {
      const some = [...waiting].sort();
      waiting.clear();
      if (some.length > 0) await changed(some);
    });
  };
  const watcher = watch([...folders], {
    depth: DEPTH,
    followSymlinks: false,
    atomic: true,
    ignored: (path, stats) =>
      stats?.isDirectory() === true
        ? PASSED_OVER.has(basename(path))
        : stats !== undefined && !NAMES.has(basename(path)),
  });
  const note = (path: string) => {
    waiting.add(dirname(path));
    clearTimeout(timer);
    timer = setTimeout(tell, QUIET);
  };
  for (const event of ["add", "change", "unlink"] as const) watcher.on(event, note);
  let isReady = false;
  try {
    await new Promise<void>((ready, fail) => {
      watcher.once("ready", () => {
        isReady = true;
        ready();
      });
      watcher.on("error", (cause) => (isReady ? failed : fail)(unwatchable(folders, cause)));
    });
  } catch (error) {
    clearTimeout(timer);
    await watcher.close();
    throw error;
  }
  return {
    close: async () => {
      clearTimeout(timer);
      await watcher.close();
      await telling;
    },
  };
}

function unwatchable(folders: readonly string[], cause: unknown): MirrorError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const remedy = /ENOSPC|EMFILE/.test(reason)
    ? "raise fs.inotify.max_user_watches, or name fewer folders"
    : "";
  return misuse(
    folders.join(" "),
    `${folders.join(" ")}: cannot be watched: ${reason}${remedy && `; ${remedy}`}`,
    cause,
  );
}
