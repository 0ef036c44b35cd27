import { beforeEach, describe, expect, test } from "vitest";
import { FunctionLog } from "../../functions/function-log.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { currentTrace, newTraceId } from "../../mirror/trace.ts";
import { metricsOf } from "./embedded-metric-schema.ts";

const version = moduleVersion("example.com/a", "v1.0.0");
const written: string[] = [];
const log = new FunctionLog({ mirror: "mirror", program: "work" }, (text) => written.push(text));
const lines = () => written.map((text) => JSON.parse(text));
const metrics = () =>
  written.filter((text) => text.includes('"_aws"')).flatMap((text) => [...metricsOf(text)]);

beforeEach(() => {
  written.length = 0;
});

describe("a function's log", () => {
  test("is one object a line, under the trace of its call or of who set it off", async () => {
    const given = newTraceId();
    await log.call(async () => log.report({ event: "listed", version }), given);
    await log.call(async () => log.report({ event: "listed", version }));
    for (const text of written) expect(text).toMatch(/^\{[^\n]*\}\n$/);
    const traces = lines().map(({ trace }) => trace.id);
    expect(traces).toEqual([given, given, traces[2], traces[2]]);
    expect(traces[2]).toMatch(/^[0-9a-f]{32}$/);
    expect(traces[2]).not.toBe(given);
    expect(lines()[0]).toMatchObject({ event: { action: "listed", dataset: "modferry.work" } });
    expect(currentTrace()).toBeUndefined();
  });

  test("says why a call failed, with its class, and what it had done until then", async () => {
    const broken = log.call(async () => {
      log.report({ event: "fetched", version, held: "mod", bytes: 7 });
      throw new MirrorError("unauthorized", "upstream", "upstream: 401\nforged");
    });
    await expect(broken).rejects.toThrow("401");
    expect(lines().map(({ event }) => event.action)).toEqual(["fetched", "call-failed", "metrics"]);
    expect(lines()[1]).toMatchObject({ "log.level": "error", error: { type: "unauthorized" } });
  });
});

describe("a call's figures", () => {
  test("are one valid document of the embedded metric format for each dimension, added up", async () => {
    await log.call(async () => {
      for (let at = 0; at < 250; at++) {
        log.report({ event: "fetched", version, held: "whole", bytes: 1_000 });
        log.metrics.observe("AnswerTime", "Milliseconds", at);
      }
      log.report({ event: "listed", version });
      for (const type of ["absent", "absent", "transient"] as const)
        log.report({ event: "failed", version, state: "FAILED", class: type, message: "x" });
    });
    expect(Object.fromEntries(metrics())).toEqual({
      "Function=work VersionsFetched": 250,
      "Function=work BytesFetched": 250_000,
      "Function=work VersionsListed": 1,
      // CloudWatch takes a hundred values of one metric.
      "Function=work AnswerTime": Array.from({ length: 100 }, (_, at) => at),
      "Function=work,ErrorClass=absent VersionsFailed": 2,
      "Function=work,ErrorClass=transient VersionsFailed": 1,
    });
    const namespaces = lines().flatMap(({ _aws }) => _aws?.CloudWatchMetrics ?? []);
    expect(new Set(namespaces.map(({ Namespace }) => Namespace))).toEqual(new Set(["modferry/mirror"]));
  });

  test("are also log lines; a call that did nothing has none, and each call begins anew", async () => {
    await log.call(async () => {});
    expect(written).toEqual([]);
    for (let call = 0; call < 2; call++) await log.call(async () => log.report({ event: "listed", version }));
    expect(metrics()).toEqual([
      ["Function=work VersionsListed", 1],
      ["Function=work VersionsListed", 1],
    ]);
    expect(lines()[1]).toMatchObject({ "log.level": "info", event: { action: "metrics" } });
  });

  test("have no dimension that holds what comes from outside", async () => {
    const odd = moduleVersion("example.com/a/very/long/path", "v1.0.0");
    await log.call(async () => {
      log.report({ event: "fetched", version: odd, held: "whole", bytes: 1 });
      log.report({ event: "failed", version: odd, state: "FAILED", class: "absent", message: "path" });
    });
    const documents = written.filter((text) => text.includes('"_aws"'));
    expect(documents).toHaveLength(2);
    for (const text of documents) expect(text).not.toContain("path");
  });
});
