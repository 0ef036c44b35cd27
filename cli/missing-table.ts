import type { Missing } from "../mirror/settle.ts";
import { type Output, oneLine } from "./output.ts";

/** A table's column is at most this wide; a longer name pushes its own row only. */
const WIDEST = 60;

/** What is missing and why, a row each: on stderr for people, as NDJSON on stdout with `--json`. */
export function printMissing(missing: readonly Missing[], output: Output, json: boolean): void {
  if (json) {
    for (const entry of missing) {
      const due = entry.due === undefined ? {} : { due: new Date(entry.due).toISOString() };
      output.print(JSON.stringify({ event: "missing", ...entry, ...due }));
    }
    return;
  }
  const subjects = Math.min(WIDEST, Math.max(...missing.map((entry) => entry.subject.length)));
  const states = Math.max(...missing.map((entry) => entry.state.length));
  output.error(`missing: ${missing.length}`);
  for (const { subject, state, message, due } of missing) {
    const reason = message.startsWith(`${subject}: `) ? message.slice(subject.length + 2) : message;
    const when =
      due === undefined
        ? ""
        : ` (next try ${new Date(due).toISOString().slice(0, 19)}Z, or at the next sync of it)`;
    output.error(
      `  ${oneLine(subject).padEnd(subjects)}  ${state.padEnd(states)}  ${oneLine(reason)}${when}`,
    );
  }
}
