import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { parseTree } from "../../sumdb/tree-head.ts";
import { type GoClient, goClient } from "../go-client.ts";
import { describeWithGo } from "../go-command.ts";
import { buildZip } from "../gomod/zip-builder.ts";
import { type LoopbackUpstream, startUpstream } from "../upstream/loopback-upstream.ts";
import { removeReadOnlyTree } from "../upstream/read-only-tree.ts";
import { expectSuccess } from "./mirror-world.ts";
import { type CommandOptions, type CommandRun, modferry, serveMirror } from "./modferry-command.ts";

const TIMEOUT = 300_000;
const KILL_CHILD = join(import.meta.dirname, "kill-child.ts");
/** Just beyond a full tile of level 1, so that heads fall on both sides of full tiles of level 0. */
const RECORDS = 66_000;

/** A GOPROXY tree of modules without requirements, example.test/m<n> at v1.0.0. */
async function makeTree(folder: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const [path, at] = [`example.test/m${n}`, join(folder, "example.test", `m${n}`, "@v")];
    const mod = `module ${path}\n\ngo 1.21\n`;
    await mkdir(at, { recursive: true });
    await writeFile(join(at, "v1.0.0.mod"), mod);
    await writeFile(join(at, "v1.0.0.info"), `{"Version":"v1.0.0","Time":"2024-01-02T03:04:05Z"}`);
    const files = [
      { name: `${path}@v1.0.0/go.mod`, content: Buffer.from(mod) },
      { name: `${path}@v1.0.0/m.go`, content: Buffer.from("package m\n") },
    ];
    await writeFile(join(at, "v1.0.0.zip"), buildZip(files));
  }
}

describeWithGo("go clients that have seen heads of the checksum database elsewhere", () => {
  let root: string;
  let upstream: LoopbackUpstream;
  const clients: GoClient[] = [];
  const mirror = (extent: string) => join(root, extent);
  const name = (n: number) => `example.test/m${n}@v1.0.0`;

  const sync = (extent: string, n: number, options?: CommandOptions): Promise<CommandRun> =>
    modferry(
      ["sync", name(n), "--mirror", mirror(extent), "--upstream", upstream.url].concat([
        "--sumdb",
        upstream.vkey,
        "--tiles",
        extent,
      ]),
      options,
    );

  /** A go command that has seen what the upstream has now. */
  async function publicClient(n: number): Promise<string> {
    const home = await mkdtemp(join(root, "public-"));
    const client = await goClient({ goproxy: upstream.url, gosumdb: upstream.vkey, home });
    clients.push(client);
    expectSuccess(await client.run(["mod", "download", name(n)]), "go mod download from the upstream");
    await client.clearModCache();
    return home;
  }

  const latestOf = (home: string) => join(home, "gopath/pkg/sumdb", upstream.sumdbName, "latest");
  const sizeOf = async (home: string): Promise<number> =>
    parseTree(await readFile(latestOf(home), "utf8")).size;

  /** Downloads all of these by a client that lives in a copy of `home`; undefined: a fresh one. */
  async function download(goproxy: string, home: string | undefined, numbers: readonly number[]) {
    const copy = await mkdtemp(join(root, "client-"));
    if (home !== undefined) await cp(join(home, "gopath"), join(copy, "gopath"), { recursive: true });
    const client = await goClient({ goproxy, gosumdb: upstream.vkey, home: copy });
    clients.push(client);
    let failed: CommandRun | undefined;
    for (const n of numbers) {
      const run = await client.run(["mod", "download", name(n)]);
      if (run.code !== 0) failed ??= run;
    }
    return { failed, size: await sizeOf(copy) };
  }

  /** A home whose client has seen this head. */
  async function homeWith(note: Uint8Array): Promise<string> {
    const home = await mkdtemp(join(root, "head-"));
    await mkdir(join(latestOf(home), ".."), { recursive: true });
    await writeFile(latestOf(home), note);
    return home;
  }

  const publics: string[] = [];
  /** Modules that the mirrors have, each with the head that was the newest then. */
  const mirrored = [0, 1, 3, 5];
  const orders = [mirrored, mirrored.toReversed()];

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "modferry-tiles-"));
    await makeTree(join(root, "upstream"), 8);
    upstream = await startUpstream({ trees: [join(root, "upstream")], synthetic: RECORDS });
    const syncAll = async (n: number) => {
      for (const extent of ["full", "upper"])
        expectSuccess(await sync(extent, n), `sync --tiles ${extent} ${n}`);
    };
    publics.push(await publicClient(0));
    await syncAll(0);
    await syncAll(1);
    await upstream.grow(100);
    publics.push(await publicClient(2));
    await upstream.grow(20);
    await syncAll(3);
    await upstream.grow(70_000);
    publics.push(await publicClient(4));
    await upstream.grow(10);
    await syncAll(5);
  }, TIMEOUT);
  afterAll(async () => {
    await upstream?.close();
    for (const client of clients) await client.dispose();
    await removeReadOnlyTree(root);
    await rm(root, { recursive: true, force: true });
  });

  const mirrorHeads = async (extent: string): Promise<{ size: number; note: Uint8Array }[]> => {
    const opened = await openFolderMirror(mirror(extent), { mode: "read" });
    const heads: { size: number; note: Uint8Array }[] = [];
    for await (const { size, note } of opened.ledger.heads(upstream.sumdbName)) heads.push({ size, note });
    await opened.close();
    return heads;
  };

  test(
    "full, over file://: a fresh one, one with any head of the mirror, and with public heads it never published",
    async () => {
      const goproxy = `file://${join(mirror("full"), "tree")}`;
      const heads = await mirrorHeads("full");
      expect(heads.length).toBeGreaterThanOrEqual(3);
      const own = await Promise.all(heads.map(({ note }) => homeWith(note)));
      const seen = await Promise.all(publics.map(sizeOf));
      // The second and third are none of the mirror's own.
      for (const size of seen.slice(1)) expect(heads.map((head) => head.size)).not.toContain(size);
      for (const home of [undefined, ...own, ...publics])
        for (const order of orders) {
          const { failed, size } = await download(goproxy, home, order);
          expect(failed?.stderr).toBeUndefined();
          expect(size).toBeGreaterThanOrEqual(home === undefined ? 1 : await sizeOf(home));
        }
    },
    TIMEOUT,
  );

  test(
    "upper, connected: the same, where an island cannot; and what was fetched stays, proven",
    async () => {
      const before = await upstream.counts();
      const island = await serveMirror(mirror("upper"));
      try {
        for (const home of [
          undefined,
          ...(await Promise.all((await mirrorHeads("upper")).map(({ note }) => homeWith(note)))),
        ])
          expect((await download(island.url, home, mirrored)).failed?.stderr).toBeUndefined();
        // Its head's edge lies in a tile that the mirror's newest head has wider.
        const { failed } = await download(island.url, publics[2], mirrored);
        expect(failed?.stderr).toContain("does not hold that tile");
      } finally {
        await island.stop();
      }
      expect((await upstream.counts()).kinds.tile).toBe(before.kinds.tile);

      const more = ["--upstream", upstream.url, "--sumdb", upstream.vkey];
      const connected = await serveMirror(mirror("upper"), more);
      try {
        for (const home of publics)
          for (const order of orders)
            expect((await download(connected.url, home, order)).failed?.stderr).toBeUndefined();
        const fetched = (await upstream.counts()).kinds.tile ?? 0;
        for (const home of publics) await download(connected.url, home, mirrored);
        expect((await upstream.counts()).kinds.tile).toBe(fetched);
      } finally {
        await connected.stop();
      }
      expectSuccess(
        await modferry(["verify", "--mirror", mirror("upper"), "--sumdb", upstream.vkey]),
        "verify",
      );
    },
    TIMEOUT,
  );

  test(
    "a client with a newer head than the mirror's reads what to do, also where the mirror is connected",
    async () => {
      await upstream.grow(1_000);
      const newer = await publicClient(6);
      const connected = await serveMirror(mirror("full"), [
        "--upstream",
        upstream.url,
        "--sumdb",
        upstream.vkey,
      ]);
      try {
        const { failed } = await download(connected.url, newer, [0]);
        expect(failed?.code).toBe(1);
        expect(failed?.stderr).toMatch(/stands at tree size \d+, the tile reaches \d+.*sync the mirror/);
      } finally {
        await connected.stop();
      }
    },
    TIMEOUT,
  );

  test.each([
    ["tree", 40],
    ["tree", 300],
    ["ledger", 14],
  ])(
    "a sync that is killed at write %s %i while it fills goes on, and is then complete",
    async (store, nth) => {
      const folder = await mkdtemp(join(root, "killed-"));
      const args = ["sync", name(0), "--mirror", folder, "--upstream", upstream.url].concat([
        "--sumdb",
        upstream.vkey,
        "--tiles",
        "full",
      ]);
      const through = [KILL_CHILD, store, "after", String(nth), ""];
      expect((await modferry(args, { through })).code).toBe(137);
      expectSuccess(await modferry(args), "sync again");
      expectSuccess(await modferry(["verify", "--mirror", folder, "--sumdb", upstream.vkey]), "verify");
      const { failed } = await download(`file://${join(folder, "tree")}`, publics[1], [0]);
      expect(failed?.stderr).toBeUndefined();
    },
    TIMEOUT,
  );
});
