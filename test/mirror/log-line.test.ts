import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { moduleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import { logEntryOf } from "../../mirror/event-log.ts";
import type { MirrorEvent } from "../../mirror/events.ts";
import { type LogEntry, logLine } from "../../mirror/log-line.ts";
import { newTraceId } from "../../mirror/trace.ts";

const AT = Date.UTC(2026, 10, 23, 9, 30);
const trace = newTraceId();
const print = (entry: LogEntry, extra?: object) => logLine(entry, { at: AT, program: "work", trace }, extra);
const http = { method: "GET", path: "/", status: 200, bytes: 5, duration: 1.25, client: "10.0.0.1" };
const full: LogEntry = {
  level: "warn",
  message: "version could not be had",
  action: "failed",
  error: { type: "transient", message: "no answer" },
  labels: { module: "example.com/a", attempts: 3, listed: true, none: undefined },
  http,
};

/** Elastic Common Schema 8.17, ECS Field Reference: the fields that are used here, with the JSON of their types. */
const FIELDS: Readonly<Record<string, string>> = {
  "@timestamp": "string",
  "log.level": "string",
  message: "string",
  "ecs.version": "string",
  "service.name": "string",
  "event.action": "string",
  "event.dataset": "string",
  "event.duration": "number",
  "trace.id": "string",
  "error.type": "string",
  "error.message": "string",
  "http.request.method": "string",
  "http.response.status_code": "number",
  "http.response.body.bytes": "number",
  "url.path": "string",
  "client.address": "string",
};

/** Every field by its dotted name. */
function fieldsOf(value: unknown, name = ""): [string, unknown][] {
  if (typeof value !== "object" || value === null) return [[name, value]];
  return Object.entries(value).flatMap(([key, inner]) =>
    fieldsOf(inner, name === "" ? key : `${name}.${key}`),
  );
}

describe("a log line", () => {
  test("begins as ECS logging wants it: time, level and message at the top, and the schema's version", () => {
    const line = print(full);
    expect(Object.keys(JSON.parse(line)).slice(0, 3)).toEqual(["@timestamp", "log.level", "message"]);
    expect(JSON.parse(line)).toMatchObject({
      "@timestamp": "2026-11-23T09:30:00.000Z",
      "log.level": "warn",
      message: "version could not be had",
      ecs: { version: expect.stringMatching(/^8\.\d+\.\d+$/) },
    });
  });

  test("has no field but those of the schema, each of its type, and flat labels", () => {
    const fields = fieldsOf(JSON.parse(print(full)));
    const labels = fields.filter(([name]) => name.startsWith("labels."));
    expect(labels).toEqual([
      ["labels.module", "example.com/a"],
      ["labels.attempts", 3],
      ["labels.listed", true],
    ]);
    const others = fields.filter(([name]) => !name.startsWith("labels."));
    expect(Object.fromEntries(others.map(([name, value]) => [name, typeof value]))).toEqual(FIELDS);
    // ECS: event.duration is in nanoseconds.
    expect(JSON.parse(print(full)).event.duration).toBe(1_250_000);
  });

  test("is one line of printable ASCII-controls-free text, whatever stands in it, and its fields are ours alone", () => {
    const hostile = fc.oneof(
      fc.string({ unit: "binary", maxLength: 200 }),
      fc.constantFrom(
        '"}\n{"event":{"action":"forked"}}',
        "\u0000\u001b[2J\u007f\u0085\u009b31m",
        "\u2028\u2029\u202e\u2066\ufeff\u00ad",
        "\ud800",
        "a\udc00b",
        "\ud83d".repeat(3),
        "__proto__",
        "x".repeat(100_000),
        "\u0001".repeat(100_000),
        "\u{e0041}".repeat(5_000),
      ),
    );
    const check = fc.property(hostile, hostile, hostile, (one, two, key) => {
      const line = print({
        ...full,
        error: { type: one, message: two },
        labels: { text: one, [key]: two, nan: Number.NaN },
        http: { ...http, method: one, path: two, client: one },
      });
      expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
      expect(line).not.toMatch(/\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])/i);
      expect(line.length).toBeLessThan(64_000);
      const read = JSON.parse(line);
      expect(Object.keys(read)).toEqual(Object.keys(JSON.parse(print(full))));
      expect(read).toMatchObject({
        message: full.message,
        event: { action: "failed" },
        trace: { id: trace },
      });
      expect(read.error.message.length).toBeLessThanOrEqual(1_000);
    });
    fc.assert(check, { numRuns: 2_000 });
  });

  test("holds a bounded number of labels, whose names have no dot, star or backslash", () => {
    const labels = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`a.b*c\\${at}`, at]));
    const read = JSON.parse(print({ ...full, labels }));
    expect(Object.keys(read.labels)).toHaveLength(33);
    expect(read.labels).toMatchObject({ a_b_c_0: 0, labels_left_out: 68 });
  });
});

describe("an event's entry", () => {
  const a = moduleVersion("example.com/a", "v1.0.0");
  const request = { name: "team", time: "20261123T093000000Z" };
  const text = "GET https://upstream/x: 503\nforged";

  test.each<[MirrorEvent, Partial<LogEntry>]>([
    [
      { event: "resolving", request },
      { level: "info", labels: { request: "team/20261123T093000000Z" } },
    ],
    [
      { event: "fetched", version: a, held: "whole", bytes: 7 },
      {
        labels: { module: "example.com/a", module_version: "example.com/a@v1.0.0", held: "whole", bytes: 7 },
      },
    ],
    [
      { event: "resolved", request, versions: 3, toFetch: 2 },
      { labels: { request: "team/20261123T093000000Z", versions: 3, to_fetch: 2 } },
    ],
    [
      { event: "failed", version: a, state: "FAILED", class: "transient", message: text },
      { level: "warn", error: { type: "transient", message: text } },
    ],
    [
      { event: "failed", version: a, state: "CONFLICT", class: "mismatch", message: text },
      { level: "error", error: { type: "mismatch", message: text } },
    ],
    [
      { event: "forked", database: "sum.example.org", evidence: sha256Of(Buffer.from("x")), reason: text },
      { level: "error", error: { type: "forked", message: text } },
    ],
  ])("of %o has a constant message, and its facts as fields", (event, expected) => {
    const entry = logEntryOf(event);
    expect(entry).toMatchObject({ action: event.event, ...expected });
    expect(entry.message).toMatch(/^[a-z ]+$/);
    expect(JSON.stringify(entry.labels)).not.toContain("forged");
  });
});
