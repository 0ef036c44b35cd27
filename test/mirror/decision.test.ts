import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { moduleVersion } from "../../gomod/version.ts";
import { decide, type Seen } from "../../mirror/decision.ts";
import { type Extent, type State, type VersionRecord, want } from "../../mirror/records.ts";

const NOW = 1_000_000;
const MOD = "h1:mod=" as NonNullable<VersionRecord["modH1"]>;
const ZIP = "h1:zip=" as NonNullable<VersionRecord["zipH1"]>;
const OTHER = "h1:other=" as NonNullable<VersionRecord["zipH1"]>;
const TIME = "2024-01-02T03:04:05Z";

const pending = want(undefined, moduleVersion("example.com/a", "v1.0.0"), "whole", "index feed", 1_000, true);
const record = (fields: Partial<VersionRecord> = {}): VersionRecord => ({
  ...pending,
  state: "READY",
  held: "whole",
  modH1: MOD,
  zipH1: ZIP,
  time: TIME,
  ...fields,
});
const seen = (fields: Partial<Seen> = {}): Seen => ({
  wanted: "whole",
  by: "feed",
  provable: false,
  now: NOW,
  ...fields,
});

/** Each row of the table in decision.ts, in its order: what the ledger has, what is seen, what is to be done and why. */
const rows: readonly (readonly [string, VersionRecord | undefined, Partial<Seen>, string])[] = [
  ["unknown", undefined, {}, "fetch: unknown"],
  ["unknown, as a root", undefined, { asRoot: true }, "fetch: unknown"],
  ["part of a graph, wanted as a root", record({ wish: "sync" }), { asRoot: true }, "root: no root yet"],
  [
    "a go.mod of a graph, wanted as a root",
    record({ wish: "sync", wanted: "mod", held: "mod" }),
    { asRoot: true },
    "root: no root yet",
  ],
  [
    "kept out and no root yet",
    record({ wish: "sync", state: "HELD" }),
    { asRoot: true },
    "root: no root yet",
  ],
  ["handed in by a feed", record(), { asRoot: true }, "none: held"],
  ["listed for a request", record({ wish: "sync", listed: true }), { asRoot: true }, "none: held"],
  ["BLOCKED", record({ state: "BLOCKED" }), { forced: true, by: "request" }, "none: kept out"],
  ["DENIED", record({ state: "DENIED" }), {}, "none: kept out"],
  ["HELD", record({ state: "HELD", held: "mod" }), {}, "none: kept out"],
  [
    "HELD, asked by a request",
    record({ state: "HELD", held: "mod" }),
    { by: "request" },
    "fetch: asked again",
  ],
  [
    "CONFLICT without a database",
    record({ state: "CONFLICT" }),
    { by: "request", forced: true },
    "none: conflict",
  ],
  ["forced", record(), { forced: true, provable: true }, "refetch: forced"],
  [
    "forced, CONFLICT of first sight, although a database is said to cover it",
    record({ state: "CONFLICT" }),
    { forced: true, provable: true },
    "none: conflict",
  ],
  [
    "forced, CONFLICT under a database",
    record({ state: "CONFLICT", sumdbRecords: { "sum.example.org": 1 } }),
    { forced: true, provable: true },
    "refetch: forced",
  ],
  [
    "held, but differs in the tree",
    record(),
    { tree: "differs", provable: true },
    "refetch: differs in the tree",
  ],
  [
    "held, but missing in the tree",
    record(),
    { tree: "missing", provable: true },
    "fetch: missing in the tree",
  ],
  ["nothing held, nothing missing", record({ ...pending }), { tree: "missing" }, "none: under way"],
  ["READY for its go.mod, wanted whole", record({ wanted: "mod", held: "mod" }), {}, "fetch: wanted wider"],
  [
    "PENDING for its go.mod, wanted whole",
    record({ state: "PENDING", wanted: "mod", held: "nothing" }),
    {},
    "fetch: wanted wider",
  ],
  ["PENDING", record({ state: "PENDING", held: "nothing" }), {}, "none: under way"],
  ["READY, and yet less held than wanted", record({ held: "mod" }), {}, "fetch: wanted wider"],
  ["FAILED, seen by a feed", record({ state: "FAILED", held: "nothing", due: 1 }), {}, "none: waits"],
  ["BROKEN, seen by a feed", record({ state: "BROKEN", held: "nothing" }), {}, "none: waits"],
  [
    "FAILED since the request came",
    record({ state: "FAILED", held: "nothing", wantedAt: 600, due: NOW + 1 }),
    { by: "request", since: 500 },
    "none: waits",
  ],
  [
    "FAILED since the request came, due",
    record({ state: "FAILED", held: "nothing", wantedAt: 600, due: NOW }),
    { by: "request", since: 500 },
    "fetch: asked again",
  ],
  [
    "FAILED before the request came",
    record({ state: "FAILED", held: "nothing", wantedAt: 400, due: NOW + 1 }),
    { by: "request", since: 500 },
    "fetch: asked again",
  ],
  [
    "GONE, asked by a request",
    record({ state: "GONE", held: "nothing" }),
    { by: "request" },
    "fetch: asked again",
  ],
  [
    "CONFLICT under a database, by a request",
    record({ state: "CONFLICT", sumdbRecords: { "sum.example.org": 1 } }),
    { by: "request", provable: true },
    "fetch: asked again",
  ],
  ["other hashes", record(), { hashes: { zip: OTHER } }, "refetch: hashes differ"],
  ["another go.mod", record(), { hashes: { mod: OTHER, zip: ZIP } }, "refetch: hashes differ"],
  [
    "other hashes than the proven ones",
    record(),
    { hashes: { zip: OTHER }, provable: true },
    "none: hashes differ",
  ],
  [
    "another Time, equal hashes",
    record(),
    { time: "2025-01-01T00:00:00Z", hashes: { zip: ZIP } },
    "none: time differs",
  ],
  ["another Time, proven", record(), { time: "2025-01-01T00:00:00Z", provable: true }, "none: time differs"],
  ["another Time, no hashes", record(), { time: "2025-01-01T00:00:00Z" }, "refetch: time differs"],
  [
    "another Time, only the go.mod's hash",
    record(),
    { time: "2025-01-01T00:00:00Z", hashes: { mod: MOD } },
    "refetch: time differs",
  ],
  ["the same moment in another zone", record(), { time: "2024-01-02T05:04:05+02:00" }, "none: held"],
  ["no Time, equal hashes", record(), { time: null, hashes: { zip: ZIP } }, "none: held"],
  ["no Time, other hashes", record(), { time: null, hashes: { zip: OTHER } }, "refetch: hashes differ"],
  ["no Time, no hashes", record(), { time: null }, "refetch: no time"],
  ["no Time, proven", record(), { time: null, provable: true }, "none: held"],
  [
    "a go.mod alone, its hash equal, no Time",
    record({ wanted: "mod", held: "mod" }),
    { wanted: "mod", time: null, hashes: { mod: MOD } },
    "none: held",
  ],
  ["held", record(), { time: TIME, hashes: { zip: ZIP, mod: MOD } }, "none: held"],
  ["held, nothing said of it", record(), {}, "none: held"],
];

describe("the decision about a version", () => {
  test("is what a request's records become: `want` asks again, or leaves, as it says", () => {
    const anyRecord = fc.record({
      state: fc.constantFrom<State[]>(
        "PENDING",
        "READY",
        "HELD",
        "FAILED",
        "BROKEN",
        "WITHHELD",
        "GONE",
        "DENIED",
        "BLOCKED",
        "CONFLICT",
      ),
      wanted: fc.constantFrom<Extent[]>("mod", "whole"),
      held: fc.constantFrom<(Extent | "nothing")[]>("nothing", "mod", "whole"),
      wantedAt: fc.constantFrom(400, 600),
      due: fc.constantFrom(undefined, NOW, NOW + 1),
    });
    const asked = fc.record({
      wanted: fc.constantFrom<Extent[]>("mod", "whole"),
      provable: fc.boolean(),
      since: fc.constantFrom(undefined, 500),
    });
    fc.assert(
      fc.property(anyRecord, asked, ({ due, ...fields }, { wanted, provable, since }) => {
        const { due: _due, ...rest } = record(fields);
        const before = due === undefined ? rest : { ...rest, due };
        const sinceField = since === undefined ? {} : { since };
        const { action } = decide(before, seen({ by: "request", wanted, provable, ...sinceField }));
        const after = want(before, before, wanted, "sync", NOW, provable, since);
        const works =
          after.state === "PENDING" && (before.state !== "PENDING" || after.wanted !== before.wanted);
        // PENDING for its go.mod, which is held, and wanted wider: it is under way, and fetches what is recorded.
        const isWider = before.state === "PENDING" && after.wanted !== before.wanted && action === "none";
        expect(isWider || (action === "fetch") === works).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each(rows)("%s", (_, before, fields, expected) => {
    const { action, reason } = decide(before, seen(fields));
    expect(`${action}: ${reason}`).toBe(expected);
  });
});
