import { beforeEach, describe, expect, test } from "vitest";
import { moduleVersion } from "../../../gomod/version.ts";
import { block } from "../../../mirror/block.ts";
import { moveMark, readMark } from "../../../mirror/bundle/mark.ts";
import { rollback } from "../../../mirror/recovery/rollback.ts";
import { expireSnapshot } from "../../../mirror/snapshot/catalog.ts";
import { openSnapshot } from "../../../mirror/snapshot/open-snapshot.ts";
import type { SnapshotName } from "../../../mirror/snapshot/snapshot-name.ts";
import { takeSnapshot } from "../../../mirror/snapshot/take.ts";
import { MadeMirror } from "../made-mirror.ts";
import { MadeUpstream } from "../made-upstream.ts";
import { memoryRuns, scrubbed } from "../scrub/scrub-world.ts";
import { memorySpool } from "../snapshot/snapshot-world.ts";

const FIRST = ["example.com/a@v1.0.0", "example.com/a-b@v1.0.0", "example.com/B@v1.0.0"];
const BAD_DAY = ["example.com/a@v1.1.0", "example.com/new@v1.0.0", "example.com/a-b@v1.0.1-bad"];

describe("rolling back a bad day", () => {
  let upstream: MadeUpstream;
  let mirror: MadeMirror;
  let name: SnapshotName;
  beforeEach(async () => {
    upstream = new MadeUpstream();
    for (const one of FIRST) upstream.add(one);
    mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: FIRST }, "first");
    name = await snapshot();
    mirror.clock.ms += 3_600_000;
    for (const one of BAD_DAY) upstream.add(one);
    await mirror.request({ wishes: BAD_DAY }, "bad");
  });
  const snapshot = async (): Promise<SnapshotName> => {
    const { tree, vault, ledger, clock } = mirror;
    const taken = await takeSnapshot(
      { tree, vault, ledger, now: clock.now, spool: memorySpool },
      { owner: "test", closedAfter: 0 },
    );
    return taken.outcome === "taken" ? taken.header.name : expect.fail(taken.outcome);
  };
  const rolledBack = async (to = name) => {
    const messages: string[] = [];
    const { tree, vault, ledger, clock } = mirror;
    const found = ({ subject, message }: { subject: string; message: string }) =>
      void messages.push(`${subject}: ${message}`);
    return {
      ...(await rollback({ tree, vault, ledger, runs: memoryRuns, now: clock.now, found }, to, "me")),
      messages,
    };
  };
  const lists = async () => {
    const found: Record<string, string | undefined> = {};
    for (const key of await mirror.keys())
      if (/(?:\/list|\/@latest)$/.test(key)) found[key] = await mirror.text(key);
    return found;
  };

  test("lists and @latest are as they were; every file, head and record stays", async () => {
    const before = await mirror.keys();
    const head = await mirror.text(`sumdb/${upstream.database.verifier.name}/latest`);
    expect(await rolledBack()).toMatchObject({
      modules: 3,
      listed: 0,
      unlisted: 3,
      findings: 0,
      marked: false,
    });
    const info = '{"Version":"v1.0.0","Time":"2024-01-02T03:04:05Z"}';
    expect(await lists()).toEqual({
      "example.com/!b/@latest": info,
      "example.com/!b/@v/list": "v1.0.0\n",
      "example.com/a-b/@latest": info,
      "example.com/a-b/@v/list": "v1.0.0\n",
      "example.com/a/@latest": info,
      "example.com/a/@v/list": "v1.0.0\n",
      "example.com/new/@v/list": "",
    });
    expect((await mirror.keys()).filter((key) => key !== "example.com/new/@latest")).toEqual(
      before.filter((key) => key !== "example.com/new/@latest"),
    );
    expect(await mirror.text(`sumdb/${upstream.database.verifier.name}/latest`)).toBe(head);
    const [record] = await mirror.ledger.read([moduleVersion("example.com/new", "v1.0.0")]);
    expect(record).toMatchObject({ state: "READY", held: "whole", listed: false });
    for (const level of ["quick", "deep"] as const)
      expect((await scrubbed(mirror, upstream, level)).names).toEqual([]);
    expect(await rolledBack()).toMatchObject({ modules: 0, listed: 0, unlisted: 0 });
  });

  test("and forward again to the bad day's snapshot: what was taken off is put back", async () => {
    const after = await lists();
    const bad = await snapshot();
    await rolledBack();
    expect(await rolledBack(bad)).toMatchObject({ modules: 3, listed: 3, unlisted: 0 });
    expect(await lists()).toEqual(after);
    expect((await scrubbed(mirror, upstream, "quick")).names).toEqual([]);
  });

  test("the next snapshot lists what the one that was rolled back to does, and no more", async () => {
    await snapshot();
    await rolledBack();
    mirror.clock.ms += 60_000;
    const next = await openSnapshot(mirror.vault, await snapshot());
    const listed: string[] = [];
    for await (const entry of next?.entries() ?? [])
      if (entry.listed) listed.push(`${entry.path}@${entry.version}`);
    expect(listed.sort()).toEqual([...FIRST].sort());
  });

  test("a block that was decided since stays in force, and is told", async () => {
    await block(mirror.parts, "example.com/B@v1.0.0", "bad", "me");
    const { messages, findings } = await rolledBack();
    expect([findings, messages]).toEqual([
      1,
      [expect.stringContaining("example.com/B@v1.0.0: was listed then, and is BLOCKED now")],
    ]);
    expect(await mirror.text("example.com/!b/@v/list")).toBe("");
  });

  test("an island's mark goes back, so that its bundles are imported again; another mirror gets none", async () => {
    await rolledBack();
    expect(await readMark(mirror.ledger)).toBeUndefined();
    const bad = await snapshot();
    await moveMark(mirror.ledger, { snapshot: bad, at: 1 });
    expect((await rolledBack()).marked).toBe(true);
    expect((await readMark(mirror.ledger))?.snapshot).toBe(name);
  });

  test("the decision is on record, and an expired or unknown snapshot is refused before anything changes", async () => {
    const before = await lists();
    await expect(rolledBack("20200101T000000Z-0123456789abcdef" as SnapshotName)).rejects.toThrow(
      "none of that name",
    );
    await snapshot();
    await expireSnapshot(mirror, name, 1);
    await expect(rolledBack()).rejects.toThrow("has expired");
    expect(await lists()).toEqual(before);
    const decisions: string[] = [];
    for await (const key of mirror.vault.keys("decisions/rollback/")) decisions.push(key);
    expect(decisions).toEqual([]);
  });

  test("dying anywhere, it is finished by doing it again", async () => {
    const { tree, vault, ledger, clock } = mirror;
    for (let step = 1; ; step++) {
      let left = step;
      const dying = <T extends object>(inner: T, methods: readonly string[]): T =>
        new Proxy(inner, {
          get: (target, method) => {
            const value = Reflect.get(target, method);
            if (typeof value !== "function") return value;
            const bound = value.bind(target);
            if (!methods.includes(String(method))) return bound;
            return async (...args: unknown[]) => {
              if (left-- === 1) throw new Error("power cut");
              return await bound(...args);
            };
          },
        });
      const parts = {
        tree: dying(tree, ["replace", "remove"]),
        vault: dying(vault, ["put"]),
        ledger: dying(ledger, ["write", "writeItem"]),
        runs: memoryRuns,
        now: clock.now,
        found: () => {},
      };
      const died = await rollback(parts, name, "me").then(
        () => false,
        (error: Error) => error.message === "power cut",
      );
      await rolledBack();
      expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
      expect((await scrubbed(mirror, upstream, "quick")).names).toEqual([]);
      if (!died) break;
      // The bad day once more.
      await mirror.request({ wishes: BAD_DAY }, `again${step}`);
      expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.1.0\n");
    }
  });
});
