import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parseTreeKey } from "../../mirror/tree-keys.ts";
import { testCache } from "../upstream/exclusive.ts";
import { type LoopbackUpstream, startUpstream } from "../upstream/loopback-upstream.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import type { ZipFile } from "./hash-threads.ts";

const PROJECTS = ["small", "medium", "legacy", "modern"];
/** What comes with the increment. */
const LATER = "shouting";
const SYNTHETIC_RECORDS = 100_000;
/** Filled by `npm run test:closure`: what the go command asks for with real roots, each module as it was published. */
const CLOSURE_CACHE = join(testCache, "closure/upstream");
/** Of some of those versions the cache has no `.mod` of what they require: they stay undone, and sync says so. */
const UNDONE = 1;

/** What the bench's mirror is filled with. */
export interface BundleCorpus {
  readonly name: string;
  readonly upstream: LoopbackUpstream;
  fill(sync: SyncCommand): Promise<void>;
  /** What comes later; undefined where nothing does. */
  readonly grow?: (sync: SyncCommand) => Promise<void>;
}

/** `modferry sync` into the mirror. @param wishes arguments. @param stdin what it reads there. */
export type SyncCommand = (wishes: readonly string[], stdin?: string) => Promise<void>;

/** The corpora that are at hand, each started when it is asked for. */
export async function* bundleCorpora(): AsyncGenerator<BundleCorpus> {
  const goMod = (project: string) => [join(projectDir(project), "go.mod")];
  yield {
    name: "the sample projects and corpora",
    upstream: await upstreamOf(await fillModuleCache(...PROJECTS, LATER)),
    fill: async (sync) => {
      for (const project of PROJECTS) await sync(goMod(project));
    },
    grow: (sync) => sync(goMod(LATER)),
  };
  if (!existsSync(CLOSURE_CACHE)) {
    console.log("skipped: the larger corpus: run npm run test:closure first");
    return;
  }
  const wishes = zipsOf(CLOSURE_CACHE).map(({ path, version }) => ({ Path: path, Version: version }));
  yield {
    name: "all zips that npm run test:closure has asked for",
    upstream: await upstreamOf(CLOSURE_CACHE),
    fill: (sync) => sync(["-"], wishes.map((wish) => `${JSON.stringify(wish, undefined, "\t")}\n`).join("")),
  };
}

const upstreamOf = (tree: string): Promise<LoopbackUpstream> =>
  startUpstream({ trees: [tree], preset: true, synthetic: SYNTHETIC_RECORDS });

/** @throws Error where it ends otherwise than done, or with some versions undone. */
export async function runSync(command: readonly string[], stdin: string | undefined): Promise<void> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { stdio: ["pipe", "ignore", "ignore"] });
  child.stdin.end(stdin ?? "");
  const code = await new Promise<number | null>((done) => child.once("exit", done));
  if (code !== 0 && code !== UNDONE) throw new Error(`${command.join(" ")}: exit ${code}`);
}

/** Every zip of a tree. */
export function zipsOf(tree: string): ZipFile[] {
  return readdirSync(tree, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    if (!entry.isFile()) return [];
    const file = join(entry.parentPath, entry.name);
    const found = parseTreeKey(file.slice(tree.length + 1));
    return found?.kind === "zip" ? [{ file, path: found.version.path, version: found.version.version }] : [];
  });
}
