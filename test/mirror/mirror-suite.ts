import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { moduleVersion } from "../../gomod/version.ts";
import { infoKey, listKey, lookupKey, modKey, parseTreeKey, zipKey } from "../../mirror/tree-keys.ts";
import type { Fault } from "../upstream/fault.ts";
import { type FaultyUpstream, startFaultyUpstream } from "../upstream/faulty-upstream.ts";
import { type LoopbackUpstream, startUpstream } from "../upstream/loopback-upstream.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { findingsOf, requestOf, type Stores, syncOnce } from "./sync-once.ts";
import { WatchedTree } from "./watched-tree.ts";

/** A module with few and small dependencies, in the `shouting` project. */
const PROJECT = "shouting";
/** A module of it that the faults are laid on, and its file names below the upstream. */
const VICTIM = moduleVersion("github.com/BurntSushi/toml", "v1.3.2");
const OTHER_ZIP = zipKey(moduleVersion("github.com/mitchellh/reflectwalk", "v1.0.0"));

/** A main module of the victim and two others without requirements, so that each fault costs little. */
const FEW = {
  "go.mod":
    "module example.com/few\n\ngo 1.21\n\nrequire (\n\tgithub.com/BurntSushi/toml v1.3.2\n" +
    "\tgithub.com/Masterminds/goutils v1.1.1\n\tgithub.com/mitchellh/reflectwalk v1.0.0\n)\n",
};
/** An emulator on a loaded machine takes its time. */
const TIMEOUT = 240_000;

/** Empty stores; `dispose` removes what they hold. */
export type MakeStores = () => Promise<Stores & { dispose(): Promise<void> }>;

/** What must hold of a mirror whatever it stores in. */
export function mirrorSuite(name: string, makeStores: MakeStores): void {
  describe(`a mirror over ${name}`, () => {
    let upstream: LoopbackUpstream;
    let faulty: FaultyUpstream;
    let goMod: Record<string, string>;
    const made: { dispose(): Promise<void> }[] = [];
    const fresh = async () => {
      const stores = await makeStores();
      made.push(stores);
      return stores;
    };

    beforeAll(async () => {
      const tree = await fillModuleCache(PROJECT);
      upstream = await startUpstream({ trees: [tree], preset: true, synthetic: 3_000 });
      faulty = await startFaultyUpstream(upstream.url);
      goMod = { "go.mod": await readFile(join(projectDir(PROJECT), "go.mod"), "utf8") };
    });
    afterAll(async () => {
      for (const stores of made) await stores.dispose();
      await faulty?.close();
      await upstream?.close();
    });

    test("mirrors a project whole, asks upstream for each file once, and a second run asks for nothing", {
      timeout: TIMEOUT,
    }, async () => {
      const stores = await fresh();
      await upstream.reset();
      const { missing } = await syncOnce(stores, upstream, requestOf([], goMod));
      expect(missing).toEqual([]);
      expect(await findingsOf(stores, upstream.vkey)).toEqual([]);
      const { paths } = await upstream.counts();
      expect(Object.entries(paths).filter(([, count]) => count > 1)).toEqual([]);

      await upstream.reset();
      expect((await syncOnce(stores, upstream, requestOf([], goMod))).missing).toEqual([]);
      const again = await upstream.counts();
      expect(Object.keys(again.paths)).toEqual([]);
    });

    test("writes tiles, lookup, .mod, zip, .info, then list, and no list names what is not whole", {
      timeout: TIMEOUT,
    }, async () => {
      const stores = await fresh();
      const tree = new WatchedTree(stores.tree, upstream.vkey);
      await syncOnce({ ...stores, tree }, upstream, requestOf([], goMod));
      expect(tree.broken).toEqual([]);
      const order = tree.writes.map((write) => write.key);
      expect(outOfOrder(order, upstream.sumdbName)).toEqual([]);
      expect(order.some((key) => key.endsWith("/@v/list"))).toBe(true);
    });

    test.each<[string, Fault, string]>([
      ["a flipped byte in the zip", { kind: "flip-byte" }, ".zip"],
      ["a zip cut short with a matching length", { kind: "cut", length: "matching" }, ".zip"],
      ["another module's zip", { kind: "other", path: `/${OTHER_ZIP}` }, ".zip"],
      ["a page for a zip", { kind: "html" }, ".zip"],
      ["nothing for a zip", { kind: "empty" }, ".zip"],
      ["403 on the zip", { kind: "status", status: 403 }, ".zip"],
      ["404 on the zip", { kind: "status", status: 404 }, ".zip"],
      ["a flipped byte in the go.mod", { kind: "flip-byte" }, ".mod"],
      ["a page for the .info", { kind: "html" }, ".info"],
    ])(
      "%s never reaches the tree, does not stop the others, and heals",
      { timeout: TIMEOUT },
      async (_name, fault, suffix) => {
        const stores = await fresh();
        const path = `/${modKey(VICTIM).replace(/\.mod$/, suffix)}`;
        faulty.faults.set(path, fault);
        const source = { url: faulty.url, vkey: upstream.vkey };
        const { missing } = await syncOnce(stores, source, requestOf([], FEW));
        faulty.faults.clear();

        const victim = missing.filter((entry) => entry.subject === `${VICTIM.path}@${VICTIM.version}`);
        expect(victim, "the victim is named").toHaveLength(1);
        expect(victim[0]?.message).toContain(VICTIM.path);
        expect(await stores.tree.open(zipKey(VICTIM))).toBeUndefined();
        expect(await stores.tree.open(infoKey(VICTIM))).toBeUndefined();
        // A go.mod that cannot be read hides what only it requires; all that is known is held.
        if (suffix !== ".mod") expect(missing).toHaveLength(1);
        expect(await findingsOf(stores, upstream.vkey)).toEqual([]);

        expect((await syncOnce(stores, source, requestOf([], FEW))).missing).toEqual([]);
        expect(await findingsOf(stores, upstream.vkey)).toEqual([]);
      },
    );

    test("an unknown module and a version that was withdrawn are named, and the rest is mirrored", {
      timeout: TIMEOUT,
    }, async () => {
      const stores = await fresh();
      const wishes = [
        "github.com/BurntSushi/toml@v1.3.2",
        "example.com/unknown@v1.0.0",
        "example.com/none@latest",
      ];
      const { missing } = await syncOnce(stores, upstream, requestOf(wishes));
      expect(missing.map(({ subject, state }) => [subject, state])).toEqual([
        ["example.com/unknown@v1.0.0", "GONE"],
        ["example.com/none@latest", "absent"],
      ]);
      const list = await stores.tree.get(listKey(VICTIM.path), 1 << 20);
      expect(new TextDecoder().decode(list?.bytes)).toBe("v1.3.2\n");
    });

    test("a go.sum that disagrees with the checksum database fails the request, not the version", {
      timeout: TIMEOUT,
    }, async () => {
      const stores = await fresh();
      const sum = `${VICTIM.path} ${VICTIM.version} h1:${"A".repeat(43)}=\n`;
      const { missing } = await syncOnce(stores, upstream, requestOf([], { ...FEW, "go.sum": sum }));
      expect(missing.map(({ subject, state }) => [subject, state])).toEqual([
        [`${VICTIM.path}@${VICTIM.version}`, "mismatch"],
      ]);
      const stored = await stores.tree.open(zipKey(VICTIM));
      expect(stored).toBeDefined();
      await stored?.close();
    });
  });
}

/** Writes that came before one that must come first; the rule is that of docs/architecture.md, The way of one version. */
export function outOfOrder(order: readonly string[], database: string): string[] {
  const at = new Map(order.map((key, index) => [key, index]));
  const faults: string[] = [];
  const mustFollow = (later: string, earlier: string) => {
    const [a, b] = [at.get(earlier), at.get(later)];
    if (a === undefined || b === undefined || a >= b) faults.push(`${later} before ${earlier}`);
  };
  for (const key of order) {
    const entry = parseTreeKey(key);
    if (entry?.kind === "mod") mustFollow(key, lookupKey(database, entry.version));
    if (entry?.kind === "zip") mustFollow(key, modKey(entry.version));
    if (entry?.kind === "info") mustFollow(key, zipKey(entry.version));
  }
  const firstLookup = order.findIndex((key) => key.includes("/lookup/"));
  const head = order.findIndex((key) => key.endsWith("/supported"));
  if (firstLookup < head || head < 0) faults.push("a lookup before the head is served");
  return faults;
}
