import fc from "fast-check";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { modulePath } from "../../gomod/module-path.ts";
import type { RequestBody } from "../../mirror/requests.ts";
import { parseTreeKey } from "../../mirror/tree-keys.ts";
import { verifyMirror } from "../../mirror/verify.ts";
import { CrashSimulation, type Step } from "./crash-simulation.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";
import { pollTick } from "./poll-tick.ts";

/** Schedules in each run of the suite; MODFERRY_CASES asks for more. */
const CASES = Number(process.env.MODFERRY_CASES ?? 250);
const SEED = process.env.MODFERRY_SEED === undefined ? undefined : Number(process.env.MODFERRY_SEED);

/** Whoever waits for a lease waits in the simulation's time. */
const waiting = vi.hoisted(() => ({ pass: (_ms: number) => {} }));
vi.mock("node:timers/promises", async (original) => {
  const real = await original<typeof import("node:timers/promises")>();
  const setTimeout = async (ms: number) => {
    waiting.pass(ms);
    await real.setImmediate();
  };
  return { ...real, setTimeout };
});

const PSEUDO = "example.com/e@v0.0.0-20240102030405-0123456789ab";

function universe(): MadeUpstream {
  const upstream = new MadeUpstream();
  // Close below a full tile, so that heads fall on both sides of it.
  upstream.database.grow(246);
  upstream.add("example.com/d@v1.0.0");
  upstream.add("example.com/c@v1.0.0");
  upstream.database.grow(3);
  upstream.add("example.com/c@v1.1.0", { requires: ["example.com/d@v1.0.0"] });
  upstream.add("example.com/b@v1.0.0", { requires: ["example.com/c@v1.0.0"] });
  upstream.add("example.com/a@v1.0.0", { requires: ["example.com/b@v1.0.0", "example.com/c@v1.1.0"] });
  upstream.add("example.com/a@v1.1.0", { requires: ["example.com/b@v1.0.0"] });
  upstream.add(PSEUDO, { requires: ["example.com/d@v1.0.0"] });
  return upstream;
}

const goMod = `module example.org/main

go 1.16

require (
	example.com/a v1.1.0
	example.com/c v1.1.0
)
`;
const BODIES: Partial<RequestBody>[] = [
  { wishes: ["example.com/a@v1.0.0", PSEUDO] },
  { files: { "go.mod": goMod } },
  { exact: ["example.com/b@v1.0.0"], wishes: ["example.com/a@latest"] },
];
const FEED = ["example.com/a", "example.com/c", "example.com/d"];

const trouble = fc.record({
  at: fc.oneof(fc.nat(12), fc.nat(60)),
  kind: fc.constantFrom("die" as const, "die" as const, "fail" as const),
  applied: fc.boolean(),
});
const step: fc.Arbitrary<Step> = fc.record({
  action: fc.oneof(
    { weight: 2, arbitrary: fc.constant("hand in" as const) },
    { weight: 8, arbitrary: fc.constant("work" as const) },
    { weight: 1, arbitrary: fc.constantFrom("plan" as const, "reconcile" as const, "wait" as const) },
    { weight: 2, arbitrary: fc.constantFrom("grow" as const, "advance" as const) },
  ),
  pick: fc.nat(7),
  twice: fc.boolean(),
  troubles: fc.array(trouble, { maxLength: 2 }),
});

/** What a run without troubles makes of the same requests, by which they were. */
const clean = new Map<string, Promise<Map<string, string>>>();

async function cleanRun(bodies: readonly number[], planned: boolean): Promise<Map<string, string>> {
  const mirror = new MadeMirror(universe());
  for (const at of bodies) await mirror.request(BODIES[at] as Partial<RequestBody>);
  if (planned) await pollTick(mirror.parts, FEED.map(modulePath), "test");
  await mirror.drain();
  return await moduleFiles(mirror.tree);
}

/** The tree without the checksum database, whose heads depend on when it was asked. */
async function moduleFiles(tree: MadeMirror["tree"]): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for await (const { key } of tree.keys()) {
    const entry = parseTreeKey(key);
    if (entry === undefined || "database" in entry) continue;
    const stored = await tree.get(entry.key, 1 << 24);
    files.set(key, entry.kind === "list" || entry.kind === "latest" ? textOf(stored) : (stored?.etag ?? ""));
  }
  return new Map([...files].sort());
}

const textOf = (stored: { bytes: Uint8Array } | undefined) => new TextDecoder().decode(stored?.bytes);

async function runSchedule(steps: readonly Step[], seed: number): Promise<void> {
  const upstream = universe();
  const simulation = new CrashSimulation(upstream, BODIES, FEED, seed);
  const { reader, ledger, clock } = simulation;
  waiting.pass = (ms) => {
    clock.ms += ms;
  };
  for (const next of steps) {
    await simulation.step(next);
    expect(reader.broken).toEqual([]);
  }
  const planned = simulation.planned;
  const left = await simulation.settleAll();
  expect(reader.broken).toEqual([]);
  expect(left).toEqual([]);
  await reader.lookAtAll();
  expect(reader.broken).toEqual([]);

  const verifiers = [upstream.database.verifier];
  const parts = { tree: reader, ledger, zips: zipChecker, verifiers, progress: () => {} };
  expect((await verifyMirror(parts)).findings).toEqual([]);
  const asked = steps.filter(({ action }) => action === "hand in").map(({ pick }) => pick % BODIES.length);
  const bodies = [...new Set(asked)].sort();
  const key = `${bodies} ${planned}`;
  if (!clean.has(key)) clean.set(key, cleanRun(bodies, planned));
  expect(Object.fromEntries(await moduleFiles(reader))).toEqual(
    Object.fromEntries((await clean.get(key)) ?? []),
  );
}

describe("a mirror whose processes die at any call, and whose queue repeats and reorders", () => {
  let count = 0;
  beforeAll(() => {
    count = 0;
  });

  test(
    `shows no reader anything wrong, and ends as if nothing had happened (${CASES} schedules)`,
    async () => {
      const property = fc.asyncProperty(
        fc.array(step, { minLength: 3, maxLength: 24, size: "max" }),
        fc.nat(1_000_000),
        async (steps, seed) => {
          count++;
          await runSchedule([{ action: "hand in", pick: seed, twice: false, troubles: [] }, ...steps], seed);
        },
      );
      await fc.assert(property, { numRuns: CASES, ...(SEED === undefined ? {} : { seed: SEED }) });
      expect(count).toBeGreaterThanOrEqual(CASES);
    },
    60_000 + CASES * 1_000,
  );
});
