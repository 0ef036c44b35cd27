import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { type GoClient, goClient } from "../go-client.ts";
import { type LoopbackUpstream, startUpstream, type UpstreamOptions } from "../upstream/loopback-upstream.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { removeReadOnlyTree } from "../upstream/read-only-tree.ts";
import { type CommandOptions, type CommandRun, modferry } from "./modferry-command.ts";

/** Synthetic records in the upstream's database: three levels of tiles, the top one partial. */
const RECORDS = 20_000;

/** An upstream, and folders and clients that are removed with it. */
export interface MirrorWorld {
  readonly upstream: LoopbackUpstream;
  /** A new empty folder. */
  folder(): Promise<string>;
  /** `modferry sync WISHES` into a mirror, from the upstream with its private checksum database. */
  sync(
    mirror: string,
    wishes: readonly string[],
    options?: CommandOptions & { more?: string[] },
  ): Promise<CommandRun>;
  /** As `sync`, into a new mirror; it must succeed. @returns the mirror. */
  synced(wishes: readonly string[], options?: CommandOptions & { more?: string[] }): Promise<string>;
  /** A go command with empty caches and GOSUMDB on, that knows nothing but `goproxy`. */
  client(goproxy: string, options?: { home?: string; env?: Record<string, string> }): Promise<GoClient>;
  close(): Promise<void>;
}

export async function mirrorWorld(
  projects: readonly string[],
  options: Partial<UpstreamOptions> = {},
): Promise<MirrorWorld> {
  const tree = await fillModuleCache(...projects);
  const upstream = await startUpstream({ trees: [tree], preset: true, synthetic: RECORDS, ...options });
  const clients: GoClient[] = [];
  const folders: string[] = [];
  const folder = async () => {
    const made = await mkdtemp(join(tmpdir(), "modferry-e2e-"));
    folders.push(made);
    return made;
  };
  const sync: MirrorWorld["sync"] = (mirror, wishes, { more = [], ...at } = {}) => {
    const named = more.includes("--upstream") ? [] : ["--upstream", upstream.url];
    const from = [...named, "--sumdb", upstream.vkey];
    return modferry(["sync", ...wishes, "--mirror", mirror, ...from, ...more], at);
  };
  return {
    upstream,
    folder,
    sync,
    synced: async (wishes, at) => {
      const mirror = await folder();
      expectSuccess(await sync(mirror, wishes, at), `sync ${wishes.join(" ")}`);
      return mirror;
    },
    client: async (goproxy, more = {}) => {
      const client = await goClient({ goproxy, gosumdb: upstream.vkey, ...more });
      clients.push(client);
      return client;
    },
    close: async () => {
      await upstream.close();
      for (const client of clients) await client.dispose();
      for (const made of folders) {
        await removeReadOnlyTree(made);
        await rm(made, { recursive: true, force: true });
      }
    },
  };
}

/** A run must have ended with 0; its words are in the failure. */
export function expectSuccess(run: CommandRun, what: string): void {
  expect(`${what}: exit ${run.code}${run.code === 0 ? "" : `\n${run.stdout}\n${run.stderr}`}`).toBe(
    `${what}: exit 0`,
  );
}

/** Runs go commands one after the other; each must succeed. */
export async function allSucceed(client: GoClient, cwd: string, commands: readonly string[]): Promise<void> {
  for (const command of commands)
    expectSuccess(await client.run(command.split(" "), { cwd }), `go ${command}`);
}

/** Writes files below a folder's root. */
export async function writeFiles(dir: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
}

/** What `go mod tidy` must leave as it is. */
export async function moduleFiles(dir: string): Promise<Record<string, string>> {
  const [goMod, goSum] = await Promise.all(
    ["go.mod", "go.sum"].map((name) => readFile(join(dir, name), "utf8")),
  );
  return { "go.mod": goMod ?? "", "go.sum": goSum ?? "" };
}
