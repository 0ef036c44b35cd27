import { beforeEach, describe, expect, test } from "vitest";
import { MemoryLedger } from "../../../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../../../adapters/local/memory-queue.ts";
import { moduleVersion } from "../../../gomod/version.ts";
import { block } from "../../../mirror/block.ts";
import { readBlocks } from "../../../mirror/blocks.ts";
import { MirrorError } from "../../../mirror/errors.ts";
import type { VersionRecord } from "../../../mirror/records.ts";
import { rebuildLedger } from "../../../mirror/recovery/rebuild-ledger.ts";
import { unblock } from "../../../mirror/unblock.ts";
import type { Finding } from "../../../mirror/verify-seen.ts";
import { buildZip } from "../../gomod/zip-builder.ts";
import { MadeMirror } from "../made-mirror.ts";
import { MadeUpstream } from "../made-upstream.ts";
import { drop, flipBit, hashHere, plant, scrubbed } from "../scrub/scrub-world.ts";

const A1 = "example.com/a@v1.0.0";
const A2 = "example.com/a@v1.1.0";
const B1 = "example.com/Big@v1.0.0";
const OLD = "example.com/dep@v1.0.0";
const NEW = "example.com/dep@v1.2.0";
const PSEUDO = "example.com/p@v0.0.0-20240102030405-0123456789ab";

/** What a reader can see of a record. */
const served = ({
  path,
  version,
  state,
  held,
  wanted,
  listed,
  modH1,
  zipH1,
  modSha256,
  zipSha256,
  infoSha256,
  modSize,
  zipSize,
  time,
  sumdbRecords,
}: VersionRecord) => ({
  path,
  version,
  state,
  held,
  wanted,
  listed,
  modH1,
  zipH1,
  modSha256,
  zipSha256,
  infoSha256,
  modSize,
  zipSize,
  time,
  sumdbRecords,
});

async function recordsOf(ledger: MemoryLedger): Promise<ReturnType<typeof served>[]> {
  const records: VersionRecord[] = [];
  for await (const record of ledger.records()) records.push(record);
  return records.map(served).sort((a, b) => (`${a.path}@${a.version}` < `${b.path}@${b.version}` ? -1 : 1));
}

async function headsOf(ledger: MemoryLedger, database: string) {
  const sizes: number[] = [];
  for await (const { size } of ledger.heads(database)) sizes.push(size);
  return sizes;
}

describe("rebuilding a lost ledger", () => {
  let upstream: MadeUpstream;
  let mirror: MadeMirror;
  beforeEach(async () => {
    upstream = new MadeUpstream();
    upstream.database.grow(3_000);
    upstream.add(OLD);
    upstream.add(NEW);
    upstream.add(A1, { requires: [OLD] });
    upstream.add(B1, { requires: [NEW, A1] });
    mirror = new MadeMirror(upstream, { tiles: "full" });
    await mirror.request({ wishes: [A1, B1] });
    // A second head, with lookups of its own.
    upstream.add(A2, { requires: [OLD] });
    upstream.add(PSEUDO);
    upstream.database.grow(100);
    await mirror.request({ wishes: [A2, PSEUDO] }, "more");
    await mirror.parts.database.advance();
    await mirror.parts.database.complete();
  });

  /** The same tree and vault under a ledger that knows nothing. */
  const bereft = (options = {}): MadeMirror =>
    new MadeMirror(
      upstream,
      { tiles: "full", ...options },
      Object.assign(Object.create(mirror), { ledger: new MemoryLedger(), queue: new MemoryQueue() }),
    );
  const rebuild = async (over: MadeMirror, covered = true) => {
    const findings: Finding[] = [];
    const { verifier } = upstream.database;
    const result = await rebuildLedger({
      ...over.parts,
      hasher: hashHere,
      verifiers: [verifier],
      covering: () => (covered ? [verifier.name] : []),
      found: (finding) => void findings.push(finding),
      progress: () => {},
    });
    return { ...result, messages: findings.map(({ subject, message }) => `${subject}: ${message}`) };
  };

  test("gives back every record, head and watermark of what is served, and both scrubs are content", async () => {
    const after = bereft();
    const result = await rebuild(after);
    expect(result.messages).toEqual([]);
    expect(await recordsOf(after.ledger)).toEqual(await recordsOf(mirror.ledger));
    const { name } = upstream.database.verifier;
    expect(await headsOf(after.ledger, name)).toEqual(await headsOf(mirror.ledger, name));
    const filled = async (ledger: MemoryLedger) =>
      (await ledger.readWatermark(`tiles/${name}/full`))?.timestamp;
    expect(await filled(after.ledger)).toBe(await filled(mirror.ledger));
    for (const level of ["quick", "deep"] as const)
      expect((await scrubbed(after, upstream, level)).names).toEqual([]);
  });

  test("the mirror then goes on as before: a new version comes in, under a newer head", async () => {
    const after = bereft();
    await rebuild(after);
    upstream.database.grow(50);
    upstream.add("example.com/a@v1.3.0", { requires: [NEW] });
    await after.request({ wishes: ["example.com/a@v1.3.0"] }, "later");
    expect(await after.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.1.0\nv1.3.0\n");
    expect((await scrubbed(after, upstream, "deep")).names).toEqual([]);
  });

  test("asks nothing of upstream, and doing it again changes nothing", async () => {
    const after = bereft();
    upstream.allWrong = (_kind, subject) => new MirrorError("transient", subject, "no network");
    await rebuild(after);
    const before = await recordsOf(after.ledger);
    expect(await rebuild(after)).toMatchObject({ rebuilt: 0, known: before.length, findings: 0 });
    expect(await recordsOf(after.ledger)).toEqual(before);
  });

  test("a table that was restored to an earlier moment is made whole, what it knows stays", async () => {
    const early = bereft();
    await early.request({ wishes: [A1] });
    const [known] = await early.ledger.read([moduleVersion("example.com/a", "v1.0.0")]);
    await rebuild(early);
    expect(await early.ledger.read([moduleVersion("example.com/a", "v1.0.0")])).toEqual([known]);
    expect(await recordsOf(early.ledger)).toEqual(await recordsOf(mirror.ledger));
  });

  test("a file that its lookup convicts is not served: it is taken out, told, and comes back proven", async () => {
    const zip = "example.com/a/@v/v1.1.0.zip";
    const right = await mirror.text(zip);
    // A zip like any other, but of other content.
    await drop(mirror.tree, zip);
    await plant(
      mirror.tree,
      zip,
      buildZip([
        { name: `${A2}/go.mod`, content: "module example.com/a\n" },
        { name: `${A2}/x.go`, content: "package other\n" },
      ]),
    );
    await flipBit(mirror.tree, "example.com/dep/@v/v1.2.0.mod");
    const after = bereft();
    const { messages } = await rebuild(after);
    expect(messages).toHaveLength(2);
    expect(messages.join("\n")).toContain("taken out, to be fetched again");
    expect(await after.keys()).not.toContain(zip);
    const [record] = await after.ledger.read([moduleVersion("example.com/a", "v1.1.0")]);
    expect(record).toMatchObject({ state: "PENDING", held: "mod", wanted: "whole", listed: false });
    await after.pass(2);
    expect(await after.text(zip)).toBe(right);
    await after.request({ wishes: [A2, B1] }, "again");
    expect(await recordsOf(after.ledger)).toEqual(await recordsOf(mirror.ledger));
  });

  test("a zip that is none any more is taken out and comes back, too", async () => {
    await flipBit(mirror.tree, "example.com/a/@v/v1.1.0.zip");
    const after = bereft();
    expect((await rebuild(after)).messages).toEqual([expect.stringContaining("taken out")]);
    await after.pass(2);
    await after.request({ wishes: [A2] }, "again");
    expect((await scrubbed(after, upstream, "deep")).names).toEqual([]);
  });

  test("without its lookup nothing that a database covers is served; where none does, it is", async () => {
    const { name } = upstream.database.verifier;
    await drop(mirror.tree, `sumdb/${name}/lookup/example.com/a@v1.0.0`);
    const after = bereft();
    const { messages } = await rebuild(after);
    expect(messages).toEqual([expect.stringContaining(`${A1}: its lookup is missing`)]);
    const [record] = await after.ledger.read([moduleVersion("example.com/a", "v1.0.0")]);
    expect(record).toMatchObject({ state: "PENDING", held: "nothing", wanted: "whole" });
    const unproven = bereft({ unproven: "example.com/" });
    expect((await rebuild(unproven, false)).messages).toEqual([]);
    const [first] = await unproven.ledger.read([moduleVersion("example.com/a", "v1.0.0")]);
    expect(first).toMatchObject({ state: "READY", held: "whole", listed: true });
  });

  test("what lists name and the tree has lost is PENDING, and comes back", async () => {
    await drop(mirror.tree, "example.com/a/@v/v1.1.0.zip");
    const after = bereft();
    expect((await rebuild(after)).messages).toEqual([expect.stringContaining("lists name it")]);
    await after.pass(2);
    await after.request({ wishes: [A2] }, "again");
    expect((await scrubbed(after, upstream, "deep")).names).toEqual([]);
  });

  test("blocks are in force again before anything is served, and can be lifted; lifted ones stay lifted", async () => {
    await block(mirror.parts, A1, "bad", "me");
    await block(mirror.parts, "example.com/p", "worse", "me");
    await unblock(mirror.parts, "example.com/p", "me");
    await mirror.drain();
    const after = bereft();
    const { decisions, messages } = await rebuild(after);
    expect(messages).toEqual([]);
    expect(decisions.blocks.map(({ name }) => name)).toEqual([A1]);
    expect((await readBlocks(after.ledger)).map(({ name, reason, by }) => [name, reason, by])).toEqual([
      [A1, "bad", "me"],
    ]);
    const [record] = await after.ledger.read([moduleVersion("example.com/a", "v1.0.0")]);
    expect(record).toMatchObject({ state: "BLOCKED", held: "mod", listed: false });
    expect((await scrubbed(after, upstream, "deep")).names).toEqual([]);
    await unblock(after.parts, A1, "me");
    const [back] = await after.ledger.read([moduleVersion("example.com/a", "v1.0.0")]);
    expect(back).toMatchObject({ state: "READY", held: "whole" });
  });

  test("a block that was decided and had no effect yet has it now", async () => {
    await mirror.vault.put(
      "decisions/block/20261123T093000000Z-0123456789abcdef-block.json",
      Buffer.from(JSON.stringify({ decision: "block", name: B1, by: "me", at: 1, reason: "at night" })),
    );
    const after = bereft();
    await rebuild(after);
    expect(await after.keys()).not.toContain("example.com/!big/@v/v1.0.0.zip");
    expect(await after.text("example.com/!big/@v/list")).toBe("");
  });

  test("of several drops of a name the last is in force again", async () => {
    for (const [at, by] of [
      [1_000, "first"],
      [3_000, "last"],
    ] as const)
      await mirror.vault.put(
        `decisions/drop-request/20261123T09300${at}Z-0123456789abcdef.json`,
        Buffer.from(JSON.stringify({ decision: "drop-request", name: "team/app", at, by })),
      );
    const after = bereft();
    expect((await rebuild(after)).decisions.drops).toBe(1);
    const item = await after.ledger.readItem("control", "drop/team/app");
    expect(item?.value).toEqual({ at: 3_000, by: "last" });
  });

  test("a database that forked stays stopped, unless an operator has cleared it", async () => {
    const { name } = upstream.database.verifier;
    const evidence = "a".repeat(64);
    const note = Buffer.from(upstream.database.head(10)).toString("utf8").replaceAll("\n", "\n\t");
    await mirror.vault.put(`evidence/fork/${evidence}`, Buffer.from(`SECURITY ERROR\n\t${note}`));
    const after = bereft();
    expect((await rebuild(after)).decisions.stops).toEqual([name]);
    expect(await after.ledger.readStop(name)).toMatchObject({ evidence });
    await mirror.vault.put(
      `decisions/clear-fork/20261123T093000000Z-${evidence}.json`,
      Buffer.from(JSON.stringify({ decision: "clear-fork", evidence })),
    );
    const cleared = bereft();
    await rebuild(cleared);
    expect(await cleared.ledger.readStop(name)).toBeUndefined();
  });

  test("a decision that cannot be read is told", async () => {
    await mirror.vault.put("decisions/block/20261123T093000000Z-x-block.json", Buffer.from("{"));
    expect((await rebuild(bereft())).messages).toEqual([expect.stringContaining("cannot be read")]);
  });

  test("strays, and damaged lists and heads, hold nothing else back", async () => {
    await plant(mirror.tree, "example.com/stray", "x");
    await flipBit(mirror.tree, "example.com/a/@latest", 0);
    await flipBit(mirror.tree, `sumdb/${upstream.database.verifier.name}/latest`, 3);
    const after = bereft();
    expect((await rebuild(after)).messages).toEqual([expect.stringContaining("example.com/a/@latest")]);
    expect(
      (await recordsOf(after.ledger)).map(({ path, version, held }) => `${path}@${version} ${held}`),
    ).toEqual(
      (await recordsOf(mirror.ledger)).map(({ path, version, held }) => `${path}@${version} ${held}`),
    );
  });
});
