import { describe, expect, test } from "vitest";
import { moduleVersion } from "../../../gomod/version.ts";
import { readStatus } from "../../../mirror/status.ts";
import { TICK_LEASE } from "../../../mirror/tick-lease.ts";
import { MadeMirror } from "../made-mirror.ts";
import { MadeUpstream } from "../made-upstream.ts";
import { MemoryJobs, step, type Task } from "./checksum-world.ts";
import { drop, flipBit, plant } from "./scrub-world.ts";

const NAMES = ["a", "a-b", "a/b", "B"].map((path) => `example.com/${path}@v1.0.0`);
const ZIP = "example.com/a/@v/v1.0.0.zip";
const MOD = "example.com/a-b/@v/v1.0.0.mod";
const DAY = 86_400_000;

async function world() {
  const upstream = new MadeUpstream();
  upstream.database.grow(300);
  for (const name of NAMES) upstream.add(name);
  const mirror = new MadeMirror(upstream);
  await mirror.request({ wishes: NAMES });
  return { upstream, mirror, jobs: new MemoryJobs(mirror) };
}

describe("a scrub by a checksum job", () => {
  test("orders one job, waits for it, and finds nothing where nothing is wrong", async () => {
    const { upstream, mirror, jobs } = await world();
    const first = await step(mirror, upstream, jobs);
    expect(first.result).toMatchObject({ step: "waiting", job: "job-id-1", description: { status: "New" } });
    // Asked again, by a person or a schedule: the same job.
    for (let look = 0; look < 3; look++)
      expect((await step(mirror, upstream, jobs)).result?.step).toBe("waiting");
    expect(jobs.orders).toHaveLength(1);
    const status = await readStatus(
      { ...mirror, now: mirror.clock.now, databases: [], feeds: [] },
      { states: [], limit: 1 },
    );
    expect(status.checksumJobs).toMatchObject([{ job: "job-id-1", part: "1of1", status: "New" }]);
    await jobs.run();
    const done = await step(mirror, upstream, jobs);
    expect(done.result).toMatchObject({
      step: "compared",
      finished: true,
      counts: { files: 12, findings: 0 },
    });
    expect(jobs.orders).toHaveLength(1);
  });

  test("finds what differs and what is gone, mends it from upstream, and the next one finds nothing", async () => {
    const { upstream, mirror, jobs } = await world();
    const whole = await mirror.keys();
    await step(mirror, upstream, jobs);
    await flipBit(mirror.tree, ZIP);
    await drop(mirror.tree, MOD);
    await jobs.run();
    const { result, findings, names } = await step(mirror, upstream, jobs, { mends: true });
    expect(names).toEqual([`damaged ${ZIP}`, `missing ${MOD}`]);
    expect(findings.map(({ outcome }) => outcome)).toEqual(["restored", "restored"]);
    expect(result).toMatchObject({ step: "compared", finished: true, counts: { findings: 2, restored: 2 } });
    expect(await mirror.keys()).toEqual(whole);
    await step(mirror, upstream, jobs);
    expect(jobs.orders).toHaveLength(2);
    await jobs.run();
    expect((await step(mirror, upstream, jobs)).names).toEqual([]);
  });

  test("what nobody mends stays open, with what would", async () => {
    const { upstream, mirror, jobs } = await world();
    await step(mirror, upstream, jobs);
    await flipBit(mirror.tree, ZIP);
    await jobs.run();
    const { findings } = await step(mirror, upstream, jobs);
    expect(findings).toMatchObject([
      { kind: "damaged", outcome: "open", remedy: expect.stringContaining("upstream") },
    ]);
  });

  test("what was mended, collected or blocked while the job went on is no finding", async () => {
    const { upstream, mirror, jobs } = await world();
    await step(mirror, upstream, jobs);
    const right = await drop(mirror.tree, ZIP);
    await plant(mirror.tree, ZIP, "damaged");
    await drop(mirror.tree, MOD);
    await jobs.run();
    await drop(mirror.tree, ZIP);
    await plant(mirror.tree, ZIP, right);
    const [record] = await mirror.ledger.read([moduleVersion("example.com/a-b", "v1.0.0")]);
    if (record === undefined) throw new Error("no record");
    await mirror.ledger.write([{ record: { ...record, held: "nothing", state: "BLOCKED" } }]);
    expect((await step(mirror, upstream, jobs)).names).toEqual([]);
  });

  test.each<[string, (tasks: Task[]) => Task[], string]>([
    [
      "could not be read by its task",
      (tasks) =>
        tasks.map((task) =>
          task.key === "example.com/a/%40v/v1.0.0.zip"
            ? { ...task, failure: "Internal server error, please retry" }
            : task,
        ),
      "could not read it: PermanentFailure: ",
    ],
    [
      "has no row",
      (tasks) => tasks.filter(({ key }) => key !== "example.com/a/%40v/v1.0.0.zip"),
      "says nothing of it",
    ],
  ])("a file that %s is a finding", async (_what, tasks, why) => {
    const { upstream, mirror, jobs } = await world();
    await step(mirror, upstream, jobs);
    await jobs.run({ tasks });
    const { findings } = await step(mirror, upstream, jobs, { mends: true });
    expect(findings).toMatchObject([
      { kind: "unchecked", subject: ZIP, outcome: "open", message: expect.stringContaining(why) },
    ]);
  });

  test("a checksum that reading the very same object contradicts is said, and nothing is taken out for it", async () => {
    const { upstream, mirror, jobs } = await world();
    await step(mirror, upstream, jobs);
    const lie = (task: Task) =>
      task.key.endsWith("/a/%40v/v1.0.0.zip") ? { ...task, bytes: Buffer.from("a lie") } : task;
    await jobs.run({ tasks: (tasks) => tasks.map(lie) });
    const before = await mirror.tree.get(ZIP as never, 1 << 24);
    const { findings } = await step(mirror, upstream, jobs, { mends: true });
    expect(findings).toMatchObject([
      { kind: "damaged", subject: ZIP, outcome: "open", message: expect.stringContaining("ask AWS") },
    ]);
    expect(await mirror.tree.get(ZIP as never, 1 << 24)).toEqual(before);
  });

  test.each<[string, Parameters<MemoryJobs["run"]>[0], string]>([
    [
      "speaks of a file that was not asked about",
      { tasks: (tasks) => [...tasks, { key: "example.com/other/%40v/v1.0.0.zip", bytes: Buffer.of() }] },
      "which this manifest has not",
    ],
    [
      "is damaged",
      {
        objects: (objects) => {
          for (const key of objects.keys()) if (key.endsWith(".csv")) objects.set(key, Buffer.from("x"));
        },
      },
      "row 1",
    ],
    ["is not there", { objects: (objects) => objects.clear() }, "left no report"],
  ])("a report that %s proves nothing: one finding, and nothing mended", async (_what, edit, why) => {
    const { upstream, mirror, jobs } = await world();
    await step(mirror, upstream, jobs);
    await flipBit(mirror.tree, ZIP);
    await jobs.run(edit);
    const { findings, result } = await step(mirror, upstream, jobs, { mends: true });
    expect(findings).toMatchObject([
      { kind: "unchecked", subject: "job job-id-1", outcome: "open", message: expect.stringContaining(why) },
    ]);
    expect(result).toMatchObject({ step: "compared", finished: true });
  });

  test("a job of another manifest, one that S3 has forgotten, and one that failed are said, and followed by another", async () => {
    const { upstream, mirror, jobs } = await world();
    await step(mirror, upstream, jobs);
    await jobs.run();
    const other = {
      ...jobs,
      treeBucket: jobs.treeBucket,
      vaultBucket: jobs.vaultBucket,
      create: jobs.create.bind(jobs),
      describe: async (id: string) => {
        const told = await jobs.describe(id);
        return told && { ...told, manifest: { ...told.manifest, etag: "another" } };
      },
    };
    expect((await step(mirror, upstream, other)).findings).toMatchObject([
      { message: expect.stringContaining("another manifest") },
    ]);
    await step(mirror, upstream, jobs);
    jobs.forget();
    expect((await step(mirror, upstream, jobs)).findings).toMatchObject([
      { message: expect.stringContaining("no more") },
    ]);
    await step(mirror, upstream, jobs);
    await flipBit(mirror.tree, ZIP);
    await jobs.run({
      status: "Failed",
      reasons: ["TooMany: more than half failed"],
      tasks: (tasks) => tasks.filter(({ key }) => key.includes("/a/")),
    });
    // What it does say is gone by; of the rest there is one line.
    const { names, findings } = await step(mirror, upstream, jobs, { mends: true });
    expect(names).toEqual([`damaged ${ZIP}`, "unchecked job job-id-3"]);
    expect(findings.at(-1)?.message).toContain("Failed: TooMany: more than half failed");
    expect(jobs.orders).toHaveLength(3);
  });

  test("rests until it is time again, but for an order by hand", async () => {
    const { upstream, mirror, jobs } = await world();
    const every = 30 * DAY;
    const later = async (ms: number, by?: number) => {
      mirror.clock.ms += ms;
      return (await step(mirror, upstream, jobs, by === undefined ? {} : { every: by })).result?.step;
    };
    expect(await later(0, every)).toBe("waiting");
    await jobs.run();
    expect(await later(DAY, every)).toBe("compared");
    expect(await later(28 * DAY, every)).toBe("resting");
    expect(await later(DAY, every)).toBe("waiting");
    await jobs.run();
    expect(await later(DAY, every)).toBe("compared");
    expect(await later(0)).toBe("waiting");
    expect(jobs.orders).toHaveLength(3);
  });

  test("parts have jobs of their own, which together hash every file once", async () => {
    const { upstream, mirror, jobs } = await world();
    let files = 0;
    for (const index of [1, 2, 3]) {
      const shard = { index, of: 3 };
      const first = await step(mirror, upstream, jobs, { shard });
      if (first.result?.step === "waiting") await jobs.run();
      const { result } =
        first.result?.step === "waiting" ? await step(mirror, upstream, jobs, { shard }) : first;
      expect(result).toMatchObject({ step: "compared", finished: true, counts: { findings: 0 } });
      files += result?.step === "compared" ? result.counts.files : 0;
    }
    expect(files).toBe(12);
    expect(new Set(jobs.orders.map(({ token }) => token)).size).toBe(jobs.orders.length);
  });

  test("a mirror that holds nothing orders nothing", async () => {
    const upstream = new MadeUpstream();
    const mirror = new MadeMirror(upstream);
    const jobs = new MemoryJobs(mirror);
    expect((await step(mirror, upstream, jobs)).result).toMatchObject({ step: "compared", finished: true });
    expect(jobs.orders).toEqual([]);
  });

  test("time that runs out while it compares is no loss: the next call goes on, and says again what was found", async () => {
    const { upstream, mirror, jobs } = await world();
    for (let at = 0; at < 40; at++) upstream.add(`example.com/many${at}@v1.0.0`);
    await mirror.request({ wishes: Array.from({ length: 40 }, (_, at) => `example.com/many${at}@v1.0.0`) });
    await step(mirror, upstream, jobs);
    for (let at = 0; at < 40; at++) await flipBit(mirror.tree, `example.com/many${at}/@v/v1.0.0.mod`);
    await jobs.run();
    const found = new Set<string>();
    let calls = 0;
    for (;;) {
      const { result, names } = await step(mirror, upstream, jobs, { deadline: { remaining: () => 0 } });
      for (const name of names) found.add(name);
      calls++;
      if (result?.step === "compared" && result.finished) {
        expect(result.counts).toMatchObject({ findings: 40, files: 132 });
        break;
      }
    }
    expect(calls).toBeGreaterThan(2);
    expect(found.size).toBe(40);
    expect(jobs.orders).toHaveLength(1);
  });

  test("a process that dies at whatever call is followed by one that takes up the same job, and finds the same", async () => {
    let died = 0;
    for (let at = 1; ; at++) {
      let hit = false;
      for (const applied of [false, true]) {
        const { upstream, mirror, jobs } = await world();
        const dying = new Dying(at, applied);
        const own = dying.over(jobs as never) as unknown as MemoryJobs;
        const over = { ledger: dying.over(mirror.ledger), vault: dying.over(mirror.vault) };
        const names = new Set<string>();
        const options = { over };
        // Up to its death: it orders, the job runs, and it compares.
        try {
          await step(mirror, upstream, own, options);
          await flipBit(mirror.tree, ZIP);
          await jobs.run();
          await step(mirror, upstream, own, options);
        } catch (thrown) {
          if (!(thrown instanceof Death)) throw thrown;
        }
        if (!dying.isDead) continue;
        hit = true;
        died++;
        mirror.clock.ms += TICK_LEASE;
        let result: Awaited<ReturnType<typeof step>>["result"];
        const wasRun = (await jobs.describe("job-id-1"))?.status === "Complete";
        const next = await step(mirror, upstream, jobs);
        for (const name of next.names) names.add(name);
        result = next.result;
        if (result?.step === "waiting" && !wasRun) {
          await flipBit(mirror.tree, ZIP);
          await jobs.run();
          const last = await step(mirror, upstream, jobs);
          for (const name of last.names) names.add(name);
          result = last.result;
        }
        // Dead behind its last write: the run had ended, and this is the next one.
        if (result?.step === "waiting") {
          expect(jobs.orders.length).toBe(2);
          continue;
        }
        expect([at, applied, result?.step, [...names]]).toEqual([
          at,
          applied,
          "compared",
          [`damaged ${ZIP}`],
        ]);
        expect(jobs.orders).toHaveLength(1);
      }
      if (!hit) break;
    }
    expect(died).toBeGreaterThan(30);
  });
});

class Death extends Error {}

/** Stores of a process that dies at its nth call, before or after that is done; nothing it asks then is answered. */
class Dying {
  readonly #at: number;
  readonly #applied: boolean;
  #calls = 0;
  isDead = false;

  constructor(at: number, applied: boolean) {
    this.#at = at;
    this.#applied = applied;
  }

  over<T extends object>(store: T): T {
    return new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          if (this.isDead) throw new Death();
          this.isDead = ++this.#calls === this.#at;
          if (this.isDead && !this.#applied) throw new Death();
          const result = (value as (...args: unknown[]) => unknown).apply(target, args);
          if (!this.isDead) return result;
          if (!(result instanceof Promise)) throw new Death();
          return result.then(() => {
            throw new Death();
          });
        };
      },
    });
  }
}
