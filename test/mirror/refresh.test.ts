import { beforeEach, describe, expect, test } from "vitest";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { moduleVersion, parseModuleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { refreshVersions } from "../../mirror/refresh.ts";
import { infoKey, lookupKey, modKey, type TreeKey, zipKey } from "../../mirror/tree-keys.ts";
import { updateRecords } from "../../mirror/update.ts";
import { verifyMirror } from "../../mirror/verify.ts";
import { buildZip } from "../gomod/zip-builder.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const NAME = "example.com/a@v1.0.0";
const VERSION = moduleVersion("example.com/a", "v1.0.0");
const OTHER_ZIP = buildZip([
  { name: `${NAME}/go.mod`, content: "module example.com/a\n" },
  { name: `${NAME}/x.go`, content: "package other\n" },
]);

describe("asking upstream again for what is held", () => {
  let upstream: MadeUpstream;
  let mirror: MadeMirror;
  beforeEach(async () => {
    upstream = new MadeUpstream();
    upstream.database.grow(30);
    upstream.add(NAME);
    mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: [NAME] });
    upstream.asked.clear();
  });

  const refresh = async (over: MadeMirror = mirror) => (await refreshVersions(over.parts, [VERSION]))[0];
  const record = async (over: MadeMirror = mirror) => (await over.ledger.read([VERSION]))[0];
  const bytesOf = async (key: TreeKey) => (await mirror.tree.get(key, 1 << 24))?.bytes;
  const drop = async (key: TreeKey) => {
    const found = await mirror.tree.get(key, 1 << 24);
    await mirror.tree.remove(key, found?.etag ?? "");
    return found?.bytes ?? new Uint8Array(0);
  };
  /** The same size, one bit wrong. */
  const damage = async (key: TreeKey) => {
    const right = await drop(key);
    const wrong = Uint8Array.from(right);
    wrong[wrong.length >> 1] = (wrong[wrong.length >> 1] ?? 0) ^ 1;
    await mirror.tree.create(key, wrong, sha256Of(wrong));
    return { right, wrong };
  };
  const isEvidence = async (bytes: Uint8Array) => {
    const kept = await mirror.vault.get(`evidence/mismatch/${sha256Of(bytes)}`, 1 << 24);
    return kept !== undefined && Buffer.from(kept).equals(bytes);
  };
  const findings = async () => {
    const { tree, ledger } = mirror;
    const verifiers = [upstream.database.verifier];
    return (await verifyMirror({ tree, ledger, zips: zipChecker, verifiers, progress: () => {} })).findings;
  };

  test("changes nothing where it has the same, and has asked for every file", async () => {
    const before = await record();
    const writes = mirror.tree.writes.length;
    expect(await refresh()).toEqual({ version: VERSION, outcome: "unchanged" });
    expect(await record()).toEqual(before);
    expect(mirror.tree.writes).toHaveLength(writes);
    expect([...upstream.asked.keys()].sort()).toEqual(
      ["info", "lookup", "mod", "zip"].map((kind) => `${kind} ${NAME}`),
    );
  });

  test("leaves ours where the zip is only compressed otherwise, or .info has another Time", async () => {
    const before = await record();
    const { mod } = upstream.made.get(NAME) ?? expect.fail();
    const same = buildZip([
      { name: `${NAME}/go.mod`, content: mod, method: 0 },
      { name: `${NAME}/x.go`, content: `package x // ${NAME}\n`, method: 0 },
    ]);
    expect(same).not.toEqual(await bytesOf(zipKey(VERSION)));
    upstream.wrong.set(`zip ${NAME}`, same);
    upstream.wrong.set(`info ${NAME}`, Buffer.from('{"Version":"v1.0.0","Time":"2030-01-01T00:00:00Z"}'));
    const time = { upstream: "2030-01-01T00:00:00Z", ours: before?.time };
    expect(await refresh()).toEqual({ version: VERSION, outcome: "unchanged", time });
    expect(await record()).toEqual(before);
  });

  test.each([
    ["the same moment in another zone", '{"Version":"v1.0.0","Time":"@+01:00"}'],
    ["no Time at all", '{"Version":"v1.0.0"}'],
  ])("has nothing to say of %s", async (_what, info) => {
    const before = await record();
    const moment = new Date(Date.parse(before?.time ?? "") + 3_600_000).toISOString().slice(0, 19);
    upstream.wrong.set(`info ${NAME}`, Buffer.from(info.replace("@", moment)));
    expect(await refresh()).toEqual({ version: VERSION, outcome: "unchanged" });
    expect(await record()).toEqual(before);
  });

  test("an .info that was lost comes back with upstream's Time, which is ours from then on", async () => {
    await drop(infoKey(VERSION));
    const time = "2030-01-01T00:00:00Z";
    upstream.wrong.set(`info ${NAME}`, Buffer.from(`{"Version":"v1.0.0","Time":"${time}"}`));
    expect(await refresh()).toEqual({ version: VERSION, outcome: "restored", files: [infoKey(VERSION)] });
    expect((await record())?.time).toBe(time);
  });

  test("of a path that no database covers, another Time with the same files is told, and ours stays", async () => {
    const unproven = new MadeMirror(upstream, { unproven: "example.com" });
    await unproven.request({ wishes: [NAME] });
    const before = await record(unproven);
    expect(before).toMatchObject({ state: "READY" });
    const later = "2030-01-01T00:00:00Z";
    upstream.wrong.set(`info ${NAME}`, Buffer.from(`{"Version":"v1.0.0","Time":"${later}"}`));
    const time = { upstream: later, ours: before?.time };
    expect(await refresh(unproven)).toEqual({ version: VERSION, outcome: "unchanged", time });
    expect(await record(unproven)).toEqual(before);
  });

  const files = () => [
    infoKey(VERSION),
    modKey(VERSION),
    zipKey(VERSION),
    lookupKey(upstream.database.verifier.name, VERSION),
  ];

  test.each([0, 1, 2, 3])("brings back a file that is missing (%i)", async (at) => {
    const key = files()[at] as TreeKey;
    const before = await drop(key);
    expect((await findings()).map(({ subject }) => subject)).toContain(key);
    expect(await refresh()).toEqual({ version: VERSION, outcome: "restored", files: [key] });
    expect(Buffer.from((await bytesOf(key)) ?? "").equals(before)).toBe(true);
    expect(await findings()).toEqual([]);
  });

  test.each([0, 1, 2])("brings back a file that is damaged, and keeps what it was (%i)", async (at) => {
    const key = files()[at] as TreeKey;
    const { right, wrong } = await damage(key);
    expect(await refresh()).toEqual({ version: VERSION, outcome: "restored", files: [key] });
    expect(Buffer.from((await bytesOf(key)) ?? "").equals(right)).toBe(true);
    expect(await findings()).toEqual([]);
    expect(await isEvidence(wrong)).toBe(true);
  });

  test("settles a conflict over a damaged file, which asking for it again could not", async () => {
    const key = zipKey(VERSION);
    await drop(key);
    await mirror.tree.create(key, Buffer.from("cut"), sha256Of(Buffer.from("cut")));
    await mirror.request({ wishes: [NAME] });
    expect((await record())?.state).toBe("CONFLICT");
    expect(await refresh()).toMatchObject({ outcome: "restored" });
    expect(await record()).toMatchObject({ state: "READY", held: "whole", attempts: 0 });
    expect((await record())?.lastError).toBeUndefined();
    expect(await findings()).toEqual([]);
  });

  test("other bytes, where a database has proven ours, are upstream's fault: ours stays, as it was", async () => {
    const before = await record();
    const writes = mirror.tree.writes.length;
    upstream.wrong.set(`zip ${NAME}`, OTHER_ZIP);
    expect(await refresh()).toMatchObject({
      outcome: "differs",
      message: expect.stringContaining("zip is h1:"),
    });
    expect(await record()).toEqual(before);
    expect(mirror.tree.writes).toHaveLength(writes);
    expect(await isEvidence(OTHER_ZIP)).toBe(true);
    await damage(zipKey(VERSION));
    const damaged = mirror.tree.writes.length;
    expect(await refresh()).toMatchObject({ outcome: "differs" });
    // Nothing is taken away for what is not proven.
    expect(mirror.tree.writes).toHaveLength(damaged);
  });

  test("other bytes of what no database covers are a conflict: the file stays, a person decides", async () => {
    const unproven = new MadeMirror(upstream, { unproven: "example.com" });
    await unproven.request({ wishes: [NAME] });
    expect(await refresh(unproven)).toMatchObject({ outcome: "unchanged" });
    const held = await unproven.tree.get(zipKey(VERSION), 1 << 24);
    upstream.wrong.set(`zip ${NAME}`, OTHER_ZIP);
    expect(await refresh(unproven)).toMatchObject({ outcome: "differs" });
    expect(await record(unproven)).toMatchObject({ state: "CONFLICT", held: "whole" });
    expect((await record(unproven))?.due).toBeUndefined();
    expect((await unproven.tree.get(zipKey(VERSION), 1 << 24))?.etag).toBe(held?.etag);
    upstream.wrong.clear();
    expect(await refresh(unproven)).toMatchObject({
      outcome: "left",
      message: expect.stringContaining("CONFLICT"),
    });
  });

  test.each([
    ["absent", new MirrorError("absent", NAME, `${NAME}: not found (404)`)],
    ["transient", new MirrorError("transient", NAME, `${NAME}: 503`)],
  ] as const)("what upstream does not have now (%s) takes nothing from ours", async (errorClass, error) => {
    const before = await record();
    upstream.wrong.set(`zip ${NAME}`, error);
    expect(await refresh()).toMatchObject({ outcome: "failed", class: errorClass });
    expect(await record()).toEqual(before);
    expect(await findings()).toEqual([]);
  });

  test("what is not held, or is blocked, is left with the reason, and upstream is not asked", async () => {
    upstream.add("example.com/b@v1.0.0");
    const [unknown] = await refreshVersions(mirror.parts, [parseModuleVersion("example.com/b@v1.0.0")]);
    expect(unknown).toMatchObject({ outcome: "left", message: expect.stringContaining("is not held") });
    await updateRecords(mirror.ledger, [VERSION], (one) => one && { ...one, state: "BLOCKED" });
    expect(await refresh()).toMatchObject({ outcome: "left", message: expect.stringContaining("BLOCKED") });
    expect(upstream.count()).toBe(0);
  });

  test("of a version that is held for its go.mod alone, only that is asked for", async () => {
    upstream.add("example.com/b@v1.0.0");
    upstream.add("example.com/b@v1.1.0");
    upstream.add("example.com/c@v1.0.0", { requires: ["example.com/b@v1.0.0"] });
    upstream.add("example.com/d@v1.0.0", { requires: ["example.com/c@v1.0.0", "example.com/b@v1.1.0"] });
    const goMod = moduleVersion("example.com/b", "v1.0.0");
    await mirror.request({ wishes: ["example.com/d@v1.0.0"] });
    expect((await mirror.ledger.read([goMod]))[0]?.held).toBe("mod");
    upstream.asked.clear();
    expect(await refreshVersions(mirror.parts, [goMod])).toMatchObject([{ outcome: "unchanged" }]);
    expect([...upstream.asked.keys()].sort()).toEqual(
      ["lookup", "mod"].map((kind) => `${kind} example.com/b@v1.0.0`),
    );
  });

  test.each(["remove", "create"] as const)(
    "dying at the tree's %s is made good by asking again",
    async (method) => {
      const { right } = await damage(zipKey(VERSION));
      const dying = new MemoryTree(({ method: called, key }) =>
        called === `tree.${method}` && key === zipKey(VERSION)
          ? { applied: true, sees: new MirrorError("transient", key, `${key}: died`) }
          : undefined,
      );
      for await (const { key } of mirror.tree.keys()) {
        const bytes = (await bytesOf(key as TreeKey)) ?? new Uint8Array(0);
        await dying.replace(key as TreeKey, bytes, undefined);
      }
      const parts = { ...mirror.parts, tree: dying };
      expect(await refreshVersions(parts, [VERSION])).toMatchObject([
        { outcome: "failed", class: "transient" },
      ]);
      const again = new MemoryTree();
      for await (const { key } of dying.keys()) {
        const bytes = (await dying.get(key as TreeKey, 1 << 24))?.bytes ?? new Uint8Array(0);
        await again.replace(key as TreeKey, bytes, undefined);
      }
      await refreshVersions({ ...mirror.parts, tree: again }, [VERSION]);
      const stored = await again.get(zipKey(VERSION), 1 << 24);
      expect(Buffer.from(stored?.bytes ?? "").equals(right)).toBe(true);
    },
  );
});
