import { readWishes } from "../adapters/local/read-wishes.ts";
import { formatModuleVersion } from "../gomod/version.ts";
import type { Need } from "../mirror/closure-file.ts";
import { noDeadline } from "../mirror/parts.ts";
import { closeRequest } from "../mirror/resolve.ts";
import { openInMemory } from "./embedded.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { printMissing } from "./missing-table.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/**
 * `modferry closure`: the files that would be mirrored, sorted, one JSON object a line with `--json`. What no wish needs
 * by itself, or needs less of, is marked `together`.
 */
export async function closure(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const body = await readWishes(options.arguments, options, output.stdin);
  const failures = new Map<string, string>();
  const mirror = await openInMemory(options, environment, (event) => {
    if (event.event === "failed")
      failures.set(`${event.version.path}@${event.version.version}`, event.message);
  });
  try {
    const closed = await closeRequest(mirror.parts, body, "closure", noDeadline);
    const { needs, unresolved } = closed;
    const together = new Set(closed.together.map(({ version }) => formatModuleVersion(version)));
    for (const need of needs) {
      const neededTogether = together.has(formatModuleVersion(need.version));
      output.print(options.json ? jsonLine(jsonNeed(need, neededTogether)) : plainNeed(need, neededTogether));
    }
    // What is not needed may have been tried for an upgrade that there then is none of.
    const needed = new Set(needs.map(({ version }) => formatModuleVersion(version)));
    const missing = [
      ...[...failures]
        .filter(([subject]) => needed.has(subject))
        .map(([subject, message]) => ({ subject, state: "missing", message })),
      ...unresolved.map(({ subject, class: state, message }) => ({ subject, state, message })),
    ];
    // Never on stdout: what reads the closure expects nothing else there.
    if (missing.length > 0) printMissing(missing, output, false);
    return missing.length === 0 ? 0 : 1;
  } finally {
    await mirror.close();
  }
}

const filesOf = (need: Need): string[] => (need.extent === "whole" ? ["info", "mod", "zip"] : ["mod"]);

function jsonNeed(need: Need, together: boolean): object {
  const { path, version } = need.version;
  return { module: path, version, files: filesOf(need), ...(together ? { neededBy: "together" } : {}) };
}

function plainNeed(need: Need, together: boolean): string {
  return `${formatModuleVersion(need.version)} ${filesOf(need).join(",")}${together ? " together" : ""}`;
}
