import { missingTable } from "../mirror/missing-table.ts";
import type { Missing } from "../mirror/settle.ts";
import { jsonLine } from "./json-line.ts";
import type { Output } from "./output.ts";

/** What is missing and why, a row each: on stderr for people, as NDJSON on stdout with `--json`. */
export function printMissing(missing: readonly Missing[], output: Output, json: boolean): void {
  if (!json) {
    for (const line of missingTable(missing)) output.error(line);
    return;
  }
  for (const entry of missing) {
    const due = entry.due === undefined ? {} : { due: new Date(entry.due).toISOString() };
    output.print(jsonLine({ event: "missing", ...entry, ...due }));
  }
}
