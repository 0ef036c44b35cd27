import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { HttpVulndb } from "../../adapters/upstream/vulndb.ts";
import { handleRequest } from "../../cli/http-handler.ts";
import { parseModuleVersion } from "../../gomod/version.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { answer } from "../../mirror/serve.ts";
import type { TreeKey } from "../../mirror/tree-keys.ts";
import { mirrorVulndb } from "../../mirror/vulndb.ts";
import { MirroredVulnerabilities } from "../../mirror/vulndb-reader.ts";
import { affects } from "../../mirror/vulnerability.ts";
import { modferry } from "../e2e/modferry-command.ts";
import { describeWithOracle } from "../go-command.ts";
import { randomFrom } from "./crashing-ports.ts";
import { affectedBy } from "./govulncheck.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";
import { MadeVulndb } from "./made-vulndb.ts";

const LIMIT = 1 << 24;
const ZERO = [{ introduced: "0" }, { fixed: "1.2.0" }] as const;

function smallDatabase(): MadeVulndb {
  const made = new MadeVulndb();
  made.add({ id: "GO-2026-0001", module: "example.com/a", modified: "2026-02-01T00:00:00Z", events: ZERO });
  made.add({
    id: "GO-2026-0002",
    module: "example.com/b",
    modified: "2026-02-02T00:00:00.5Z",
    events: [{ introduced: "1.0.0" }],
  });
  made.add({
    id: "GO-2026-0003",
    module: "stdlib",
    modified: "2026-02-03T00:00:00Z",
    events: [{ introduced: "0" }, { fixed: "1.21.4" }],
  });
  return made;
}

async function filesOf(tree: MemoryTree): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for await (const { key } of tree.keys()) {
    const { bytes } = (await tree.get(key as TreeKey, LIMIT)) ?? { bytes: new Uint8Array() };
    files[key] = Buffer.from(key.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
  }
  return files;
}

describe("the vulnerability database is mirrored", () => {
  let made: MadeVulndb;
  let tree: MemoryTree;
  beforeEach(() => {
    made = smallDatabase();
    tree = new MemoryTree();
  });

  test("whole at first, entries before the index, both forms of each file", async () => {
    expect(await mirrorVulndb(tree, made)).toEqual({ modified: "2026-02-03T00:00:00Z", entries: 3 });
    const files = await filesOf(tree);
    const names = [
      "ID/GO-2026-0001",
      "ID/GO-2026-0002",
      "ID/GO-2026-0003",
      "index/db",
      "index/modules",
      "index/vulns",
    ];
    expect(Object.keys(files).sort()).toEqual(
      names.flatMap((name) => [`-/vulndb/${name}.json`, `-/vulndb/${name}.json.gz`]),
    );
    for (const name of names) {
      expect(files[`-/vulndb/${name}.json.gz`]).toBe(files[`-/vulndb/${name}.json`]);
      expect(files[`-/vulndb/${name}.json`]).toBe(
        Buffer.from(await made.read(name as "index/db")).toString(),
      );
    }
    const order = tree.writes.map(({ key }) => key);
    expect(order.slice(-6)).toEqual(
      ["vulns", "modules", "db"].flatMap((name) => [
        `-/vulndb/index/${name}.json`,
        `-/vulndb/index/${name}.json.gz`,
      ]),
    );
  });

  test("by one small file asked where nothing has changed, and by the changed entries alone where something has", async () => {
    await mirrorVulndb(tree, made);
    made.asked.length = 0;
    expect(await mirrorVulndb(tree, made)).toBeUndefined();
    expect(made.asked).toEqual(["index/db"]);
    made.add({
      id: "GO-2026-0001",
      module: "example.com/a",
      modified: "2026-03-01T00:00:00Z",
      events: ZERO,
      withdrawn: "2026-03-01T00:00:00Z",
    });
    made.add({ id: "GO-2026-0004", module: "example.com/a", modified: "2026-03-01T00:00:00Z", events: ZERO });
    made.asked.length = 0;
    expect(await mirrorVulndb(tree, made)).toEqual({ modified: "2026-03-01T00:00:00Z", entries: 2 });
    expect(made.asked.sort()).toEqual([
      "ID/GO-2026-0001",
      "ID/GO-2026-0004",
      "index/db",
      "index/modules",
      "index/vulns",
    ]);
  });

  test("through a death at any write: a reader is never sent to what is not there, and the next run ends right", async () => {
    const clean = new MemoryTree();
    await mirrorVulndb(clean, smallDatabase());
    made.add({ id: "GO-2026-0009", module: "example.com/z", modified: "2026-04-01T00:00:00Z", events: ZERO });
    await mirrorVulndb(clean, made);
    const expected = await filesOf(clean);
    let died = 0;
    for (let at = 0; at < 60; at++) {
      let calls = 0;
      let armed = true;
      const dying = new MemoryTree(({ method }) =>
        armed && method === "tree.replace" && calls++ >= at
          ? { applied: calls % 2 === 0, sees: new Error("killed") }
          : undefined,
      );
      for (const source of [smallDatabase(), made]) await mirrorVulndb(dying, source).catch(() => died++);
      armed = false;
      const files = await filesOf(dying);
      const modules = JSON.parse(files["-/vulndb/index/modules.json.gz"] ?? "[]");
      for (const { vulns } of modules)
        for (const { id } of vulns) expect(files).toHaveProperty([`-/vulndb/ID/${id}.json.gz`]);
      await mirrorVulndb(dying, made);
      expect([at, await filesOf(dying)]).toEqual([at, expected]);
    }
    expect(died).toBeGreaterThan(20);
  });

  test.each<[string, string, Uint8Array | MirrorError, string]>([
    ["no JSON", "index/db", Buffer.from("<html>"), "malformed"],
    ["no time", "index/db", Buffer.from('{"modified":"yesterday"}'), "malformed"],
    [
      "an id that is a path",
      "index/vulns",
      Buffer.from('[{"id":"../../x","modified":"2026-01-01T00:00:00Z"}]'),
      "malformed",
    ],
    ["modules that name what is not there", "index/vulns", Buffer.from("[]"), "transient"],
    [
      "another entry",
      "ID/GO-2026-0001",
      Buffer.from('{"id":"GO-2026-0002","modified":"2026-02-01T00:00:00Z","affected":[]}'),
      "malformed",
    ],
    [
      "an entry that is older than its index says",
      "ID/GO-2026-0001",
      Buffer.from('{"id":"GO-2026-0001","modified":"2025-02-01T00:00:00Z","affected":[]}'),
      "transient",
    ],
    ["not UTF-8", "ID/GO-2026-0001", Buffer.from([0xff, 0xfe]), "malformed"],
    ["an entry too large", "ID/GO-2026-0001", Buffer.alloc(5 << 20, " "), "malformed"],
    [
      "an entry that is gone",
      "ID/GO-2026-0001",
      new MirrorError("absent", "x", "x: not found (404)"),
      "absent",
    ],
    [
      "a source that does not answer",
      "index/modules",
      new MirrorError("transient", "x", "x: time-out"),
      "transient",
    ],
  ])("from %s nothing of the index changes", async (_, file, wrong, errorClass) => {
    const before = new MadeVulndb();
    before.add({
      id: "GO-2025-0001",
      module: "example.com/old",
      modified: "2025-01-01T00:00:00Z",
      events: ZERO,
    });
    await mirrorVulndb(tree, before);
    const files = await filesOf(tree);
    made.wrong.set(file, wrong);
    const error = await mirrorVulndb(tree, made).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ class: errorClass });
    const after = await filesOf(tree);
    for (const [key, text] of Object.entries(files)) expect([key, after[key]]).toEqual([key, text]);
  });

  test("never goes back to an older state of the source", async () => {
    await mirrorVulndb(tree, made);
    made.entries.delete("GO-2026-0003");
    await expect(mirrorVulndb(tree, made)).rejects.toThrow(
      /2026-02-02T00:00:00.5Z, the mirror has 2026-02-03/,
    );
  });

  test("it is what the policy goes by", async () => {
    const upstream = new MadeUpstream();
    upstream.add("example.com/a@v1.0.0");
    upstream.add("example.com/a@v1.2.0");
    const mirror = new MadeMirror(upstream, { policy: { vulnerabilities: {} } });
    const vulnerabilities = new MirroredVulnerabilities(mirror.tree, mirror.clock.now);
    await mirrorVulndb(mirror.tree, made);
    Object.assign(mirror.parts, { vulnerabilities });
    await mirror.request({ exact: ["example.com/a@v1.0.0", "example.com/a@v1.2.0"] });
    const state = async (version: string) =>
      (await mirror.ledger.read([parseModuleVersion(`example.com/a@${version}`)]))[0]?.state;
    expect(await state("v1.0.0")).toBe("DENIED");
    expect(await state("v1.2.0")).toBe("READY");
    // Withdrawn: what it kept out comes in by itself.
    await mirror.pass(20);
    made.add({
      id: "GO-2026-0001",
      module: "example.com/a",
      modified: "2026-03-01T00:00:00Z",
      events: ZERO,
      withdrawn: "2026-03-01T00:00:00Z",
    });
    await mirrorVulndb(mirror.tree, made);
    await mirror.pass(3);
    expect(await state("v1.0.0")).toBe("READY");
  });

  test.each([
    "-/vulndb/",
    "-/vulndb/index/db",
    "-/vulndb/../db.json",
    "-/vulndb/ID/GO-2026-0001.json.xz",
    "-/vulndb/ID/../index/db.json",
    "-/vulndb/ID/x.json",
    "-/vulndb/index/db.json/",
  ])("%s is no file of it", async (path) => {
    await mirrorVulndb(tree, made);
    expect(await answer({ tree, ledger: new MemoryLedger(), now: Date.now }, path, LIMIT)).toMatchObject({
      status: 404,
    });
  });
});

describeWithOracle("govulncheck over the mirrored database", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "modferry-vulndb-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Mirrored over HTTP from a loopback site into a folder, then served by us and read from `file://`. */
  async function mirrored<T>(made: MadeVulndb, use: (urls: readonly string[]) => Promise<T>): Promise<T> {
    const mirror = await openFolderMirror(join(folder, "mirror"), { mode: "write" });
    const { tree, ledger } = mirror;
    await using site = await made.serve();
    const source = new HttpVulndb(site.url);
    const server = createServer((request, response) => {
      void handleRequest({ tree, ledger, now: Date.now, identity: "test" }, request, response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      await mirrorVulndb(tree, source);
      const { port } = server.address() as AddressInfo;
      return await use([`http://127.0.0.1:${port}/-/vulndb`, `file://${folder}/mirror/tree/-/vulndb`]);
    } finally {
      server.closeAllConnections();
      server.close();
      await source.close();
      await mirror.close();
    }
  }

  test("finds what is affected, served and from a plain copy of the tree", { timeout: 400_000 }, async () => {
    await mirrored(smallDatabase(), async (urls) => {
      for (const url of urls) {
        expect(await affectedBy(url, ["example.com/a@v1.1.0", "example.com/b@v1.5.0"])).toEqual([
          "GO-2026-0001",
          "GO-2026-0002",
        ]);
        expect(
          await affectedBy(url, ["example.com/a@v1.2.0", "example.com/b@v0.9.0", "example.com/c@v1.0.0"]),
        ).toEqual([]);
        expect(await affectedBy(url, ["stdlib@v1.21.3"])).toEqual(["GO-2026-0003"]);
      }
    });
  });

  test("modferry sync --vulndb mirrors it, without any wish too, and modferry verify reads it back", {
    timeout: 400_000,
  }, async () => {
    const made = smallDatabase();
    await using site = await made.serve();
    const mirror = join(folder, "cli");
    const sync = () =>
      modferry(["sync", "--vulndb", site.url, "--mirror", mirror, "--upstream", "http://127.0.0.1:9"]);
    const first = await sync();
    expect(first.code).toBe(0);
    expect(first.stderr).toContain(
      "vulnerability database: 3 entries are new or changed, as of 2026-02-03T00:00:00Z\n",
    );
    expect(await affectedBy(`file://${mirror}/tree/-/vulndb`, ["example.com/a@v1.1.0"])).toEqual([
      "GO-2026-0001",
    ]);
    expect(await modferry(["verify", "--mirror", mirror])).toMatchObject({ code: 0 });
    await rm(join(mirror, "tree/-/vulndb/ID/GO-2026-0002.json.gz"));
    const verified = await modferry(["verify", "--mirror", mirror]);
    expect(verified.code).toBe(1);
    expect(verified.stdout).toContain("names GO-2026-0002, which is missing");
    made.wrong.set("index/db", Buffer.from("<html>"));
    const failed = await sync();
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(/^modferry: vulnerability database: index\/db.json: .*web page/);
  });

  test("agrees with ours about 400 random ranges and versions", { timeout: 400_000 }, async () => {
    const random = randomFrom(20261123);
    const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
    // Ascending.
    const bounds = [
      "0.1.0",
      "1.0.0-rc.1",
      "1.0.0",
      "1.2.0",
      "1.2.3-0.20240102030405-0123456789ab",
      "1.10.0",
      "2.0.0",
      "2.0.1-pre",
    ];
    const versions = [
      "v0.1.0",
      "v0.0.0-20240102030405-0123456789ab",
      "v1.0.0",
      "v1.0.0-rc.1",
      "v1.0.0-rc.2",
      "v1.1.9",
      "v1.2.3",
      "v1.2.3-0.20240102030405-0123456789ab",
      "v1.10.0",
      "v1.9.0",
    ];
    const made = new MadeVulndb();
    const queries: string[] = [];
    for (let at = 0; at < 400; at++) {
      // As the database promises them: ranges that do not overlap, but in any order.
      const chosen = bounds.filter(() => random() < 0.45);
      if (chosen.length === 0 || random() < 0.4) chosen.unshift("0");
      const events = chosen.map((bound, nth) => (nth % 2 === 0 ? { introduced: bound } : { fixed: bound }));
      const id = `GO-2026-${String(1000 + at)}`;
      const module = `example.com/m${at}`;
      made.add({ id, module, modified: "2026-02-01T00:00:00Z", events, shuffled: random() < 0.5 });
      queries.push(`${module}@${pick(versions)}`);
    }
    await mirrored(made, async ([url = ""]) => {
      const theirs = await affectedBy(url, queries);
      const tree = new MemoryTree();
      await mirrorVulndb(tree, made);
      const reader = new MirroredVulnerabilities(tree, Date.now);
      const ours: string[] = [];
      for (const query of queries) {
        const version = parseModuleVersion(query);
        for (const entry of await reader.of(version)) if (affects(entry, version)) ours.push(entry.id);
      }
      expect(theirs.length).toBeGreaterThan(100);
      expect(theirs.length).toBeLessThan(350);
      expect(ours.sort()).toEqual(theirs);
    });
  });
});
