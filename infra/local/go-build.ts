import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { SumdbOption } from "../../adapters/upstream/sumdb-option.ts";
import { PUBLIC_DATABASE_KEY } from "../../sumdb/known-databases.ts";
import type { GoCommand } from "./preflight.ts";
import { runCommand } from "./run-command.ts";
import type { Workplace } from "./workplace.ts";

const DOWNLOAD_TIMEOUT = 1_200_000;
const BUILD_TIMEOUT = 1_200_000;

export interface GoBuild {
  readonly goMod: string;
  /** The mirror: the only place that modules may come from. */
  readonly goproxy: string;
  readonly go: GoCommand;
  /** The mirror's checksum databases. */
  readonly sumdbs: readonly Pick<SumdbOption, "key" | "modules">[];
}

/**
 * Downloads and builds a project with the go command against the mirror alone: empty module cache, no state of the
 * checksum database, GOSUMDB on. Nothing is written beside the project: go works on a copy of its go.mod and go.sum.
 * @throws MirrorError transient with go's last lines.
 */
export async function buildAgainstMirror(
  { goMod, goproxy, go, sumdbs }: GoBuild,
  place: Workplace,
  signal: AbortSignal,
): Promise<void> {
  await rm(place.go, { recursive: true, force: true });
  await mkdir(place.go, { recursive: true });
  const folder = dirname(goMod);
  const copy = join(place.go, "go.mod");
  await copyFile(goMod, copy);
  const goSum = join(folder, "go.sum");
  if (existsSync(goSum)) await copyFile(goSum, join(place.go, "go.sum"));
  const env = goEnvironment(goproxy, go, sumdbs, place);
  const run = (name: string, args: readonly string[], timeout: number) =>
    runCommand(name, "go", args, { cwd: folder, env, log: place.log, timeout, signal });
  await run("go mod download all", ["mod", "download", `-modfile=${copy}`, "all"], DOWNLOAD_TIMEOUT);
  // -mod: a vendor folder would leave the mirror out.
  const build = ["build", `-modfile=${copy}`, "-mod=readonly", "-o", "/dev/null", "./..."];
  await run("go build ./...", build, BUILD_TIMEOUT);
}

/** Names a build: the same one need not be shown again at each start. */
export async function buildName(
  { goMod, go }: Pick<GoBuild, "goMod" | "go">,
  identity: string,
): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([resolve(goMod), go.version, identity]));
  for (const file of [goMod, join(dirname(goMod), "go.sum")]) {
    hash.update(`\0${file}\0`).update(await readFile(file).catch(() => ""));
  }
  return hash.digest("hex");
}

/** None of the user's own settings of go, by whatever name; only where it lies and the build cache are theirs. */
function goEnvironment(
  goproxy: string,
  go: GoCommand,
  sumdbs: GoBuild["sumdbs"],
  place: Workplace,
): NodeJS.ProcessEnv {
  // go asks one: that of all modules which no other one names.
  const asked = sumdbs.find(({ modules }) => modules === undefined) ?? sumdbs[0];
  const named = sumdbs.flatMap((other) =>
    other === asked || other.modules === undefined ? [] : [other.modules],
  );
  const foreign = /^GO(?!(ROOT|TMPDIR)$)[A-Z0-9]*$/;
  const own = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return {
    ...Object.fromEntries(own),
    GOENV: "off",
    GOPROXY: goproxy,
    // As a user has it: the public one by its name, which go knows the key of.
    GOSUMDB: asked?.key === PUBLIC_DATABASE_KEY ? PUBLIC_DATABASE_KEY.split("+", 1)[0] : asked?.key,
    GONOSUMDB: named.filter((modules) => modules !== "*").join(","),
    GOTOOLCHAIN: "local",
    GOVCS: "*:off",
    GOWORK: "off",
    GOFLAGS: "-modcacherw",
    GOPATH: join(place.go, "path"),
    GOMODCACHE: join(place.go, "modcache"),
    GOCACHE: go.buildCache,
  };
}
