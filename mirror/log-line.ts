import { jsonLine } from "./json-line.ts";
import type { TraceId } from "./trace.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** One fact of a log line; undefined ones are left out. */
export type Fact = string | number | boolean | undefined;

/** What happened. `message` and `action` are constants of ours: all that varies is a field. */
export interface LogEntry {
  readonly level: LogLevel;
  readonly message: string;
  /** ECS `event.action`: what happened, in a word that does not change. */
  readonly action: string;
  /** `type` is an ErrorClass; the text may be from outside. */
  readonly error?: { readonly type: string; readonly message: string };
  /** By names in snake_case, without dots. The values may be from outside. */
  readonly labels?: Readonly<Record<string, Fact>>;
  /** A request that was answered. The method and path are from outside. */
  readonly http?: {
    readonly method: string;
    readonly path: string;
    readonly status: number;
    readonly bytes?: number;
    /** How long it took, in ms. */
    readonly duration: number;
    /** Who asked: an address, as far as the server knows it. */
    readonly client?: string;
  };
}

export interface LogContext {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Which function or verb this is: ECS `event.dataset` is `modferry.<program>`. */
  readonly program: string;
  readonly trace: TraceId | undefined;
}

/** The version of the Elastic Common Schema that the fields are of. */
const ECS_VERSION = "8.17.0";
/** A keyword of ECS is not indexed above 1,024 characters (ignore_above). */
const LONGEST_TEXT = 1_000;
/** A line has no more labels; the rest is counted. */
const MOST_LABELS = 32;

/**
 * One log line, without its end: a JSON object in the Elastic Common Schema, its first fields as ECS logging wants them
 * (elastic/ecs-logging, spec.json). Text from outside cannot end it, add a field to it, or be obeyed by a terminal; each
 * text is cut at LONGEST_TEXT characters, so that a line stays far below the 256 KB of a CloudWatch log event.
 * @param extra further members of the object, our own alone (adapters/aws/embedded-metrics.ts).
 */
export function logLine(entry: LogEntry, { at, program, trace }: LogContext, extra: object = {}): string {
  const { level, message, action, error, labels, http } = entry;
  const facts = labels === undefined ? {} : shownLabels(labels);
  return jsonLine({
    "@timestamp": new Date(at).toISOString(),
    "log.level": level,
    message,
    ecs: { version: ECS_VERSION },
    service: { name: "modferry" },
    event: {
      action,
      dataset: `modferry.${program}`,
      ...(http && { duration: Math.round(http.duration * 1e6) }),
    },
    ...(trace && { trace: { id: trace } }),
    ...(error && { error: { type: shown(error.type), message: shown(error.message) } }),
    ...(http && {
      http: {
        request: { method: shown(http.method) },
        response: {
          status_code: http.status,
          ...(http.bytes === undefined ? {} : { body: { bytes: http.bytes } }),
        },
      },
      url: { path: shown(http.path) },
      ...(http.client === undefined ? {} : { client: { address: shown(http.client) } }),
    }),
    ...(Object.keys(facts).length > 0 && { labels: facts }),
    ...extra,
  });
}

function shownLabels(labels: Readonly<Record<string, Fact>>): Record<string, string | number | boolean> {
  const facts = Object.entries(labels).flatMap(([name, fact]) =>
    fact === undefined ? [] : [[labelName(name), shownFact(fact)] as const],
  );
  const kept = facts.slice(0, MOST_LABELS);
  if (facts.length > kept.length) kept.push(["labels_left_out", facts.length - kept.length]);
  return Object.fromEntries(kept);
}

/** ECS logging: what stands in a label's name for `.`, `*` and `\`. */
function labelName(name: string): string {
  return shown(name)
    .replace(/[.*\\]/g, "_")
    .slice(0, 64);
}

/** JSON has no NaN and no infinity. */
function shownFact(fact: string | number | boolean): string | number | boolean {
  if (typeof fact === "string") return shown(fact);
  return typeof fact === "number" && !Number.isFinite(fact) ? String(fact) : fact;
}

/** Bounded and well-formed: half a surrogate pair is no character, and some readers refuse a line that has one. */
function shown(text: string): string {
  const cut = text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT - 1)}…`;
  return cut.toWellFormed();
}
