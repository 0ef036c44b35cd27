import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { engineOf, parseEngine } from "../../adapters/configuration/engine.ts";
import { engineFeedNames, engineFeeds, engineSources } from "../../adapters/configuration/open-engine.ts";
import { directEgress } from "../../adapters/egress/egress.ts";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { type ConfigurationInput, defineMirror } from "../../infra/configuration.ts";

/** A verifier key made for tests. */
const KEY = "sumdb.example.test+10968c75+AZBv9m6MKyyc9YuOdh2zQI9j0V6EAqgb36PAYuNV1HCX";
const UPSTREAM = { name: "public", url: "https://goproxy.example.com" };
const INDEX = "https://index.example.com";

/** With fields that no type would let through. */
function defined(fields: Readonly<Record<string, unknown>>) {
  return defineMirror({ name: "mirror", upstreams: [UPSTREAM], ...fields } as ConfigurationInput);
}

const indexes = (...all: readonly Readonly<Record<string, unknown>>[]) => ({ feeds: { indexes: all } });

describe("a configuration is refused in one line that names the field:", () => {
  test.each<[string, Readonly<Record<string, unknown>>, string]>([
    ["an unknown field", { subscription: [] }, "subscription"],
    ["an unknown field of feeds", { feeds: { index: [] } }, "feeds.index"],
    ["an unknown field of an index", indexes({ url: INDEX, since: "now" }), "feeds.indexes.0.since"],
    ["an unknown field of an upstream", { upstreams: [{ ...UPSTREAM, rates: 1 }] }, "upstreams.0.rates"],
    ["an unknown field of the policy", { policy: { denies: [] } }, "policy.denies"],
    ["a stamp without a zone", indexes({ url: INDEX, from: "2026-01-01T00:00:00" }), "feeds.indexes.0.from"],
    [
      "a stamp of another zone",
      indexes({ url: INDEX, from: "2026-01-01T00:00:00+01:00" }),
      "feeds.indexes.0.from",
    ],
    [
      "a stamp of a day that is none",
      indexes({ url: INDEX, from: "2026-02-30T00:00:00Z" }),
      "feeds.indexes.0.from",
    ],
    [
      "a stamp finer than a nanosecond",
      indexes({ url: INDEX, from: "2026-01-01T00:00:00.0000000001Z" }),
      "feeds.indexes.0.from",
    ],
    ["a date alone", indexes({ url: INDEX, from: "2026-01-01" }), "feeds.indexes.0.from"],
    [
      "two indexes of one name",
      indexes({ name: "one", url: INDEX }, { name: "one", url: "https://other.example.com" }),
      "feeds.indexes.1.name",
    ],
    ["two indexes without a name", indexes({ url: INDEX }, { url: INDEX }), "feeds.indexes.1.name"],
    [
      "an index that is called as another one's old versions",
      indexes({ url: INDEX }, { name: "backfill", url: INDEX }),
      "feeds.indexes.1.name",
    ],
    [
      "an index with a token in its URL",
      indexes({ url: "https://u:p@index.example.com" }),
      "feeds.indexes.0.url",
    ],
    [
      "two upstreams of one name",
      { upstreams: [UPSTREAM, { ...UPSTREAM, modules: ["corp.example"] }] },
      "upstreams.1.name",
    ],
    [
      "two upstreams for all modules",
      { upstreams: [UPSTREAM, { ...UPSTREAM, name: "two" }] },
      "upstreams.1.modules",
    ],
    ["no upstream", { upstreams: [] }, "upstreams"],
    [
      "a database through an upstream that there is not",
      { sumdb: [{ key: KEY, upstream: "publik" }] },
      "sumdb.0.upstream",
    ],
    ["a window without an end", { maintenance: [{ from: "22:00" }] }, "maintenance.0.to"],
    [
      "a window of a time that is none",
      { maintenance: [{ from: "22:00", to: "24:00" }] },
      "maintenance.0.to",
    ],
    [
      "a window of a day that is none",
      { maintenance: [{ days: ["Sonntag"], from: "22:00", to: "23:00" }] },
      "maintenance.0.days.0",
    ],
    ["a window of no day", { maintenance: [{ days: [], from: "22:00", to: "23:00" }] }, "maintenance.0.days"],
    [
      "windows that the ledger has no room for",
      { maintenance: Array(10).fill({ from: "22:00", to: "23:00", reason: "x".repeat(100) }) },
      "maintenance",
    ],
  ])("%s", (_name, fields, field) => {
    let message = "";
    try {
      defined(fields);
    } catch (error) {
      message = error instanceof Error ? error.message : "";
    }
    expect(message).toMatch(new RegExp(`^configuration: ${field.replaceAll(".", "\\.")}: .+$`));
    expect(message).not.toContain("u:p@");
  });

  test("a CA file that is none", async () => {
    const folder = await mkdtemp(join(tmpdir(), "modferry-configuration-"));
    try {
      const file = join(folder, "ca.pem");
      const begin = "-----BEGIN CERTIFICATE-----";
      const open = (extraCa: string) => engineSources(engineOf(defined({ egress: { extraCa } })), {});
      expect(() => open(file)).toThrow(/^egress\.extraCa: .*ca\.pem/);
      await writeFile(file, "not a certificate\n");
      expect(() => open(file)).toThrow(/^egress\.extraCa: .*no certificate in it/);
      await writeFile(file, `${begin}\nAAAA\n${begin.replace("BEGIN", "END")}\n`);
      expect(() => open(file)).toThrow(/^egress\.extraCa: .*cannot be read/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("what a function finds beside its code", () => {
    const engine = { ...engineOf(defined({})), sumdb: [{ key: KEY, upstream: "publik" }] };
    expect(() => parseEngine(JSON.stringify(engine))).toThrow(/^configuration: sumdb\.0\.upstream: /);
    expect(() => parseEngine(JSON.stringify({ ...engineOf(defined({})), feed: 1 }))).toThrow(
      /^configuration: /,
    );
  });
});

test("what is right is kept as it was written, and a function reads the same", () => {
  const engine = engineOf(
    defined({
      ...indexes({ url: INDEX, from: "2026-01-01T00:00:00.123456Z" }, { name: "backfills", url: INDEX }),
      sumdb: [{ key: KEY, upstream: "public" }],
      maintenance: [{ days: ["sun"], from: "22:00", to: "02:00" }],
    }),
  );
  expect(parseEngine(JSON.stringify(engine))).toEqual(engine);
  expect(engineFeedNames(engine)).toEqual(["index", "index.backfills"]);
  const gates = { ledger: new MemoryLedger(), now: Date.now, report: () => {} };
  const { maintenance, indexes: opened } = engineFeeds(engine, { egress: directEgress }, gates);
  expect(maintenance).toEqual([{ days: ["sun"], from: "22:00", to: "02:00", reason: "maintenance" }]);
  expect(opened[0]?.from).toBe("2026-01-01T00:00:00.123456Z");
});
