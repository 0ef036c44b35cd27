import { beforeEach, describe, expect, test } from "vitest";
import { MemoryLedger } from "../../../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../../../adapters/local/memory-queue.ts";
import { MemoryTree } from "../../../adapters/local/memory-tree.ts";
import { block } from "../../../mirror/block.ts";
import { MirrorError } from "../../../mirror/errors.ts";
import { rebuildLedger } from "../../../mirror/recovery/rebuild-ledger.ts";
import { rebuildTree } from "../../../mirror/recovery/rebuild-tree.ts";
import { restoreDecisions } from "../../../mirror/recovery/restore-decisions.ts";
import { openSnapshot } from "../../../mirror/snapshot/open-snapshot.ts";
import { takeSnapshot } from "../../../mirror/snapshot/take.ts";
import { MadeMirror } from "../made-mirror.ts";
import { MadeUpstream } from "../made-upstream.ts";
import { drop, hashHere, scrubbed } from "../scrub/scrub-world.ts";
import { memorySpool } from "../snapshot/snapshot-world.ts";

const NAMES = [
  "example.com/a@v1.0.0",
  "example.com/a@v1.1.0",
  "example.com/Big@v1.0.0",
  "example.com/p@v0.0.0-20240102030405-0123456789ab",
];

describe("rebuilding a lost tree from a snapshot and upstream", () => {
  let upstream: MadeUpstream;
  let mirror: MadeMirror;
  let files: Map<string, string>;
  beforeEach(async () => {
    upstream = new MadeUpstream();
    upstream.database.grow(3_000);
    for (const name of NAMES.slice(0, 2)) upstream.add(name);
    mirror = new MadeMirror(upstream, { tiles: "upper" });
    await mirror.request({ wishes: NAMES.slice(0, 2) });
    upstream.database.grow(70_000);
    for (const name of NAMES.slice(2)) upstream.add(name);
    await mirror.request({ wishes: NAMES.slice(2) }, "more");
    await mirror.parts.database.advance();
    await mirror.parts.database.complete();
    files = await contents(mirror);
  });

  const contents = async (of: MadeMirror): Promise<Map<string, string>> => {
    const found = new Map<string, string>();
    for (const key of await of.keys())
      found.set(key, Buffer.from((await of.tree.get(key as never, 1 << 24))?.bytes ?? "").toString("base64"));
    return found;
  };
  const bereft = (of: "bucket" | "both"): MadeMirror => {
    const tree = new MemoryTree();
    const ledger = of === "both" ? new MemoryLedger() : mirror.ledger;
    return new MadeMirror(
      upstream,
      { tiles: "upper" },
      Object.assign(Object.create(mirror), { tree, ledger, queue: new MemoryQueue() }),
    );
  };
  const snapshot = async () => {
    const { tree, vault, ledger, clock } = mirror;
    const taken = await takeSnapshot(
      { tree, vault, ledger, now: clock.now, spool: memorySpool },
      { owner: "test", closedAfter: 0 },
    );
    const opened = taken.outcome === "taken" && (await openSnapshot(vault, taken.header.name));
    return opened || expect.fail("no snapshot");
  };
  const rebuild = async (over: MadeMirror, from: Awaited<ReturnType<typeof snapshot>>) => {
    const messages: string[] = [];
    const { verifier } = upstream.database;
    await restoreDecisions({ ...over, databases: [verifier.name], now: over.clock.now });
    const result = await rebuildTree(
      {
        tree: over.tree,
        ledger: over.ledger,
        verifiers: [verifier],
        spool: memorySpool,
        now: over.clock.now,
        upstream: over.parts,
        databases: over.parts.databases,
        bundles: [],
        found: ({ subject, message }) => void messages.push(`${subject}: ${message}`),
        progress: () => {},
      },
      from,
    );
    return { ...result, messages };
  };

  test.each(["bucket", "both"] as const)(
    "of which the %s is gone: every file is as it was, byte for byte",
    async (gone) => {
      const from = await snapshot();
      const over = bereft(gone);
      expect(await rebuild(over, from)).toMatchObject({ versions: 4, restored: 4, lost: 0, messages: [] });
      const after = await contents(over);
      const moving = (key: string) => key.includes("/lookup/") || key.endsWith("/latest");
      for (const [key, bytes] of files) if (!moving(key)) expect([key, after.get(key)]).toEqual([key, bytes]);
      // Lookups carry the newest head now; a go client that has seen an older one verifies with what is there.
      expect([...after.keys()].filter((key) => !key.includes("/tile/")).sort()).toEqual(
        [...files.keys()].filter((key) => !key.includes("/tile/")).sort(),
      );
      for (const level of ["quick", "deep"] as const)
        expect((await scrubbed(over, upstream, level)).names).toEqual([]);
      expect(await rebuild(over, from)).toMatchObject({ restored: 0, lost: 0 });
    },
  );

  test("what upstream has no more is lost by name, in no list, and comes back where it is found again", async () => {
    const from = await snapshot();
    const over = bereft("bucket");
    upstream.wrong.set(
      "zip example.com/a@v1.1.0",
      new MirrorError("absent", "example.com/a@v1.1.0", "example.com/a@v1.1.0: not found (404)"),
    );
    const { messages, lost } = await rebuild(over, from);
    expect([lost, messages]).toEqual([
      1,
      [expect.stringMatching(/^example.com\/a@v1.1.0: lost: .*not found/)],
    ]);
    expect(await over.text("example.com/a/@v/list")).toBe("v1.0.0\n");
    upstream.wrong.clear();
    expect(await rebuild(over, from)).toMatchObject({ restored: 1, lost: 0 });
    expect(await over.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.1.0\n");
    expect((await scrubbed(over, upstream, "deep")).names).toEqual([]);
  });

  test("upstream's other bytes are not taken, whatever it calls them", async () => {
    const from = await snapshot();
    const over = bereft("both");
    upstream.wrong.set(
      "zip example.com/a@v1.1.0",
      upstream.made.get("example.com/a@v1.0.0")?.zip ?? expect.fail(),
    );
    const { lost } = await rebuild(over, from);
    expect(lost).toBe(1);
    expect(await over.keys()).not.toContain("example.com/a/@v/v1.1.0.zip");
  });

  test("what was blocked, before the snapshot or since, does not come back", async () => {
    await block(mirror.parts, "example.com/Big@v1.0.0", "bad", "me");
    const from = await snapshot();
    await block(mirror.parts, "example.com/p", "worse", "me");
    const over = bereft("bucket");
    await rebuild(over, from);
    const zips = (await over.keys()).filter((key) => key.endsWith(".zip"));
    expect(zips).toEqual(["example.com/a/@v/v1.0.0.zip", "example.com/a/@v/v1.1.0.zip"]);
  });

  test("a tree of which half is left keeps what it has, and a lost ledger is rebuilt over it first", async () => {
    const from = await snapshot();
    for (const key of files.keys()) if (key.startsWith("example.com/a/")) await drop(mirror.tree, key);
    const ledger = new MemoryLedger();
    const over = new MadeMirror(
      upstream,
      { tiles: "upper" },
      Object.assign(Object.create(mirror), { ledger, queue: new MemoryQueue() }),
    );
    const { verifier } = upstream.database;
    await rebuildLedger({
      ...over.parts,
      hasher: hashHere,
      verifiers: [verifier],
      covering: () => [verifier.name],
      found: () => {},
      progress: () => {},
    });
    expect(await rebuild(over, from)).toMatchObject({ restored: 2, lost: 0 });
    expect((await scrubbed(over, upstream, "deep")).names).toEqual([]);
  });
});
