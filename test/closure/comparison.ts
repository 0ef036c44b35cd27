import { cp, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { Tier } from "../../gomod/closure.ts";
import { isPseudoVersion } from "../../gomod/pseudo-version.ts";
import { type GoClient, goClient } from "../go-client.ts";
import type { ProxySource } from "./cached-upstream.ts";
import type { Command } from "./commands.ts";
import { listedBy, mirrorOf, type Prediction } from "./prediction.ts";
import type { PreparedProject } from "./prepared-project.ts";
import { type Asked, type Recorder, versionFiles } from "./recorder.ts";
import type { Toolchain } from "./toolchains.ts";

/** Where and with what commands run. */
export interface Bench {
  readonly toolchain: Toolchain;
  readonly upstream: ProxySource;
  readonly recorder: Recorder;
  /**
   * Leaves out the run offline where it would get the same answers to all that it asks: what was found online is
   * predicted, and no list was asked. Half the time.
   */
  readonly quick?: boolean;
}

/** One command of one subject with one toolchain, online and then against the predicted files alone. */
export interface CommandRow {
  readonly command: string;
  /** Module files that it asked upstream and got, without those of `byList`. */
  readonly asked: readonly string[];
  /** Asked and got, and not predicted; also what the command asked in vain of the mirror though upstream has it. */
  readonly missing: readonly string[];
  /** Asked only since upstream's lists name newer versions (retractions, deprecations): no mirror lists these. */
  readonly byList: readonly string[];
  /** go's message where it failed against the predicted files alone, or gave another result than online. */
  readonly failed?: string;
  /** Where it fails online, too, for want of a newer go: then what it asked counts all the same. */
  readonly tooOld?: string;
}

/** All commands of one tier. */
export interface TierRows {
  readonly tier: Tier;
  readonly predicted: ReadonlySet<string>;
  readonly commands: readonly CommandRow[];
  /** Predicted, and asked by none of these commands. */
  readonly excess: readonly string[];
  /** As in `Prediction`. */
  readonly unusable: readonly string[];
}

interface Run {
  /** go's message where it fails. */
  readonly failed: string | undefined;
  /** What it printed and left in the go.mod. */
  readonly result: string;
}

const COMMAND_TIMEOUT_MS = 900_000;
const MESSAGE_LENGTH = 600;

/** Runs the commands of a tier. `askedBefore` counts for the excess: a tier holds what those below it hold. */
export async function compareTier(
  project: PreparedProject,
  tier: Tier,
  commands: readonly Command[],
  prediction: Prediction,
  bench: Bench,
  askedBefore: Iterable<string> = [],
): Promise<TierRows> {
  const rows: CommandRow[] = [];
  const askedByAny = new Set(askedBefore);
  for (const command of commands) {
    const row = await compareCommand(project, command, prediction, bench);
    for (const path of row.asked) askedByAny.add(path);
    rows.push(row);
  }
  const excess = [...prediction.files].filter((path) => !askedByAny.has(path)).sort();
  return { tier, predicted: prediction.files, commands: rows, excess, unusable: prediction.unusable };
}

async function compareCommand(
  project: PreparedProject,
  command: Command,
  prediction: Prediction,
  { toolchain, upstream, recorder, quick }: Bench,
): Promise<CommandRow> {
  const run = async (source: ProxySource) => {
    recorder.serve(source);
    recorder.take();
    const { failed, result } = await runAlone(project, command, toolchain, recorder.url);
    return { asked: recorder.take(), failed, result };
  };
  const online = await run(command.mirrorLists ? listedBy(prediction, upstream) : upstream);
  const isSame = [...online.asked.found].every((path) => prediction.files.has(path));
  const offline = quick && isSame ? online : await run(mirrorOf(prediction, upstream));
  const asked = versionFiles(online.asked.found);
  const unpredicted = asked.filter((path) => !prediction.files.has(path));
  const byList = unpredicted.filter((path) =>
    isNamedByList(path, online.asked, command.ownLists ? prediction : undefined),
  );
  const missing = new Set(unpredicted.filter((path) => !byList.includes(path)));
  for (const path of offline === online ? [] : versionFiles(offline.asked.absent))
    if (!byList.includes(path) && (await upstream.get(path)) !== undefined) missing.add(path);
  return {
    command: command.name ?? command.args.join(" "),
    asked: asked.filter((path) => !byList.includes(path)),
    missing: [...missing].sort(),
    byList,
    ...verdict(online, offline, prediction),
  };
}

function verdict(online: Run, offline: Run, { unusable }: Prediction): Pick<CommandRow, "failed" | "tooOld"> {
  if (online.failed !== undefined)
    return / requires go >= /.test(online.failed)
      ? { tooOld: online.failed }
      : { failed: `online: ${online.failed}` };
  if (offline.failed !== undefined) return { failed: offline.failed };
  const [wanted, got] = [online, offline].map(({ result }) => withoutUpdates(result, unusable));
  if (wanted === got) return {};
  return { failed: `gave another result than online:\n${firstDifference(wanted ?? "", got ?? "")}` };
}

/** What `list -m -u` prints, without the updates of modules whose newest version is offered and of no use. */
function withoutUpdates(result: string, unusable: readonly string[]): string {
  const paths = new Set(unusable.map((module) => module.slice(0, module.indexOf("@"))));
  const lines = result.split("\n");
  return lines
    .map((line) => (paths.has(line.slice(0, line.indexOf(" "))) ? line.replace(/ \[[^\]]*\]/, "") : line))
    .join("\n");
}

function firstDifference(online: string, offline: string): string {
  const lines = offline.split("\n");
  const at = online.split("\n").findIndex((line, index) => line !== lines[index]);
  return `  online:  ${online.split("\n")[at]}\n  offline: ${lines[at]}`;
}

/**
 * Whether the command had the module's list or newest version before its eyes when it asked for this file. Where lists
 * are predicted, too, less is let off: the `.info` of a pseudo-version, which some upstreams list, and no mirror (and
 * which go asks of a replaced one, but can do without: modload.replacementRepo); and a path that the mirror does not
 * know, whose list is 404 there (`get -u` looks for it as it begins a package's path).
 */
function isNamedByList(path: string, { found }: Asked, predicted: Prediction | undefined): boolean {
  const [base = "", file = ""] = path.split("/@v/");
  if (!found.has(`${base}/@v/list`) && !found.has(`${base}/@latest`)) return false;
  if (predicted === undefined) return !file.endsWith(".zip");
  return !predicted.lists.has(`${base}/@v/list`) || isPseudoVersion(file.replace(/\.info$/, ""));
}

/** Runs the command in a copy of the project, from an empty module cache. */
async function runAlone(
  project: PreparedProject,
  command: Command,
  toolchain: Toolchain,
  goproxy: string,
): Promise<Run> {
  const client = await isolatedClient(toolchain, goproxy);
  try {
    const dir = join(client.home, "project");
    await cp(project.dir, dir, { recursive: true });
    const cwd = join(dir, command.folder ?? "");
    await command.before?.(cwd);
    const { code, stdout, stderr } = await client.run(command.args, { cwd, timeoutMs: COMMAND_TIMEOUT_MS });
    const goMod = await readFile(join(cwd, "go.mod"), "utf8").catch(() => "");
    const printed = command.args[0] === "test" ? "" : stdout.replaceAll(client.home, "");
    return {
      failed: code === 0 ? undefined : stderr.trim().slice(-MESSAGE_LENGTH),
      result: `${printed}\n${goMod}`,
    };
  } finally {
    await client.dispose();
  }
}

/** A go of this toolchain with nothing but this proxy. Checksums come from go.sum: a closure is about files. */
export async function isolatedClient(toolchain: Toolchain, goproxy: string): Promise<GoClient> {
  const path = [toolchain.bin, process.env.PATH ?? ""].join(delimiter);
  const env = { PATH: path, GOFLAGS: "-modcacherw -trimpath" };
  return goClient({ goproxy, gosumdb: "off", env });
}
