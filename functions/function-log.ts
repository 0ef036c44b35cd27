import { EmbeddedMetrics } from "../adapters/aws/embedded-metrics.ts";
import { asMirrorError } from "../mirror/errors.ts";
import { logEntryOf } from "../mirror/event-log.ts";
import type { MirrorEvent } from "../mirror/events.ts";
import { type LogEntry, logLine } from "../mirror/log-line.ts";
import { currentTrace, newTraceId, type TraceId, withTrace } from "../mirror/trace.ts";
import type { FunctionEnvironment } from "./environment.ts";

/**
 * What a function says: its log, and the figures of each call. Written to stdout and not by console.log, before whose
 * lines Lambda puts time and request: metric filters (infra/event-alarm.ts) read whole lines.
 */
export class FunctionLog {
  readonly metrics: EmbeddedMetrics;
  readonly #program: string;
  readonly #write: (text: string) => void;

  constructor(
    { mirror, program }: Pick<FunctionEnvironment, "mirror" | "program">,
    write: (text: string) => void = (text) => void process.stdout.write(text),
  ) {
    this.#program = program;
    this.#write = write;
    this.metrics = new EmbeddedMetrics(mirror, program);
  }

  write(entry: LogEntry, extra?: object): void {
    const context = { at: Date.now(), program: this.#program, trace: currentTrace() };
    this.#write(`${logLine(entry, context, extra)}\n`);
  }

  /** What a unit of work could not do, and the caller goes on without. */
  failure(
    action: string,
    message: string,
    thrown: unknown,
    labels: NonNullable<LogEntry["labels"]> = {},
  ): void {
    const { class: type, message: text } = asMirrorError(thrown, action);
    this.write({ level: "error", action, message, error: { type, message: text }, labels });
  }

  /** For MirrorParts. */
  readonly report = (event: MirrorEvent): void => {
    this.write(logEntryOf(event));
    if (event.event === "fetched") {
      this.metrics.add("VersionsFetched", "Count", 1);
      this.metrics.add("BytesFetched", "Bytes", event.bytes);
    } else if (event.event === "listed") {
      this.metrics.add("VersionsListed", "Count", 1);
    } else if (event.event === "failed") {
      this.metrics.add("VersionsFailed", "Count", 1, { name: "ErrorClass", value: event.class });
    }
  };

  /**
   * One call of the function, under a new trace, or that of whoever set it off. Its figures are written at its end, also
   * where it throws; those of a call that is killed are lost.
   */
  async call<T>(work: () => Promise<T>, trace: TraceId = newTraceId()): Promise<T> {
    return await withTrace(trace, async () => {
      try {
        return await work();
      } catch (thrown) {
        this.failure("call-failed", "call of the function failed", thrown);
        throw thrown;
      } finally {
        for (const figures of this.metrics.take(Date.now()))
          this.write({ level: "info", action: "metrics", message: "figures of one call" }, figures);
      }
    });
  }
}
