import { asMirrorError } from "../mirror/errors.ts";
import { logEntryOf } from "../mirror/event-log.ts";
import type { MirrorEvent } from "../mirror/events.ts";
import { type LogEntry, logLine } from "../mirror/log-line.ts";
import { currentTrace } from "../mirror/trace.ts";
import type { Output } from "./output.ts";

/** What a verb says with `--log json`: the same lines as the deployed functions', on stderr. */
export class CommandLog {
  readonly #output: Output;
  readonly #verb: string;

  constructor(output: Output, verb: string) {
    this.#output = output;
    this.#verb = verb;
  }

  write(entry: LogEntry): void {
    const context = { at: Date.now(), program: this.#verb, trace: currentTrace() };
    this.#output.error(logLine(entry, context));
  }

  failure(action: string, message: string, thrown: unknown): void {
    const { class: type, message: text } = asMirrorError(thrown, action);
    this.write({ level: "error", action, message, error: { type, message: text } });
  }

  readonly report = (event: MirrorEvent): void => this.write(logEntryOf(event));

  /** The same output, on whose stderr nothing stands but log lines. */
  output(): Output {
    const said = (text: string) =>
      this.write({ level: "warn", action: "said", message: "line for people", labels: { text } });
    return { ...this.#output, error: said, status: undefined, log: (entry) => this.write(entry) };
  }
}
