import { engineOf } from "../adapters/configuration/engine.ts";
import { enginePolicy } from "../adapters/configuration/open-engine.ts";
import { FormatError } from "../gomod/format-error.ts";
import { formatModuleVersion, type ModuleVersion, parseModuleVersion } from "../gomod/version.ts";
import { misuse } from "../mirror/errors.ts";
import { type Explanation, explain as explainVersion, explanationJson } from "../mirror/explain.ts";
import type { MirrorParts } from "../mirror/parts.ts";
import { MirroredVulnerabilities } from "../mirror/vulndb-reader.ts";
import { loadConfiguration } from "./configuration.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/** What a configuration adds to the ledger's own word. */
type Ruling = Pick<MirrorParts, "policy" | "vulnerabilities">;

/**
 * `modferry explain`: which rule decided about a version, which sighting counted, and when that changes.
 * @returns 0 where it is served whole, else 1.
 */
export async function explain(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const version = oneVersion(options);
  const policy =
    options.config === undefined
      ? undefined
      : enginePolicy(engineOf(await loadConfiguration(options.config)));
  const mirror = await openMirror(options, environment, { mode: "read" });
  try {
    const { tree, vault, ledger } = mirror;
    const ruling: Ruling =
      policy === undefined ? {} : { policy, vulnerabilities: new MirroredVulnerabilities(tree, Date.now) };
    const explanation = await explainVersion({ tree, vault, ledger, now: Date.now, ...ruling }, version);
    if (options.json) output.print(jsonLine(explanationJson(explanation)));
    else print(explanation, output);
    const { record, block } = explanation;
    return record?.state === "READY" && record.held === "whole" && block === undefined ? 0 : 1;
  } finally {
    await mirror.close();
  }
}

function print(
  { version, because, sightings, counted, requests, record }: Explanation,
  output: Output,
): void {
  output.print(formatModuleVersion(version));
  for (const line of because) output.print(`  ${oneLine(line)}`);
  for (const { by, at } of sightings) {
    const mark = counted !== undefined && counted.by === by && counted.at === at ? " (counts)" : "";
    output.print(oneLine(`  seen ${new Date(at).toISOString().slice(0, 19)}Z by ${by}${mark}`));
  }
  const wishers = requests.length > 0 ? requests : record === undefined ? [] : [record.wish];
  if (wishers.length > 0) output.print(oneLine(`  wanted by ${wishers.join(", ")}`));
}

function oneVersion({ arguments: [name, surplus] }: Options): ModuleVersion {
  if (name === undefined)
    throw misuse("module@version", "no version: give one, such as: modferry explain example.com/a@v1.2.3");
  if (surplus !== undefined)
    throw misuse(surplus, `${surplus}: \`modferry explain\` takes one module@version`);
  try {
    return parseModuleVersion(name);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw misuse(name, oneLine(cause.message), cause);
  }
}
