import { FormatError } from "../gomod/format-error.ts";
import { formatModuleVersion, type ModuleVersion, parseModuleVersion } from "../gomod/version.ts";
import { completeTiles } from "../mirror/complete-tiles.ts";
import { misuse } from "../mirror/errors.ts";
import { type Refreshed, refreshVersions } from "../mirror/refresh.ts";
import { openEmbedded } from "./embedded.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/**
 * `modferry sync --refresh`: asks upstream again for held versions, and brings back what the tree has lost of them.
 * @returns the exit status: 1 where one of them could not be had, is not what we hold, or was not asked for.
 */
export async function refresh(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const versions = parseVersions(options);
  const mirror = await openEmbedded(options, environment, () => {});
  try {
    // What waits for tiles would fail; what is wrong with them is told by what cannot be proven.
    await completeTiles(mirror.databases);
    const results = await refreshVersions(mirror.parts, versions);
    for (const result of results) print(result, options, output);
    return results.every(({ outcome }) => outcome === "unchanged" || outcome === "restored") ? 0 : 1;
  } finally {
    await mirror.close();
  }
}

/** @throws MirrorError misuse naming the argument, or the flag that does not go with it. */
function parseVersions({ arguments: texts, every, fromModcache, clearFork }: Options): ModuleVersion[] {
  if (texts.length === 0)
    throw misuse("--refresh", "--refresh: names no version; give held ones, such as example.com/a@v1.0.0");
  const other = Object.entries({ "--every": every, "--clear-fork": clearFork }).find(
    ([, value]) => value !== undefined,
  )?.[0];
  const surplus = fromModcache ? "--from-modcache" : other;
  if (surplus !== undefined)
    throw misuse(surplus, `${surplus}: given with --refresh, which asks for held versions alone`);
  const versions = texts.map((text) => {
    try {
      return parseModuleVersion(text);
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause;
      throw misuse(text, `--refresh: ${cause.message}; give held versions, such as example.com/a@v1.0.0`);
    }
  });
  return [...new Map(versions.map((version) => [formatModuleVersion(version), version])).values()];
}

function print(result: Refreshed, { json }: Options, output: Output): void {
  const name = formatModuleVersion(result.version);
  if (json) output.print(jsonLine({ event: "refreshed", ...result, version: name }));
  else output.error(oneLine(lineOf(name, result)));
}

function lineOf(name: string, result: Refreshed): string {
  switch (result.outcome) {
    case "unchanged":
      return `${name}: unchanged${otherTime(result)}`;
    case "restored":
      return `${name}: restored ${result.files.join(", ")}${otherTime(result)}`;
    case "differs":
      return `modferry: upstream has other bytes, ours stay: ${result.message}`;
    case "left":
      return `modferry: ${result.message}`;
    case "failed":
      return `modferry: not refreshed, ours stays: ${result.message}`;
  }
}

function otherTime({ time }: Extract<Refreshed, { outcome: "unchanged" | "restored" }>): string {
  return time === undefined
    ? ""
    : `; upstream's .info has Time ${time.upstream} now, ours stays ${time.ours}`;
}
