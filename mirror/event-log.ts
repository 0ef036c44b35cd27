import { formatModuleVersion } from "../gomod/version.ts";
import type { MirrorEvent } from "./events.ts";
import type { Fact, LogEntry, LogLevel } from "./log-line.ts";

/** What a log says of each event: constants, so that a filter or an alarm can rely on them. */
const MESSAGES: Readonly<Record<MirrorEvent["event"], readonly [LogLevel, string]>> = {
  resolving: ["info", "module graph is being loaded"],
  resolved: ["info", "closure is known"],
  fetched: ["info", "version is held"],
  failed: ["warn", "version could not be had"],
  refusedByPolicy: ["info", "version is kept out by the policy or a block"],
  blocked: ["warn", "version is blocked"],
  unblocked: ["warn", "version is blocked no more"],
  removing: ["info", "version is being collected"],
  collected: ["info", "version is collected"],
  garbage: ["info", "list of what nothing refers to is written"],
  "garbage-stopped": ["error", "more than the largest share would be collected"],
  indexSkipped: ["warn", "lines of the module index name no version"],
  indexOverfull: ["error", "module index has more versions of one moment than an answer holds"],
  refused: ["warn", "list is refused by the upstream"],
  "seed-refused": ["warn", "file of the module cache is not used"],
  listed: ["info", "version is listed"],
  head: ["info", "head of the checksum database is published"],
  tiles: ["debug", "tiles of the checksum database are being held"],
  forked: ["error", "checksum database signed two histories"],
  "upstream-stopped": ["error", "upstream refuses us and is not asked"],
  settled: ["info", "request is settled"],
};

/** An event of the engine as a log entry: `event.action` is its name, its facts are fields. */
export function logEntryOf(event: MirrorEvent): LogEntry {
  const [level, message] = MESSAGES[event.event];
  const { event: action, ...facts } = event;
  const labels: Record<string, Fact> = {};
  let text: string | undefined;
  let type: string = action;
  for (const [name, value] of Object.entries(facts)) {
    if (name === "message" || name === "reason") text = String(value);
    else if (name === "class") type = String(value);
    else addLabel(labels, name, value);
  }
  const conflict = "state" in event && event.state === "CONFLICT";
  return {
    level: conflict ? "error" : level,
    message,
    action,
    ...(text === undefined ? {} : { error: { type, message: text } }),
    labels,
  };
}

function addLabel(labels: Record<string, Fact>, name: string, value: unknown): void {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
    labels[snakeCase(name)] = value;
  } else if (isModuleVersion(value)) {
    // Both, since a version is searched for as go writes it, and counted by its module.
    labels.module = value.path;
    labels.module_version = formatModuleVersion(value);
  } else if (isRequestKey(value)) {
    labels[snakeCase(name)] = `${value.name}/${value.time}`;
  } else if (value !== undefined) {
    labels[snakeCase(name)] = JSON.stringify(value);
  }
}

function isModuleVersion(value: unknown): value is Parameters<typeof formatModuleVersion>[0] {
  return typeof value === "object" && value !== null && "path" in value && "version" in value;
}

function isRequestKey(value: unknown): value is { name: string; time: string } {
  return typeof value === "object" && value !== null && "name" in value && "time" in value;
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
