import type { Missing } from "./settle.ts";

/** A table's column is at most this wide; a longer name pushes its own row only. */
const WIDEST = 60;

/** What is missing and why, for people: a heading, then a row each. */
export function missingTable(missing: readonly Missing[]): string[] {
  const subjects = Math.min(WIDEST, Math.max(0, ...missing.map((entry) => entry.subject.length)));
  const states = missing.map((entry) => [entry.state, entry.class ?? ""].join(" ").trimEnd());
  const widest = Math.max(0, ...states.map((state) => state.length));
  const rows = missing.map(({ subject, message, due }, at) => {
    const reason = message.startsWith(`${subject}: `) ? message.slice(subject.length + 2) : message;
    const when =
      due === undefined
        ? ""
        : ` (next try ${new Date(due).toISOString().slice(0, 19)}Z, or when it is asked for again)`;
    return `  ${oneLine(subject).padEnd(subjects)}  ${(states[at] ?? "").padEnd(widest)}  ${oneLine(reason)}${when}`;
  });
  return [`missing: ${missing.length}`, ...rows];
}

/** One line, whatever an upstream's text holds: no control characters reach a terminal. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ");
}
