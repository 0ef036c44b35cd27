import { beforeEach, describe, expect, test } from "vitest";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { parseModuleVersion } from "../../gomod/version.ts";
import { block } from "../../mirror/block.ts";
import { BLOCKS_FRESH, blockName } from "../../mirror/blocks.ts";
import { sha256Of } from "../../mirror/body.ts";
import type { VersionRecord } from "../../mirror/records.ts";
import { answer } from "../../mirror/serve.ts";
import type { TreeKey } from "../../mirror/tree-keys.ts";
import { unblock } from "../../mirror/unblock.ts";
import { verifyMirror } from "../../mirror/verify.ts";
import { buildZip } from "../gomod/zip-builder.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const A = "example.com/a@v1.0.0";
const A1 = "example.com/a@v1.1.0";
const DEP = "example.com/dep@v1.0.0";
const BY = "op@host";
const ZIP = "example.com/a/@v/v1.1.0.zip";
const LIST = "example.com/a/@v/list";
const LATEST = "example.com/a/@latest";

describe("a block", () => {
  let upstream: MadeUpstream;
  let mirror: MadeMirror;

  beforeEach(async () => {
    upstream = new MadeUpstream();
    upstream.add(DEP);
    upstream.add(A, { requires: [DEP] });
    upstream.add(A1);
    mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: [A, A1] });
  });
  const recordOf = async (name: string): Promise<VersionRecord> => {
    const [record] = await mirror.ledger.read([parseModuleVersion(name)]);
    if (record === undefined) throw new Error(`${name} has no record`);
    return record;
  };
  const ask = async (path: string) => {
    const reply = await answer(mirror.parts, path, 1 << 20);
    if (reply.kind === "object") await reply.object.close();
    return reply;
  };
  const status = async (path: string) => {
    const reply = await ask(path);
    return reply.kind === "text" ? reply.status : 200;
  };
  const vaultKeys = async (prefix: string) => {
    const keys: string[] = [];
    for await (const key of mirror.vault.keys(prefix)) keys.push(key);
    return keys;
  };
  const findings = async () => {
    const { tree, ledger } = mirror;
    const verifiers = [upstream.database.verifier];
    return (await verifyMirror({ tree, ledger, zips: zipChecker, verifiers, progress: () => {} })).findings;
  };

  test("takes a version off list and @latest, its zip out of the tree, and says why; its .mod, .info and lookup stay", async () => {
    expect(await mirror.text(LIST)).toBe("v1.0.0\nv1.1.0\n");
    expect(await block(mirror.parts, A1, "it phones home", BY)).toEqual({ versions: 1, roots: 0 });
    expect(await mirror.text(LIST)).toBe("v1.0.0\n");
    expect(await mirror.text(LATEST)).toBe(await mirror.text("example.com/a/@v/v1.0.0.info"));
    expect(await mirror.keys()).not.toContain(ZIP);
    expect(await vaultKeys("quarantine/")).toEqual([`quarantine/${ZIP}`, `quarantine/${ZIP}.json`]);
    expect(await mirror.vault.get(`quarantine/${ZIP}`, 1 << 20)).toEqual(
      Buffer.from(upstream.made.get(A1)?.zip ?? []),
    );
    expect(await ask(ZIP)).toMatchObject({
      status: 403,
      text: `${A1}: BLOCKED taken out by hand: it phones home\n`,
    });
    for (const path of [
      "example.com/a/@v/v1.1.0.mod",
      "example.com/a/@v/v1.1.0.info",
      `sumdb/sum.example.org/lookup/${A1}`,
    ])
      expect([path, await status(path)]).toEqual([path, 200]);
    expect(await recordOf(A1)).toMatchObject({
      state: "BLOCKED",
      held: "mod",
      listed: false,
      rule: `block ${A1}`,
    });
    expect(mirror.ledger.journalLines.filter(({ event }) => event === "blocked")).toMatchObject([
      { version: parseModuleVersion(A1) },
    ]);
    const [decision = ""] = await vaultKeys("decisions/block/");
    const logged = JSON.parse(Buffer.from((await mirror.vault.get(decision, 1000)) ?? []).toString());
    expect(logged).toMatchObject({ decision: "block", name: A1, reason: "it phones home", by: BY });
    expect(await findings()).toEqual([]);
  });

  test("of the last version that is listed leaves an empty list and no @latest", async () => {
    await block(mirror.parts, A1, "bad", BY);
    await block(mirror.parts, A, "bad too", BY);
    expect(await ask(LIST)).toMatchObject({ kind: "object" });
    expect(await mirror.text(LIST)).toBe("");
    expect(await status(LATEST)).toBe(404);
    expect(await findings()).toEqual([]);
  });

  test("is lifted by unblock: the same zip, list, @latest, record and journal; upstream is not asked", async () => {
    const before = {
      list: await mirror.text(LIST),
      latest: await mirror.text(LATEST),
      record: await recordOf(A1),
      keys: await mirror.keys(),
    };
    const asked = upstream.count();
    await block(mirror.parts, A1, "bad", BY);
    expect(await unblock(mirror.parts, A1, BY)).toEqual({ versions: 1, restored: 1 });
    mirror.clock.ms += BLOCKS_FRESH;
    expect(await mirror.text(LIST)).toBe(before.list);
    expect(await mirror.text(LATEST)).toBe(before.latest);
    expect(await mirror.keys()).toEqual(before.keys);
    expect(await recordOf(A1)).toEqual({
      ...before.record,
      revision: expect.any(Number),
      wantedAt: expect.any(Number),
    });
    expect(await status(ZIP)).toBe(200);
    expect(mirror.ledger.journalLines.at(-2)?.event).toBe("unblocked");
    expect(upstream.count()).toBe(asked);
    expect(await vaultKeys("decisions/block/")).toHaveLength(2);
    expect(await findings()).toEqual([]);
    await block(mirror.parts, A1, "again", BY);
    expect(await status(ZIP)).toBe(403);
    await unblock(mirror.parts, A1, BY);
    expect(await mirror.text(LIST)).toBe(before.list);
  });

  test("of a dependency takes its dependents off their lists, and they come back with it", async () => {
    expect(await block(mirror.parts, DEP, "bad", BY)).toEqual({ versions: 1, roots: 1 });
    expect(await mirror.text(LIST)).toBe("v1.1.0\n");
    expect(await recordOf(A)).toMatchObject({ state: "READY", listed: false });
    const requests = await mirror.ledger.dueRequests(Number.MAX_SAFE_INTEGER, 10);
    expect(requests.map(({ state }) => state)).toEqual(["INCOMPLETE"]);
    await unblock(mirror.parts, DEP, BY);
    expect(await mirror.text(LIST)).toBe("v1.0.0\nv1.1.0\n");
    expect(await recordOf(A)).toMatchObject({ listed: true });
    expect(await mirror.ledger.dueRequests(Number.MAX_SAFE_INTEGER, 10)).toEqual([]);
  });

  test("of a pattern keeps out what comes later, too: fetched as far as graphs need it", async () => {
    await block(mirror.parts, "example.com/d*", "compromised account", BY);
    expect((await recordOf(DEP)).state).toBe("BLOCKED");
    upstream.add("example.com/dep@v1.1.0");
    await mirror.request({ wishes: ["example.com/dep@v1.1.0"] });
    expect(await recordOf("example.com/dep@v1.1.0")).toMatchObject({
      state: "BLOCKED",
      held: "mod",
      rule: "block example.com/d*",
    });
    expect(upstream.asked.get("zip example.com/dep@v1.1.0")).toBeUndefined();
    expect(await status("example.com/dep/@v/v1.1.0.mod")).toBe(200);
    expect(await ask("example.com/dep/@v/v1.1.0.zip")).toMatchObject({
      status: 403,
      text: expect.stringContaining("compromised account"),
    });
    expect(await unblock(mirror.parts, "example.com/d*", BY)).toEqual({ versions: 2, restored: 1 });
    mirror.clock.ms += BLOCKS_FRESH;
    await mirror.pass(12);
    expect(await recordOf("example.com/dep@v1.1.0")).toMatchObject({ state: "READY", held: "whole" });
    expect(await mirror.text("example.com/dep/@v/list")).toBe("v1.1.0\n");
  });

  test("of a version that nobody has asked for yet keeps it out when someone does", async () => {
    upstream.add("example.com/new@v1.0.0");
    await block(mirror.parts, "example.com/new@v1.0.0", "known bad", BY);
    await mirror.request({ wishes: ["example.com/new@v1.0.0"] });
    const blocked = await recordOf("example.com/new@v1.0.0");
    expect(blocked.state).toBe("BLOCKED");
    await mirror.request({ wishes: ["example.com/new@v1.0.0"] });
    expect(await recordOf("example.com/new@v1.0.0")).toEqual(blocked);
  });

  test("leaves a go.mod that only graphs read as it is", async () => {
    upstream.add("example.com/old@v1.0.0");
    upstream.add("example.com/old@v1.1.0");
    upstream.add("example.com/b@v1.0.0", { requires: ["example.com/old@v1.0.0"] });
    upstream.add("example.com/c@v1.0.0", { requires: ["example.com/b@v1.0.0", "example.com/old@v1.1.0"] });
    await mirror.request({ wishes: ["example.com/c@v1.0.0"] });
    await block(mirror.parts, "example.com/old@v1.0.0", "bad", BY);
    expect(await recordOf("example.com/old@v1.0.0")).toMatchObject({ state: "READY", held: "mod" });
    expect(await mirror.text("example.com/c/@v/list")).toBe("v1.0.0\n");
  });

  test("stands while another one names the same version", async () => {
    await block(mirror.parts, A1, "bad version", BY);
    await block(mirror.parts, "example.com/a", "bad module", BY);
    await unblock(mirror.parts, A1, BY);
    expect(await recordOf(A1)).toMatchObject({ state: "BLOCKED", rule: "block example.com/a" });
    await unblock(mirror.parts, "example.com/a", BY);
    expect(await mirror.text(LIST)).toBe("v1.0.0\nv1.1.0\n");
  });

  test("that comes while a worker has the zip on its way: the worker takes it out again", async () => {
    const NEW = "example.com/new@v1.0.0";
    const made = upstream.add(NEW);
    // Its .mod is held already: so the block makes the record BLOCKED at once.
    await mirror.request({ recorded: ["example.com/new/@v/v1.0.0.mod"] });
    upstream.zip = async () => {
      await block(mirror.parts, NEW, "bad", BY);
      return made.zip;
    };
    await mirror.request({ wishes: [NEW] });
    expect(await recordOf(NEW)).toMatchObject({ state: "BLOCKED", held: "mod", listed: false });
    const lines = mirror.ledger.journalLines.filter(({ version }) => version.path === "example.com/new");
    expect(lines.map(({ event }) => event)).toEqual(["changed", "blocked"]);
    expect(await mirror.keys()).not.toContain("example.com/new/@v/v1.0.0.zip");
    expect(await mirror.text("example.com/new/@v/list")).toBe("");
  });

  test("that comes before anything of it is held, while a worker is past the gate: reconcile takes it out", async () => {
    const NEW = "example.com/new@v1.0.0";
    const made = upstream.add(NEW);
    upstream.zip = async () => {
      await block(mirror.parts, NEW, "bad", BY);
      return made.zip;
    };
    await mirror.request({ exact: [NEW] });
    mirror.clock.ms += BLOCKS_FRESH;
    expect(await status("example.com/new/@v/v1.0.0.zip")).toBe(403);
    await mirror.pass(12);
    expect(await recordOf(NEW)).toMatchObject({ state: "BLOCKED", held: "mod" });
    expect(await mirror.keys()).not.toContain("example.com/new/@v/v1.0.0.zip");
  });

  test("catches what a worker that had begun before it, and died, left behind, once every such worker must have ended", async () => {
    await block(mirror.parts, A1, "bad", BY);
    const zip = upstream.made.get(A1)?.zip ?? new Uint8Array();
    await mirror.tree.create(ZIP as TreeKey, zip, sha256Of(zip));
    const list = await mirror.tree.get(LIST as TreeKey, 1000);
    await mirror.tree.replace(LIST as TreeKey, Buffer.from("v1.0.0\nv1.1.0\n"), list?.etag);
    await mirror.pass(11);
    expect(await mirror.keys()).not.toContain(ZIP);
    expect(await mirror.text(LIST)).toBe("v1.0.0\n");
    const revisions = async () => (await mirror.ledger.readItem("block", A1))?.revision;
    const done = await revisions();
    await mirror.pass(5);
    expect(await revisions()).toBe(done);
  });

  test("that comes while a settling lists the version is not undone by it", async () => {
    const NEW = "example.com/new@v1.0.0";
    upstream.add(NEW);
    const replace = mirror.tree.replace.bind(mirror.tree);
    let once = true;
    mirror.tree.replace = async (key, bytes, previous) => {
      const result = await replace(key, bytes, previous);
      if (once && key === "example.com/new/@v/list" && (bytes as Uint8Array).byteLength > 0) {
        once = false;
        await block(mirror.parts, NEW, "bad", BY);
      }
      return result;
    };
    await mirror.request({ wishes: [NEW] });
    expect(once).toBe(false);
    expect(await mirror.text("example.com/new/@v/list")).toBe("");
    expect(await status("example.com/new/@latest")).toBe(404);
    expect(await recordOf(NEW)).toMatchObject({ state: "BLOCKED", listed: false });
  });

  test("counts in every endpoint within ten seconds, whoever wrote it and however far that one came", async () => {
    expect(await status(ZIP)).toBe(200);
    const value = { reason: "written by another process", by: BY, at: mirror.clock.ms };
    await mirror.ledger.writeItem({ kind: "block", name: A1, revision: 0, value });
    mirror.clock.ms += BLOCKS_FRESH;
    expect(await ask(ZIP)).toMatchObject({
      status: 403,
      text: expect.stringContaining("written by another process"),
    });
    await mirror.pass(1);
    expect(await mirror.text(LIST)).toBe("v1.0.0\n");
    expect(await mirror.keys()).not.toContain(ZIP);
  });

  test("costs each zip one read of the ledger, and all requests together one query in ten seconds", async () => {
    const reads: string[] = [];
    const ledger = new Proxy(mirror.ledger, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== "function") return method;
        return (...args: unknown[]) => {
          reads.push(String(name));
          return Reflect.apply(method, target, args);
        };
      },
    });
    for (let i = 0; i < 20; i++) {
      const reply = await answer({ ...mirror.parts, ledger }, ZIP, 1 << 20);
      if (reply.kind === "object") await reply.object.close();
    }
    expect(reads.filter((name) => name === "read")).toHaveLength(20);
    expect(reads.filter((name) => name === "items")).toHaveLength(1);
    reads.length = 0;
    for (const path of [LIST, LATEST, "example.com/a/@v/v1.1.0.mod", "example.com/a/@v/v1.1.0.info"])
      await answer({ ...mirror.parts, ledger }, path, 1 << 20);
    expect(reads).toEqual([]);
  });

  test("an unblock of what is not blocked says what is", async () => {
    await block(mirror.parts, A1, "bad", BY);
    await expect(unblock(mirror.parts, A, BY)).rejects.toThrow(`${A}: not blocked; blocked are: ${A1}`);
  });

  test("a quarantined zip that is not the proven one does not come back", async () => {
    await block(mirror.parts, A1, "bad", BY);
    const other = buildZip([{ name: `${A1}/x.go`, content: Buffer.from("package x // another one\n") }]);
    await mirror.vault.put(`quarantine/${ZIP}`, other);
    await expect(unblock(mirror.parts, A1, BY)).rejects.toThrow(
      /the zip in quarantine is h1:.*, not the proven h1:/,
    );
    expect(await mirror.keys()).not.toContain(ZIP);
    expect((await recordOf(A1)).state).toBe("BLOCKED");
  });

  test.each([
    "example.com/a@v1",
    "example.com/a@latest",
    "@v1.0.0",
    "a,b",
    "a[",
    "",
    "example.com/A B@v1.0.0",
    "x@v1.0.0\n",
  ])("%j is no name of a block", (text) => expect(() => blockName(text)).toThrow());
});
