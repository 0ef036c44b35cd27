import { readWishes } from "../adapters/local/read-wishes.ts";
import type { Need } from "../mirror/closure-file.ts";
import { noDeadline } from "../mirror/parts.ts";
import { closeRequest } from "../mirror/resolve.ts";
import { openInMemory } from "./embedded.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { printMissing } from "./missing-table.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** `modferry closure`: the files that would be mirrored, sorted, one JSON object a line with `--json`. */
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
    const { needs, unresolved } = await closeRequest(mirror.parts, body, "closure", noDeadline);
    for (const need of needs) output.print(options.json ? jsonLine(jsonNeed(need)) : plainNeed(need));
    const missing = [
      ...[...failures].map(([subject, message]) => ({ subject, state: "missing", message })),
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

function jsonNeed(need: Need): { module: string; version: string; files: string[] } {
  return { module: need.version.path, version: need.version.version, files: filesOf(need) };
}

function plainNeed(need: Need): string {
  return `${need.version.path}@${need.version.version} ${filesOf(need).join(",")}`;
}
