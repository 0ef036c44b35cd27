import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { handleRequest } from "../../../cli/http-handler.ts";
import type { Answer } from "../../../mirror/answer.ts";
import { answer } from "../../../mirror/serve.ts";
import { expireSnapshot } from "../../../mirror/snapshot/catalog.ts";
import { OpenSnapshots } from "../../../mirror/snapshot/open-snapshots.ts";
import type { SnapshotName } from "../../../mirror/snapshot/snapshot-name.ts";
import { mirrorVulndb } from "../../../mirror/vulndb.ts";
import { VULNDB_FOLDER } from "../../../mirror/vulndb-keys.ts";
import { describeWithOracle } from "../../go-command.ts";
import { affectedBy } from "../govulncheck.ts";
import { MadeVulndb } from "../made-vulndb.ts";
import { SnapshotWorld } from "./snapshot-world.ts";

const DAY = 86_400_000;
const ZERO = [{ introduced: "0" }, { fixed: "1.2.0" }] as const;
const INLINE = Number.POSITIVE_INFINITY;

/** A mirror with a vulnerability database, whose snapshots are served. */
class VulndbWorld extends SnapshotWorld {
  readonly made = new MadeVulndb();
  readonly served = new OpenSnapshots({ ...this.parts, now: () => this.now });
  /** Keys of the vault that were opened, in order. */
  readonly opened: string[] = [];

  constructor() {
    super();
    const open = this.vault.open.bind(this.vault);
    this.vault.open = async (key) => {
      this.opened.push(key);
      return await open(key);
    };
  }

  add(id: string, module: string, modified: string): void {
    this.made.add({ id, module, modified, events: ZERO });
  }

  /** Mirrors the database as it is now, and takes a snapshot a day later. */
  async snapshot(): Promise<SnapshotName> {
    await mirrorVulndb(this.tree, this.made);
    this.now += DAY;
    return (await this.taken()).header.name;
  }

  ask(path: string): Promise<Answer> {
    const { tree, ledger, served } = this;
    return answer({ tree, ledger, now: () => this.now, snapshots: served }, path, INLINE);
  }

  async bytes(path: string): Promise<Buffer | string> {
    const reply = await this.ask(path);
    if (reply.kind !== "object") return reply.kind === "text" ? `${reply.status} ${reply.text}` : reply.kind;
    return Buffer.from(await reply.object.read(0, reply.object.size));
  }

  /** All that is answered below `-/vulndb/`, by the path behind it. */
  async live(): Promise<Map<string, Buffer | string>> {
    const files = new Map<string, Buffer | string>();
    for await (const { key } of this.tree.keys(VULNDB_FOLDER))
      if (key.startsWith(VULNDB_FOLDER)) files.set(key.slice(VULNDB_FOLDER.length), await this.bytes(key));
    return files;
  }
}

async function withOne(): Promise<{ readonly world: VulndbWorld; readonly name: SnapshotName }> {
  const world = new VulndbWorld();
  await world.hold("example.com/a@v1.0.0");
  world.add("GO-2026-0001", "example.com/a", "2026-02-01T00:00:00Z");
  return { world, name: await world.snapshot() };
}

/** How long one of these names is told as a time that a client asks for. */
const timeOf = (name: SnapshotName) => name.slice(0, "20260131T235959Z".length);

describe("the vulnerability database of a snapshot", () => {
  test("has byte for byte what was served when it was taken, in both forms, whatever came later", async () => {
    const world = new VulndbWorld();
    await world.hold("example.com/a@v1.0.0");
    const then: { name: SnapshotName; live: Map<string, Buffer | string> }[] = [];
    world.add("GO-2026-0001", "example.com/a", "2026-02-01T00:00:00Z");
    world.add("GO-2026-0002", "example.com/ünïcode", "2026-02-01T00:00:00.5Z");
    then.push({ name: await world.snapshot(), live: await world.live() });
    world.add("GO-2026-0001", "example.com/other", "2026-03-01T00:00:00Z");
    world.add("GO-2026-0003", "example.com/c", "2026-03-02T00:00:00Z");
    then.push({ name: await world.snapshot(), live: await world.live() });
    // An entry that has gone from the indexes stays for who has an older one.
    world.made.entries.delete("GO-2026-0002");
    world.add("GO-2026-0003", "example.com/c", "2026-04-02T00:00:00Z");
    then.push({ name: await world.snapshot(), live: await world.live() });
    const [first, second, third] = then.map(({ live }) => live);
    expect([first?.size, second?.size, third?.size]).toEqual([10, 12, 12]);
    expect(third?.get("index/vulns.json")).not.toEqual(second?.get("index/vulns.json"));
    for (const { name, live } of then)
      for (const prefix of [`-/snapshot/${name}/`, `-/at/${timeOf(name)}/`])
        for (const [file, bytes] of live)
          expect([prefix, file, await world.bytes(`${prefix}-/vulndb/${file}`)]).toEqual([
            prefix,
            file,
            bytes,
          ]);
    expect(await world.bytes(`-/snapshot/${then[0]?.name}/-/vulndb/ID/GO-2026-0003.json`)).toMatch(
      /^404 not found: [^\n]* of this snapshot has no such file\n$/,
    );
  });

  test("is answered with the type, age and a strong ETag of its bytes", async () => {
    const { world, name } = await withOne();
    for (const file of ["index/db.json", "index/db.json.gz", "ID/GO-2026-0001.json.gz"]) {
      const now = await world.ask(`-/vulndb/${file}`);
      const then = await world.ask(`-/snapshot/${name}/-/vulndb/${file}`);
      if (now.kind !== "object" || then.kind !== "object") throw new Error(`${file} is not answered`);
      expect([then.type, then.cacheControl]).toEqual([now.type, now.cacheControl]);
      expect(then.object.size).toBe(now.object.size);
      expect(then.object.etag).toMatch(/^[0-9a-f]{64}$/);
    }
    const [plain, packed] = await Promise.all(
      ["json", "json.gz"].map((form) => world.ask(`-/snapshot/${name}/-/vulndb/index/db.${form}`)),
    );
    expect(plain?.kind === "object" && plain.object.etag).not.toBe(
      packed?.kind === "object" && packed.object.etag,
    );
  });

  test("is 404 with a line that says so where none was mirrored, and for what is no file of one", async () => {
    const world = new VulndbWorld();
    await world.hold("example.com/a@v1.0.0");
    const before = (await world.taken()).header.name;
    expect(await world.bytes(`-/snapshot/${before}/-/vulndb/index/db.json`)).toMatch(
      /^404 not found: [^\n]* no vulnerability database was mirrored\n$/,
    );
    world.add("GO-2026-0001", "example.com/a", "2026-02-01T00:00:00Z");
    const name = await world.snapshot();
    for (const file of [
      "",
      "index/db",
      "index/db.json.zst",
      "index/../index/db.json",
      "ID/GO-2026-0001",
      "ID/GO-2026-9999.json",
      "ID/../../secret.json",
      "ID/GO-2026-0001.json.gz.gz",
      "index/db.json/",
    ])
      expect([file, await world.bytes(`-/snapshot/${name}/-/vulndb/${file}`)]).toEqual([
        file,
        expect.stringMatching(/^404 not found: [^\n]+\n$/),
      ]);
  });

  test("is gone with its snapshot, though its archive is there still", async () => {
    const { world, name } = await withOne();
    const path = `-/snapshot/${name}/-/vulndb/index/db.json`;
    expect(await world.bytes(path)).toBeInstanceOf(Buffer);
    world.add("GO-2026-0002", "example.com/b", "2026-03-01T00:00:00Z");
    await world.snapshot();
    await expireSnapshot(world.parts, name, world.now);
    expect(await world.keys("vulndb/")).toHaveLength(2);
    world.now += 11_000;
    expect(await world.bytes(path)).toMatch(/^410 gone: snapshot \S+ has expired/);
  });

  test("is read once for all that is asked of it, and by two snapshots that have the same one", async () => {
    const { world, name } = await withOne();
    await world.hold("example.com/b@v1.0.0");
    const second = await world.snapshot();
    expect(second).not.toBe(name);
    world.opened.length = 0;
    const files = [...(await world.live()).keys()];
    await Promise.all(
      [name, second].flatMap((one) => files.map((file) => world.bytes(`-/snapshot/${one}/-/vulndb/${file}`))),
    );
    expect(world.opened.filter((key) => key.startsWith("vulndb/"))).toHaveLength(1);
  });

  test("of three, two are held", async () => {
    const { world, name } = await withOne();
    const names = [name];
    for (const month of ["03", "04"]) {
      world.add("GO-2026-0001", "example.com/a", `2026-${month}-01T00:00:00Z`);
      names.push(await world.snapshot());
    }
    world.opened.length = 0;
    for (const one of [...names, ...names.toReversed()])
      expect(await world.bytes(`-/snapshot/${one}/-/vulndb/index/db.json`)).toBeInstanceOf(Buffer);
    // 1, 2, 3 are read; 3 and 2 are held; 1 is read again.
    expect(world.opened.filter((key) => key.startsWith("vulndb/"))).toHaveLength(4);
  });
});

describe("an archive of a vulnerability database that is not what it must be is never half served", () => {
  const line = (file: string, text = "{}") => `${JSON.stringify({ file, text })}\n`;
  const whole = line("ID/GO-2026-0001.json") + line("index/db.json") + line("index/vulns.json");

  test.each<[string, (stored: Uint8Array) => Uint8Array | undefined, RegExp]>([
    ["missing", () => undefined, /is missing$/],
    ["cut off", (stored) => stored.subarray(0, stored.byteLength - 20), /cannot be unpacked$/],
    ["empty", () => Buffer.of(), /cannot be unpacked$|is not what its name says$/],
    ["no zstd", () => Buffer.from(whole), /cannot be unpacked$/],
    ["of another content", () => zstdCompressSync(whole), /is not what its name says$/],
    ["not ended", () => zstdCompressSync(whole.trimEnd()), /ends within a line$/],
    ["not UTF-8", () => zstdCompressSync(Buffer.from([0xff, 0xfe, 0x0a])), /not UTF-8$/],
    ["no JSON", () => zstdCompressSync("no\n"), /no archive of a vulnerability database: /],
    ["of other fields", () => zstdCompressSync('{"file":"index/db.json","text":"{}","more":1}\n'), /: /],
    ["of a file outside", () => zstdCompressSync(line("../snapshot.json")), /names no file of the database$/],
    ["of packed files", () => zstdCompressSync(line("index/db.json.gz")), /names no file of the database$/],
    [
      "of a line without end",
      () => zstdCompressSync(Buffer.alloc(40 << 20, "a")),
      /a line of more than 33554432 bytes$/,
    ],
    [
      "of one file twice",
      () => zstdCompressSync(line("index/db.json") + line("index/db.json")),
      /out of order$/,
    ],
  ])("%s", async (_, damage, message) => {
    const { world, name } = await withOne();
    const [key = ""] = await world.keys("vulndb/");
    const stored = await world.vault.get(key, 1 << 20);
    const bytes = damage(stored ?? Buffer.of());
    if (bytes === undefined) await world.vault.remove(key);
    else await world.vault.put(key, bytes);
    const path = `-/snapshot/${name}/-/vulndb/index/db.json`;
    const malformed = { class: "malformed", message: expect.stringMatching(message) };
    await expect(world.ask(path)).rejects.toMatchObject(malformed);
    world.opened.length = 0;
    await expect(world.ask(path)).rejects.toMatchObject(malformed);
    // It may be large: it is not read for each who asks.
    expect(world.opened).toEqual([]);
    await world.vault.put(key, stored ?? Buffer.of());
    world.now += 61_000;
    expect(await world.bytes(path)).toEqual(await world.bytes("-/vulndb/index/db.json"));
  });

  test("a vault that does not answer is no damage: the next request reads it", async () => {
    const { world, name } = await withOne();
    const open = world.vault.open;
    const fails: (() => AsyncIterable<Uint8Array>)[] = [
      // biome-ignore lint/correctness/useYield: it fails before it gives anything
      async function* () {
        throw new Error("connection reset");
      },
    ];
    world.vault.open = async (key) => {
      const object = await open(key);
      const stream = key.startsWith("vulndb/") ? fails.pop() : undefined;
      return object && stream ? { ...object, stream } : object;
    };
    const path = `-/snapshot/${name}/-/vulndb/index/db.json`;
    await expect(world.ask(path)).rejects.toThrow("connection reset");
    expect(await world.bytes(path)).toEqual(await world.bytes("-/vulndb/index/db.json"));
  });
});

test("a database of many entries, larger than a block of it, is served whole", async () => {
  const world = new VulndbWorld();
  await world.hold("example.com/a@v1.0.0");
  for (let at = 0; at < 700; at++)
    world.add(`GO-2026-${1_000 + at}`, `example.com/m${at}`, `2026-02-01T00:00:00.${at}Z`);
  const name = await world.snapshot();
  const live = await world.live();
  expect(live.size).toBe(2 * 703);
  for (const [file, bytes] of live)
    expect([file, await world.bytes(`-/snapshot/${name}/-/vulndb/${file}`)]).toEqual([file, bytes]);
});

describeWithOracle("govulncheck with a snapshot as its database", () => {
  test("finds what was known then, and not what became known later", { timeout: 400_000 }, async () => {
    const { world, name } = await withOne();
    world.add("GO-2026-0002", "example.com/a", "2026-03-01T00:00:00Z");
    const later = await world.snapshot();
    const { tree, ledger, served: snapshots } = world;
    const parts = { tree, ledger, snapshots, now: () => world.now, identity: "test" };
    const server = createServer((request, response) => void handleRequest(parts, request, response));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const found = (path: string) => affectedBy(`${url}/${path}-/vulndb`, ["example.com/a@v1.1.0"]);
      expect(await found(`-/snapshot/${name}/`)).toEqual(["GO-2026-0001"]);
      expect(await found(`-/at/${timeOf(name)}/`)).toEqual(["GO-2026-0001"]);
      expect(await found(`-/snapshot/${later}/`)).toEqual(["GO-2026-0001", "GO-2026-0002"]);
      expect(await found("")).toEqual(["GO-2026-0001", "GO-2026-0002"]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
