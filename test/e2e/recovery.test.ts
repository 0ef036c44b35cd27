/**
 * Each disaster of docs/recovery.md, with the commands that it names, and the real go command afterwards: GOSUMDB on, once
 * with an empty home, and once with that of a client who has seen an earlier head of this mirror.
 */
import { cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { deleting, removed, removing } from "../../mirror/garbage/removal.ts";
import { unpublish } from "../../mirror/publish.ts";
import { infoKey, modKey, zipKey } from "../../mirror/tree-keys.ts";
import { updateRecords } from "../../mirror/update.ts";
import { describeWithGo } from "../go-command.ts";
import { expectSuccess, type MirrorWorld, mirrorWorld, writeFiles } from "./mirror-world.ts";
import { modferry, serveMirror } from "./modferry-command.ts";

const TIMEOUT = 280_000;
const LIB = "example.com/lib";
const DEP = "example.com/Dep";

describeWithGo("recovery, as the go command sees it", () => {
  let world: MirrorWorld;
  let made: string;
  beforeAll(async () => {
    made = await makeModules();
    world = await mirrorWorld([], { trees: [made], oldHeads: true });
  }, TIMEOUT);
  afterAll(async () => {
    await world?.close();
    await rm(made, { recursive: true, force: true });
  });

  const from = () => ["--upstream", world.upstream.url, "--sumdb", world.upstream.vkey];
  const proven = () => ["--sumdb", world.upstream.vkey];
  const run = async (mirror: string, verb: string, ...more: string[]) => {
    const ran = await modferry([...verb.split(" "), "--mirror", mirror, ...more], {
      env: { GOPROXY: "off" },
    });
    return { ...ran, text: ran.stdout + ran.stderr };
  };
  const succeeds = async (mirror: string, verb: string, ...more: string[]) => {
    const ran = await run(mirror, verb, ...more);
    expectSuccess(ran, verb);
    return ran;
  };
  const snapshot = async (mirror: string) => (await succeeds(mirror, "snapshot take")).stdout.trim();

  /** Two syncs, so that there are two heads; and the home of a client who saw the first. */
  const mirrored = async () => {
    const mirror = await world.synced([`${DEP}@v1.0.0`, `${LIB}@v1.0.0`]);
    const home = await world.folder();
    await builds(mirror, home, "v1.0.0");
    expectSuccess(await world.sync(mirror, [`${LIB}@v1.1.0`]), "sync");
    return { mirror, home };
  };

  /** `go build` of what needs LIB at this version, by an empty client and by the one who has been here before. */
  const builds = async (mirror: string, home: string, version: string) => {
    const served = await serveMirror(mirror);
    try {
      for (const at of [home, undefined]) {
        const client = await world.client(served.url, at === undefined ? {} : { home: at });
        const app = await world.folder();
        await writeFiles(app, {
          "go.mod": `module example.com/app\n\ngo 1.21\n\nrequire ${LIB} ${version}\n`,
          "main.go": `package main\n\nimport "${LIB}"\n\nfunc main() { println(lib.Name()) }\n`,
        });
        await rm(client.modCache, { recursive: true, force: true });
        for (const command of ["mod tidy", "build ./..."])
          expectSuccess(await client.run(command.split(" "), { cwd: app }), `go ${command}`);
      }
      const fresh = await world.client(served.url);
      const latest = await fresh.run(["list", "-m", `${LIB}@latest`], { cwd: tmpdir() });
      return latest.stdout.trim();
    } finally {
      await served.stop();
    }
  };
  const intact = async (mirror: string) => {
    await succeeds(mirror, "verify", ...proven());
    expectSuccess(await run(mirror, "scrub", "--quick", ...proven()), "scrub --quick");
    expectSuccess(await run(mirror, "scrub", "--deep", ...proven()), "scrub --deep");
  };
  const loseLedger = async (mirror: string) => {
    for (const name of await readdir(mirror))
      if (name.startsWith("ledger.sqlite")) await rm(join(mirror, name));
  };

  test(
    "table gone: rebuild-ledger, without upstream; blocks hold, and clients go on",
    async () => {
      const { mirror, home } = await mirrored();
      await succeeds(mirror, "block", `${DEP}@v1.0.0`, "--reason", "not this one");
      await succeeds(mirror, "unblock", `${DEP}@v1.0.0`);
      expectSuccess(await world.sync(mirror, [`${LIB}@v1.2.0`]), "sync");
      await succeeds(mirror, "block", `${LIB}@v1.2.0`, "--reason", "bad release");
      expect(await builds(mirror, home, "v1.1.0")).toBe(`${LIB} v1.1.0`);
      await loseLedger(mirror);
      expect((await run(mirror, "status")).text).toContain("no mirror here");
      const rebuilt = await run(mirror, "rebuild-ledger", ...proven());
      expectSuccess(rebuilt, "rebuild-ledger");
      expect(rebuilt.text).toContain("1 blocks");
      expect(await builds(mirror, home, "v1.1.0")).toBe(`${LIB} v1.1.0`);
      const served = await serveMirror(mirror);
      const zip = await fetch(`${served.url}/${LIB}/@v/v1.2.0.zip`);
      expect([zip.status, await zip.text()]).toEqual([403, expect.stringContaining("bad release")]);
      await served.stop();
      await intact(mirror);
      // And it goes on.
      await succeeds(mirror, `unblock ${LIB}@v1.2.0`);
      expectSuccess(await world.sync(mirror, [`${LIB}@v1.2.0`]), "sync");
      expect(await builds(mirror, home, "v1.2.0")).toBe(`${LIB} v1.2.0`);
    },
    TIMEOUT,
  );

  test(
    "bucket gone: rebuild-tree from the newest snapshot and upstream; then a scrub for what is younger",
    async () => {
      const { mirror, home } = await mirrored();
      const name = await snapshot(mirror);
      expectSuccess(await world.sync(mirror, [`${LIB}@v1.2.0`]), "sync");
      await rm(join(mirror, "tree"), { recursive: true });
      expectSuccess(await run(mirror, "rebuild-tree", "--from", name, ...from()), "rebuild-tree");
      expect(await builds(mirror, home, "v1.1.0")).toBe(`${LIB} v1.1.0`);
      const younger = await run(mirror, "scrub", ...from());
      expect([younger.code, younger.text]).toEqual([1, expect.stringContaining(" 0 lost")]);
      expect(await builds(mirror, home, "v1.2.0")).toBe(`${LIB} v1.2.0`);
      await intact(mirror);
    },
    TIMEOUT,
  );

  test(
    "bucket gone on an island: rebuild-tree from the bundles that came, with no upstream anywhere",
    async () => {
      const { mirror, home } = await mirrored();
      const name = await snapshot(mirror);
      const media = await world.folder();
      const keys = await modferry(["keygen", "outside.example.com", "--to", join(media, "key")]);
      expectSuccess(keys, "keygen");
      const vkey = /outside\.example\.com\+\S+/.exec(keys.stdout + keys.stderr)?.[0] ?? "";
      const disc = join(media, "disc");
      await mkdir(disc);
      await succeeds(mirror, "export", "--full", "--to", disc, "--key", join(media, "key"));
      const island = await world.folder();
      await rm(island, { recursive: true });
      await succeeds(island, `import ${disc}`, "--trust", vkey, ...proven());
      expect(await builds(island, home, "v1.1.0")).toBe(`${LIB} v1.1.0`);
      await rm(join(island, "tree"), { recursive: true });
      expectSuccess(
        await run(island, "rebuild-tree", "--from", name, "--bundles", disc, ...proven()),
        "rebuild-tree",
      );
      expect(await builds(island, home, "v1.1.0")).toBe(`${LIB} v1.1.0`);
      await intact(island);
    },
    TIMEOUT,
  );

  test(
    "both gone, the vault is left: rebuild-tree brings back files and records",
    async () => {
      const { mirror, home } = await mirrored();
      const name = await snapshot(mirror);
      await rm(join(mirror, "tree"), { recursive: true });
      await loseLedger(mirror);
      await mkdir(join(mirror, "tree"));
      expectSuccess(await run(mirror, "rebuild-tree", "--from", name, ...from()), "rebuild-tree");
      expect(await builds(mirror, home, "v1.1.0")).toBe(`${LIB} v1.1.0`);
      await intact(mirror);
    },
    TIMEOUT,
  );

  test(
    "wrong gc: what was collected comes back from the snapshot before it",
    async () => {
      const { mirror, home } = await mirrored();
      const name = await snapshot(mirror);
      await collect(mirror, LIB, "v1.1.0");
      expect(await builds(mirror, home, "v1.0.0")).toBe(`${LIB} v1.0.0`);
      expectSuccess(await run(mirror, "rebuild-tree", "--from", name, ...from()), "rebuild-tree");
      expect(await builds(mirror, home, "v1.1.0")).toBe(`${LIB} v1.1.0`);
      await intact(mirror);
    },
    TIMEOUT,
  );

  test(
    "a bad day: rollback to the snapshot before it; who has the bad version in go.sum goes on building",
    async () => {
      const { mirror, home } = await mirrored();
      const name = await snapshot(mirror);
      expectSuccess(await world.sync(mirror, [`${LIB}@v1.2.0`]), "sync");
      expect(await builds(mirror, home, "v1.2.0")).toBe(`${LIB} v1.2.0`);
      await succeeds(mirror, `rollback ${name}`, "--by", "me");
      expect(await builds(mirror, home, "v1.2.0")).toBe(`${LIB} v1.1.0`);
      const served = await serveMirror(mirror);
      expect(await (await fetch(`${served.url}/${LIB}/@v/list`)).text()).toBe("v1.0.0\nv1.1.0\n");
      await served.stop();
      await intact(mirror);
      // What is wanted again is listed again.
      expectSuccess(await world.sync(mirror, [`${LIB}@v1.2.0`]), "sync");
      expect(await builds(mirror, home, "v1.2.0")).toBe(`${LIB} v1.2.0`);
    },
    TIMEOUT,
  );

  test(
    "an old copy of the ledger under a newer tree: rebuild-ledger takes in what it lacks",
    async () => {
      const mirror = await world.synced([`${LIB}@v1.0.0`]);
      const backup = await world.folder();
      await cp(join(mirror, "ledger.sqlite"), join(backup, "ledger.sqlite"));
      expectSuccess(await world.sync(mirror, [`${LIB}@v1.1.0`]), "sync");
      await loseLedger(mirror);
      await cp(join(backup, "ledger.sqlite"), join(mirror, "ledger.sqlite"));
      const found = await run(mirror, "scrub", ...proven());
      expect([found.code, found.text]).toEqual([1, expect.stringContaining("rebuild-ledger")]);
      await succeeds(mirror, "rebuild-ledger", ...proven());
      expect(await builds(mirror, await world.folder(), "v1.1.0")).toBe(`${LIB} v1.1.0`);
      await intact(mirror);
    },
    TIMEOUT,
  );
});

/** A GOPROXY of made modules: three versions of a library, each needing another module. */
async function makeModules(): Promise<string> {
  const { mkdtemp } = await import("node:fs/promises");
  const root = await mkdtemp(join(tmpdir(), "modferry-made-"));
  const source = join(root, "source");
  const proxy = join(root, "proxy");
  const make = async (path: string, version: string, files: Record<string, string>) => {
    await rm(source, { recursive: true, force: true });
    await mkdir(source, { recursive: true });
    for (const [name, text] of Object.entries(files)) await writeFile(join(source, name), text);
    expectSuccess(
      await modferry(["zip", source, "--module", path, "--version", version, "--to", proxy]),
      "zip",
    );
  };
  await make(DEP, "v1.0.0", {
    "go.mod": `module ${DEP}\n\ngo 1.21\n`,
    "dep.go": 'package dep\n\nconst Name = "dep"\n',
  });
  for (const version of ["v1.0.0", "v1.1.0", "v1.2.0"])
    await make(LIB, version, {
      "go.mod": `module ${LIB}\n\ngo 1.21\n\nrequire ${DEP} v1.0.0\n`,
      "lib.go": `package lib\n\nimport dep "${DEP}"\n\nfunc Name() string { return dep.Name + "${version}" }\n`,
    });
  return proxy;
}

/** What a collection does with a version, without its waits. */
async function collect(address: string, path: string, version: string): Promise<void> {
  const mirror = await openFolderMirror(address, { mode: "write" });
  try {
    const mv = moduleVersion(path, version);
    const { tree, ledger } = mirror;
    const now = Date.now();
    await updateRecords(ledger, [mv], (record) => record && removing(record, "nothing", now));
    await unpublish(mirror, mv.path, [mv.version]);
    await updateRecords(ledger, [mv], (record) => record && deleting(record, now));
    for (const key of [zipKey(mv), infoKey(mv), modKey(mv)]) {
      const stored = await tree.open(key);
      await stored?.close();
      await tree.remove(key, stored?.etag ?? "");
    }
    const [after] = await updateRecords(ledger, [mv], (record) => record && removed(record, now));
    expect(after?.state).toBe("REMOVED");
  } finally {
    await mirror.close();
  }
}
