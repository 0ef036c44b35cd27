import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type MirrorWorld, mirrorWorld } from "../e2e/mirror-world.ts";
import { type CommandRun, modferry } from "../e2e/modferry-command.ts";
import type { GoClient } from "../go-client.ts";

/** A world in which commands are recorded and rehearsed, as a user with GOSUMDB on would. */
export interface RecordedWorld extends MirrorWorld {
  readonly user: GoClient;
  /** A new folder with these files. */
  project(files: Readonly<Record<string, string>>): Promise<string>;
  record(cwd: string, flags: readonly string[], command: readonly string[], env?: Env): Promise<CommandRun>;
  rehearse(cwd: string, flags: readonly string[], command: readonly string[], env?: Env): Promise<CommandRun>;
}

type Env = Readonly<Record<string, string>>;

/** @param tree a GOPROXY tree instead of that of the projects. */
export async function recordedWorld(projects: readonly string[], tree?: string): Promise<RecordedWorld> {
  const world = await mirrorWorld(projects, tree === undefined ? {} : { trees: [tree] });
  // GOPROXY=off: whatever is fetched is fetched through the proxies of record and rehearse.
  const user = await world.client("off");
  const run = (args: readonly string[], cwd: string, env: Env = {}) =>
    modferry(args, { cwd, env: { ...user.env, ...env } });
  return {
    ...world,
    user,
    project: async (files) => {
      const dir = await world.folder();
      for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
      return dir;
    },
    record: (cwd, flags, command, env) =>
      run(["record", "--upstream", world.upstream.url, ...flags, "--", ...command], cwd, env),
    rehearse: (cwd, flags, command, env) => run(["rehearse", ...flags, "--", ...command], cwd, env),
  };
}

export async function recordedKeys(file: string): Promise<string[]> {
  return (JSON.parse(await readFile(file, "utf8")) as { recorded: string[] }).recorded;
}
