import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect } from "vitest";
import { type GitModuleWish, readGitModule } from "../../../adapters/local/git-module.ts";
import { h1OfGoMod } from "../../../gomod/dirhash.ts";
import { printInfo } from "../../../gomod/info.ts";
import { modulePath } from "../../../gomod/module-path.ts";
import { isValidSemver } from "../../../gomod/semver.ts";
import {
  type Downloaded,
  goDownload,
  type MadeCommit,
  makeRepository,
  originOf,
} from "../../gomod/git-world.ts";
import { zipInMemory } from "../../gomod/module-files.ts";

export const scratch = mkdtempSync(join(tmpdir(), "modferry-git-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let folders = 0;
export const newFolder = () => join(scratch, String(folders++));

/** A path whose root go knows without asking the network: it ends in .git. */
export const ADDRESS = "example.com/r.git";

export interface Query {
  readonly path: string;
  readonly directory: string;
  readonly revision: string;
}

/** go keeps one .info of a version, by whatever it was first asked for: versions get a cache of their own. */
const isVersion = (query: Query) => isValidSemver(query.revision);

/** What we make of a query, in the terms of `go mod download -json`; `error` where we refuse. */
export async function ours(repository: string, { path, directory, revision }: Query) {
  const wish = { repository, revision, directory, path: modulePath(path), version: undefined };
  return publish(wish).catch((error: Error) => ({ error: error.message }));
}

export async function publish(wish: GitModuleWish) {
  const read = await readGitModule(wish, process.env);
  try {
    const zip = await zipInMemory(read.module, read.files);
    const info = JSON.parse(printInfo(read.info)) as {
      Version: string;
      Time: string;
      Origin: Record<string, string>;
    };
    return {
      version: read.module.version,
      h1: zip.h1,
      goModH1: h1OfGoMod(read.goMod),
      info,
      bytes: zip.bytes,
    };
  } finally {
    await read.close();
  }
}

/** Compares one answer with go's: both refuse, or version, hashes and .info are the same but for the address. */
export function compare(
  made: Awaited<ReturnType<typeof ours>>,
  go: Downloaded | undefined,
  query: Query,
): "made" | "refused" {
  const what = `${query.path}@${query.revision}`;
  if ("error" in made) {
    expect(go?.Error, `${what}: ${made.error}`).toBeDefined();
    return "refused";
  }
  expect(go?.Error, what).toBeUndefined();
  expect([made.version, made.h1, made.goModH1], what).toEqual([go?.Version, go?.Sum, go?.GoModSum]);
  const { Origin, ...rest } = JSON.parse(readFileSync(go?.Info ?? "", "utf8")) as typeof made.info;
  const { URL, ...origin } = Origin;
  expect(URL).toBe(originOf(ADDRESS));
  // By a branch or hash that is tagged, go's clone names the branch; the version's own tag is what others get.
  const { Ref: _, ...ownOrigin } = made.info.Origin;
  const { Ref: __, ...goOrigin } = origin;
  if (isVersion(query)) expect(made.info.Origin, what).toEqual(origin);
  else expect(ownOrigin, what).toEqual(goOrigin);
  expect([made.info.Version, made.info.Time]).toEqual([rest.Version, rest.Time]);
  return "made";
}

export async function compareAll(
  commits: readonly MadeCommit[],
  queries: (hashes: readonly string[]) => readonly Query[],
) {
  const repository = newFolder();
  const asked = queries(makeRepository(repository, commits));
  const answers = new Map<Query, Downloaded>();
  for (const queries of [asked.filter(isVersion), asked.filter((query) => !isVersion(query))]) {
    if (queries.length === 0) continue;
    const go = goDownload(
      repository,
      ADDRESS,
      newFolder(),
      queries.map(({ path, revision }) => `${path}@${revision}`),
    );
    for (const [at, answer] of go.entries()) answers.set(queries[at] as Query, answer);
  }
  const outcomes: ("made" | "refused")[] = [];
  for (const query of asked) outcomes.push(compare(await ours(repository, query), answers.get(query), query));
  return outcomes;
}

export const goMod = (path: string, more = "") => `module ${path}\n\ngo 1.24\n${more}`;
export const at = (directory: string, revision: string, major = ""): Query => ({
  path: [ADDRESS, directory, major].filter(Boolean).join("/"),
  directory,
  revision,
});
