import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ModuleVersion, moduleVersion } from "../../../gomod/version.ts";
import type { JournalEvent } from "../../../mirror/ledger-entries.ts";
import type { VersionRecord } from "../../../mirror/records.ts";
import { DiffCounter, diffSnapshots } from "../../../mirror/snapshot/diff.ts";
import { changedEntry } from "../../../mirror/snapshot/entry-change.ts";
import type { Snapshot } from "../../../mirror/snapshot/snapshot.ts";
import { entriesOf, namesOf, SnapshotWorld, wholeRecord } from "./snapshot-world.ts";

/** Paths whose order by bytes is not that of their parts: `a`, `a-b`, `a/b`. */
const VERSIONS: readonly ModuleVersion[] = [
  "example.com/a",
  "example.com/a-b",
  "example.com/a/b",
  "example.com/A",
].flatMap((path) => ["v1.0.0", "v1.0.0-pre", "v1.10.0", "v1.9.0"].map((text) => moduleVersion(path, text)));

type Act =
  | "mod"
  | "whole"
  | "list"
  | "unlist"
  | "block"
  | "deny"
  | "conflict"
  | "collect"
  | "revive"
  | "proof";
const ACTS: readonly Act[] = [
  "mod",
  "whole",
  "list",
  "unlist",
  "block",
  "deny",
  "conflict",
  "collect",
  "revive",
  "proof",
];

interface Step {
  readonly act: Act | "take" | "retake";
  readonly on: number;
  /** Until the next step, in ms. */
  readonly pause: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  act: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...ACTS) },
    { weight: 1, arbitrary: fc.constantFrom("take" as const, "retake" as const) },
  ),
  on: fc.nat(VERSIONS.length - 1),
  pause: fc.constantFrom(0, 1, 1_500, 61_000, 1_800_000, 30 * 3_600_000),
});

/** What the engine writes for each act, with the journal's line that it writes; undefined where it does nothing. */
function written(
  record: VersionRecord | undefined,
  version: ModuleVersion,
  act: Act,
): { readonly record: VersionRecord; readonly event?: JournalEvent } | undefined {
  const whole = wholeRecord(version);
  const { zipH1: _h, zipSha256: _s, zipSize: _z, infoSha256: _i, ...mod } = whole;
  if (act === "mod" && record === undefined)
    return { record: { ...mod, wanted: "mod", held: "mod", listed: false } };
  if (act === "whole" && record?.held !== "whole" && record?.state !== "BLOCKED")
    return { record: { ...whole, listed: false }, event: "held" };
  if (record === undefined) return undefined;
  const held = record.state === "READY" && record.held === "whole";
  switch (act) {
    case "list":
      return held && !record.listed ? { record: { ...record, listed: true }, event: "listed" } : undefined;
    case "unlist":
      return record.listed ? { record: { ...record, listed: false } } : undefined;
    case "block":
      return held
        ? { record: { ...record, state: "BLOCKED", held: "mod", listed: false }, event: "blocked" }
        : undefined;
    case "deny":
      return record.held === "mod" && record.state === "READY"
        ? { record: { ...record, state: "DENIED", wanted: "whole" } }
        : undefined;
    case "conflict":
      return held ? { record: { ...record, state: "CONFLICT", listed: false } } : undefined;
    case "collect":
      return held ? { record: { ...record, state: "REMOVING", listed: false }, event: "removed" } : undefined;
    case "revive":
      return record.state === "REMOVING"
        ? { record: { ...record, state: "READY" }, event: "revived" }
        : undefined;
    case "proof":
      return { record: { ...record, sumdbRecords: { ...record.sumdbRecords, "sum.example.org": 7 } } };
    default:
      return undefined;
  }
}

async function happen(world: SnapshotWorld, { act, on }: Step): Promise<Snapshot | undefined> {
  if (act === "take" || act === "retake") {
    const taken = await world.take({ full: act === "retake" });
    return taken.outcome === "taken" ? await world.open(taken.header.name) : undefined;
  }
  const version = VERSIONS[on] as ModuleVersion;
  const [record] = await world.ledger.read([version]);
  const next = written(record, version, act);
  if (next === undefined) return undefined;
  const line = changedEntry(() => world.now)(next.record, record);
  await world.write(next.record, next.event ?? line?.event);
  return undefined;
}

async function run(
  steps: readonly Step[],
  each: (world: SnapshotWorld) => Promise<void>,
): Promise<Snapshot[]> {
  const world = new SnapshotWorld();
  const snapshots: Snapshot[] = [];
  for (const one of steps) {
    const snapshot = await happen(world, one);
    if (snapshot !== undefined) snapshots.push(snapshot);
    if (one.act === "take" || one.act === "retake") await each(world);
    world.now += one.pause;
  }
  return snapshots;
}

describe("over any history", () => {
  test("each snapshot, made of the one before and the journal, is what the ledger holds", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        await run(steps, async (world) => {
          const taken = await world.take();
          expect(taken.outcome).toBe("unchanged");
          const expected = await world.expected();
          if (taken.outcome !== "unchanged" || taken.name === undefined) return expect(expected).toEqual([]);
          const snapshot = await world.open(taken.name);
          expect(await entriesOf(snapshot)).toEqual(expected);
          expect(snapshot.header.counts).toEqual({
            modules: new Set(expected.map(({ path }) => path)).size,
            versions: expected.length,
            bytes: expected.reduce((sum, { modSize, zipSize = 0 }) => sum + modSize + zipSize, 0),
          });
        });
      }),
      { numRuns: 300 },
    );
  });

  test("the same content has the same hash, whether it was merged or read anew", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        await run(steps, async (world) => {
          const merged = await world.take();
          const anew = await world.take({ full: true });
          expect(anew).toEqual(merged);
        });
      }),
      { numRuns: 100 },
    );
  });

  test("a diff is set arithmetic: what is in the second, less what is in the first, and the other way round", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 20, maxLength: 80 }),
        fc.nat(),
        fc.nat(),
        async (steps, a, b) => {
          const snapshots = await run(steps, async () => {});
          const [from, to] = [snapshots[a % snapshots.length], snapshots[b % snapshots.length]];
          if (from === undefined || to === undefined) return;
          const [before, after] = [await entriesOf(from), await entriesOf(to)];
          const lines = (entries: typeof before) =>
            new Map(namesOf(entries).map((name, at) => [name, JSON.stringify(entries[at])]));
          const [olds, news] = [lines(before), lines(after)];
          const found = { added: [] as string[], removed: [] as string[], changed: [] as string[] };
          const counter = new DiffCounter(from, to);
          for await (const change of diffSnapshots(from, to)) {
            found[change.change].push(...namesOf([change.entry]));
            await counter.count(change);
          }
          expect(found).toEqual({
            added: [...news.keys()].filter((name) => !olds.has(name)),
            removed: [...olds.keys()].filter((name) => !news.has(name)),
            changed: [...news.keys()].filter((name) => olds.has(name) && olds.get(name) !== news.get(name)),
          });
          const modules = (entries: typeof before) => [...new Set(entries.map(({ path }) => path))];
          expect(counter.counts()).toEqual({
            modules: {
              added: modules(after).filter((path) => !modules(before).includes(path)),
              removed: modules(before).filter((path) => !modules(after).includes(path)),
            },
            versions: {
              added: found.added.length,
              removed: found.removed.length,
              changed: found.changed.length,
            },
          });
        },
      ),
      { numRuns: 150 },
    );
  });
});
