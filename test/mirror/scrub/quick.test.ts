import { beforeEach, describe, expect, test } from "vitest";
import { moduleVersion } from "../../../gomod/version.ts";
import { block } from "../../../mirror/block.ts";
import { MirrorError } from "../../../mirror/errors.ts";
import { zipKey } from "../../../mirror/tree-keys.ts";
import { updateRecords } from "../../../mirror/update.ts";
import { MadeMirror } from "../made-mirror.ts";
import { MadeUpstream } from "../made-upstream.ts";
import { drop, flipBit, plant, scrubbed } from "./scrub-world.ts";

/** Paths whose order in the tree is another than their own: `a-b` before `a/…`, `B` stored as `!b`. */
const NAMES = ["a", "a-b", "a.b", "a/b", "a/b/c", "ab", "B", "a0"].flatMap((path) =>
  ["v1.0.0", "v1.1.0"].map((version) => `example.com/${path}@${version}`),
);

describe("a quick scrub", () => {
  let upstream: MadeUpstream;
  let mirror: MadeMirror;
  beforeEach(async () => {
    upstream = new MadeUpstream();
    upstream.database.grow(3_000);
    for (const name of NAMES) upstream.add(name);
    upstream.add("zebra.example.com/z@v0.0.0-20240102030405-0123456789ab");
    mirror = new MadeMirror(upstream, { tiles: "full" });
    await mirror.request({ wishes: [...NAMES, "zebra.example.com/z@v0.0.0-20240102030405-0123456789ab"] });
    await mirror.parts.database.complete();
  });
  const quick = (options: Parameters<typeof scrubbed>[3] = {}) =>
    scrubbed(mirror, upstream, "quick", options);
  const sumdb = () => `sumdb/${upstream.database.verifier.name}`;

  test("finds nothing in a mirror that is as it must be, and looks at all of it", async () => {
    let again = 0;
    const readModule = mirror.ledger.readModule.bind(mirror.ledger);
    mirror.ledger.readModule = (path) => {
      again++;
      return readModule(path);
    };
    const found = await quick();
    expect(found.findings).toEqual([]);
    // The listing and the one pass over the records were enough: only what does not fit is read again.
    expect(again).toBe(0);
    expect(found).toMatchObject({ finished: true, counts: { modules: 9, versions: 17, findings: 0 } });
  });

  test("of two at once one works, and the other says so; the next one works again", async () => {
    const going = Promise.withResolvers<void>();
    const mayGo = Promise.withResolvers<void>();
    const get = mirror.tree.get.bind(mirror.tree);
    mirror.tree.get = async (key, limit) => {
      going.resolve();
      await mayGo.promise;
      return await get(key, limit);
    };
    const first = quick({ owner: "first" });
    await going.promise;
    await expect(quick({ owner: "second" })).rejects.toThrow("another scrub is at work");
    mayGo.resolve();
    expect((await first).finished).toBe(true);
    expect((await quick({ owner: "second" })).finished).toBe(true);
  });

  test("one that is overtaken stops, and leaves what is noted to the other", async () => {
    const lost = async (name: string) => {
      const at = mirror.clock.ms + 1_000_000;
      mirror.clock.ms = at;
      expect(await mirror.ledger.takeLease(name, "other", at, at + 1_000)).toBe(true);
    };
    let asked = 0;
    const get = mirror.tree.get.bind(mirror.tree);
    mirror.tree.get = async (key, limit) => {
      if (asked++ === 0) await lost("scrub/quick/1of1");
      return await get(key, limit);
    };
    await expect(quick({ owner: "first" })).rejects.toThrow("another one has begun");
    expect(await mirror.ledger.readItem("control", "scrub/quick/1of1")).toBeUndefined();
  });

  test("what nobody planted is not there: each kind of damage is found, by its name, and nothing else", async () => {
    await drop(mirror.tree, "example.com/a-b/@v/v1.0.0.mod");
    await drop(mirror.tree, "example.com/a/@v/v1.1.0.zip");
    await drop(mirror.tree, "example.com/!b/@v/v1.1.0.info");
    await drop(mirror.tree, "example.com/a/b/@v/list");
    await drop(mirror.tree, "example.com/ab/@latest");
    await drop(mirror.tree, `${sumdb()}/lookup/example.com/a0@v1.0.0`);
    await drop(mirror.tree, "zebra.example.com/z/@latest");
    const cut = (await drop(mirror.tree, "example.com/a/b/c/@v/v1.0.0.zip")).subarray(1);
    await plant(mirror.tree, "example.com/a/b/c/@v/v1.0.0.zip", cut);
    await plant(mirror.tree, "example.com/stray", "x");
    await plant(mirror.tree, "example.com/a/@v/v1.0.0.zip.tmp", "x");
    await plant(mirror.tree, "example.com/unknown/@v/v1.0.0.mod", "module example.com/unknown\n");
    await plant(mirror.tree, "example.com/a/@v/v1.2.0.mod", "module example.com/a\n");
    const found = await quick();
    expect(found.names).toEqual(
      [
        "missing example.com/a-b/@v/v1.0.0.mod",
        "missing example.com/a/@v/v1.1.0.zip",
        "missing example.com/!b/@v/v1.1.0.info",
        "list example.com/a/b/@v/list",
        "list example.com/ab/@latest",
        `missing ${sumdb()}/lookup/example.com/a0@v1.0.0`,
        "list zebra.example.com/z/@latest",
        "damaged example.com/a/b/c/@v/v1.0.0.zip",
        "stray example.com/stray",
        "stray example.com/a/@v/v1.0.0.zip.tmp",
        "unknown example.com/unknown@v1.0.0",
        "unknown example.com/a@v1.2.0",
      ].sort(),
    );
    expect(found.findings.every(({ outcome }) => outcome === "open")).toBe(true);
  });

  test("modules of which the tree has nothing left are missed, wherever they stand in it", async () => {
    for (const path of ["a-b", "a0", "!b"])
      for (const file of [
        "@latest",
        "@v/list",
        ...["v1.0.0", "v1.1.0"].flatMap((v) => ["info", "mod", "zip"].map((k) => `@v/${v}.${k}`)),
      ])
        await drop(mirror.tree, `example.com/${path}/${file}`);
    // And behind all that the tree has.
    for (const key of await mirror.keys()) if (key.startsWith("zebra.")) await drop(mirror.tree, key);
    const { names } = await quick();
    expect(names).toHaveLength(3 * 8 + 5);
    expect(names.filter((name) => name.startsWith("missing "))).toHaveLength(3 * 6 + 3);
  });

  test("lists are held against the records, and @latest against what it must name", async () => {
    const replace = async (key: string, text: string) => {
      await drop(mirror.tree, key);
      await plant(mirror.tree, key, text);
    };
    await replace("example.com/a/@v/list", "v1.0.0\n");
    await replace("example.com/ab/@v/list", "v1.0.0\nv1.1.0\nv9.0.0\n");
    await replace("example.com/a-b/@latest", '{"Version":"v1.0.0","Time":"2024-01-02T03:04:05Z"}');
    await replace("example.com/a0/@latest", '{"Version":"v1.1.0"}');
    await replace("example.com/a.b/@latest", "<html>");
    await replace("example.com/a/b/@v/list", "no version\u0000\n");
    const [off] = await mirror.ledger.read([moduleVersion("example.com/B", "v1.1.0")]);
    await updateRecords(mirror.ledger, off ? [off] : [], (record) => record && { ...record, listed: false });
    const { findings } = await quick();
    const messages = Object.fromEntries(findings.map(({ subject, message }) => [subject, message]));
    expect(messages).toMatchObject({
      "example.com/a/@v/list": "does not name v1.1.0, which the ledger lists",
      "example.com/ab/@v/list": "names v9.0.0, which the ledger does not know",
      "example.com/a-b/@latest": "names v1.0.0; it should name v1.1.0",
      "example.com/a0/@latest": "is not the .info of v1.1.0",
      "example.com/!b/@v/list": "names v1.1.0, which the ledger does not list (it is READY)",
      "example.com/!b/@latest": "names v1.1.0; it should name v1.0.0",
    });
    expect(Object.keys(messages).sort()).toEqual(
      [
        ...["a", "ab", "!b", "a/b"].map((p) => `example.com/${p}/@v/list`),
        ...["a-b", "a0", "a.b", "!b", "a/b"].map((p) => `example.com/${p}/@latest`),
      ]
        .filter((subject) => subject in messages)
        .sort(),
    );
    expect(messages["example.com/a.b/@latest"]).toBeDefined();
  });

  test("where others write the mirror, a name that the ledger does not list yet stays on its list", async () => {
    const version = moduleVersion("example.com/a", "v1.1.0");
    await updateRecords(mirror.ledger, [version], (record) => record && { ...record, listed: false });
    const { findings } = await quick({ mends: "upstream", alone: false });
    expect(findings.map(({ outcome }) => outcome)).toEqual(["open", "open"]);
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.1.0\n");
    await quick({ mends: "upstream" });
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\n");
    expect((await quick()).names).toEqual([]);
  });

  test("a zip that a block took out and somebody put back is found", async () => {
    const bytes = await mirror.tree.get(zipKey(moduleVersion("example.com/a", "v1.0.0")), 1 << 20);
    await block(mirror.parts, "example.com/a@v1.0.0", "bad", "me");
    expect((await quick()).names).toEqual([]);
    await plant(mirror.tree, "example.com/a/@v/v1.0.0.zip", bytes?.bytes ?? "");
    expect((await quick()).names).toEqual(["left example.com/a/@v/v1.0.0.zip"]);
  });

  test("tiles that the extent promises, the head and its edge are held against the tree", async () => {
    await drop(mirror.tree, `${sumdb()}/tile/8/0/000`);
    await drop(mirror.tree, `${sumdb()}/latest`);
    await drop(mirror.tree, `${sumdb()}/supported`);
    const { names } = await quick();
    expect(names).toContain(`database ${sumdb()}/tile/8/0/000`);
    expect(names).toContain(`database ${sumdb()}/latest`);
    expect(names).toContain(`database ${sumdb()}/supported`);
    const mended = await quick({ mends: "upstream" });
    expect(mended.findings.map(({ outcome }) => outcome)).toEqual(mended.findings.map(() => "restored"));
    expect((await quick()).names).toEqual([]);
  });

  test("a damaged edge of the head's tree, or a tile of another size, is found and mended", async () => {
    const tiles = (await mirror.keys()).filter((key) => key.startsWith(`${sumdb()}/tile/8/1/`));
    // The widest of them is the newest head's.
    const width = (key: string) => Number(key.split("/").at(-1));
    await flipBit(mirror.tree, tiles.sort((a, b) => width(a) - width(b)).at(-1) as string);
    const first = `${sumdb()}/tile/8/0/000`;
    await plant(mirror.tree, first, (await drop(mirror.tree, first)).subarray(32));
    expect((await quick()).names).toEqual([`database ${sumdb()}/tile`, `database ${first}`].sort());
    const mended = await quick({ mends: "upstream" });
    expect(mended.findings.map(({ outcome }) => outcome)).toEqual(mended.findings.map(() => "restored"));
    expect((await quick()).names).toEqual([]);
  });

  test("what is damaged comes back from upstream byte for byte; what upstream has no more is lost, by name", async () => {
    const before = new Map<string, string>();
    for (const key of await mirror.keys())
      before.set(key, Buffer.from((await mirror.text(key)) ?? "").toString("hex"));
    const dropped = [
      "example.com/a-b/@v/v1.0.0.mod",
      "example.com/a/@v/v1.1.0.zip",
      "example.com/!b/@v/v1.1.0.info",
      "example.com/a/b/@v/list",
      "example.com/ab/@latest",
      `${sumdb()}/lookup/example.com/a0@v1.0.0`,
    ];
    for (const key of dropped) await drop(mirror.tree, key);
    await drop(mirror.tree, "example.com/a0/@v/v1.1.0.zip");
    upstream.wrong.set(
      "zip example.com/a0@v1.1.0",
      new MirrorError("absent", "example.com/a0@v1.1.0", "not found (404)"),
    );
    const { findings, counts } = await quick({ mends: "upstream" });
    expect(
      findings
        .filter(({ outcome }) => outcome === "restored")
        .map(({ subject }) => subject)
        .sort(),
    ).toEqual(dropped.sort());
    expect(findings.filter(({ outcome }) => outcome !== "restored")).toMatchObject([
      {
        subject: "example.com/a0/@v/v1.1.0.zip",
        outcome: "lost",
        remedy: expect.stringContaining("not found"),
      },
    ]);
    expect(counts).toMatchObject({ findings: 7, restored: 6, lost: 1 });
    for (const key of dropped)
      expect(Buffer.from((await mirror.text(key)) ?? "").toString("hex")).toBe(before.get(key));
    expect((await quick()).names).toEqual(["missing example.com/a0/@v/v1.1.0.zip"]);
  });

  test("an island mends lists from its ledger, and says how to bring back the rest", async () => {
    await drop(mirror.tree, "example.com/a/b/@v/list");
    await drop(mirror.tree, "example.com/a/@v/v1.1.0.zip");
    const { findings } = await quick({ mends: "island" });
    expect(findings).toMatchObject([
      { kind: "missing", outcome: "lost", remedy: expect.stringContaining("rebuild-tree") },
      { kind: "list", outcome: "restored" },
    ]);
  });

  test("a ledger that has forgotten what the tree holds takes no name off a list", async () => {
    const version = moduleVersion("example.com/a", "v1.1.0");
    await updateRecords(
      mirror.ledger,
      [version],
      (record) => record && { ...record, state: "PENDING", held: "nothing", listed: false },
    );
    const { findings } = await quick({ mends: "upstream" });
    expect(findings).toMatchObject([
      {
        subject: "example.com/a/@v/list",
        outcome: "open",
        remedy: expect.stringContaining("rebuild-ledger"),
      },
      { subject: "example.com/a/@latest", outcome: "open" },
    ]);
    expect(await mirror.text("example.com/a/@v/list")).toBe("v1.0.0\nv1.1.0\n");
  });

  test("shards together find each thing once", async () => {
    for (const path of ["a", "a-b", "a.b", "a/b", "a/b/c", "ab", "!b", "a0"])
      await drop(mirror.tree, `example.com/${path}/@v/v1.0.0.zip`);
    await drop(mirror.tree, `${sumdb()}/tile/8/0/000`);
    await plant(mirror.tree, "stray", "x");
    const whole = await quick();
    const shards = await Promise.all([1, 2, 3].map((index) => quick({ shard: { index, of: 3 } })));
    expect(shards.flatMap(({ names }) => names).sort()).toEqual(whole.names);
    expect(shards.every(({ counts }) => counts.versions > 0)).toBe(true);
    expect(shards.reduce((sum, { counts }) => sum + counts.versions, 0)).toBe(17);
  });
});
