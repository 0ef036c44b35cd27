import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RETRY_WAITS } from "../../adapters/upstream/retries.ts";
import { describeWithGo } from "../go-command.ts";
import type { Fault } from "../upstream/fault.ts";
import { type FaultyUpstream, startFaultyUpstream } from "../upstream/faulty-upstream.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { allSucceed, expectSuccess, type MirrorWorld, mirrorWorld } from "./mirror-world.ts";
import { type CommandOptions, modferry } from "./modferry-command.ts";

const TIMEOUT = 240_000;
const IMPATIENT = [resolve(import.meta.dirname, "impatient-child.ts")];

/** Modules of the project that each get a fault of their own, and what the last table says of them. */
const VICTIMS: readonly { module: string; path: string; fault: Fault; says: RegExp }[] = [
  {
    module: "github.com/BurntSushi/toml@v1.3.2",
    path: "/github.com/!burnt!sushi/toml/@v/v1.3.2.zip",
    fault: { kind: "status", status: 500 },
    says: /FAILED +transient +.*answered 500/,
  },
  {
    module: "github.com/VividCortex/ewma@v1.2.0",
    path: "/github.com/!vivid!cortex/ewma/@v/v1.2.0.zip",
    fault: { kind: "status", status: 429 },
    says: /FAILED +transient +.*answered 429/,
  },
  {
    module: "github.com/NYTimes/gziphandler@v1.1.1",
    path: "/github.com/!n!y!times/gziphandler/@v/v1.1.1.zip",
    fault: { kind: "html" },
    says: /FAILED +malformed +.*web page/,
  },
  {
    module: "github.com/PuerkitoBio/purell@v1.2.1",
    path: "/github.com/!puerkito!bio/purell/@v/v1.2.1.info",
    fault: { kind: "hang" },
    says: /FAILED +transient +.*within/,
  },
  {
    module: "github.com/google/uuid@v1.1.1",
    path: "/github.com/google/uuid/@v/v1.1.1.zip",
    fault: { kind: "flip-byte" },
    says: /FAILED +malformed +.*zip/,
  },
  {
    module: "github.com/huandu/xstrings@v1.3.3",
    path: "/github.com/huandu/xstrings/@v/v1.3.3.mod",
    fault: { kind: "flip-byte" },
    says: /CONFLICT +mismatch +.*go\.mod is h1:.* by upstream, but h1:.* by sumdb\.example\.test/,
  },
];

describeWithGo("modferry sync from an upstream with faults", () => {
  let world: MirrorWorld;
  let faulty: FaultyUpstream;
  const goMod = join(projectDir("shouting"), "go.mod");

  beforeAll(async () => {
    world = await mirrorWorld(["shouting"]);
    faulty = await startFaultyUpstream(world.upstream.url);
  });
  afterAll(async () => {
    await faulty?.close();
    await world?.close();
  });

  const sync = (
    mirror: string,
    wishes: readonly string[],
    options: CommandOptions = { through: IMPATIENT },
  ) => {
    const from = ["--upstream", faulty.url, "--sumdb", world.upstream.vkey];
    return modferry(["sync", ...wishes, "--mirror", mirror, ...from], options);
  };
  /** Where nothing is wrong: as a user runs it. */
  const healthy = (mirror: string, wishes: readonly string[]) => sync(mirror, wishes, {});
  const verify = (mirror: string) => modferry(["verify", "--mirror", mirror, "--sumdb", world.upstream.vkey]);

  test(
    "each kind on one module: the table names it with its class, the others finish, and the next run heals",
    async () => {
      const mirror = await world.folder();
      for (const { path, fault } of VICTIMS) faulty.faults.set(path, fault);
      faulty.clearLog();
      const run = await sync(mirror, [goMod]);
      faulty.faults.clear();
      expect([run.code, run.stdout]).toEqual([1, ""]);
      const table = run.stderr.slice(run.stderr.indexOf("missing: ")).trimEnd().split("\n");
      expect(table[0]).toBe(`missing: ${VICTIMS.length}`);
      for (const { module, says } of VICTIMS) {
        const rows = table.filter((row) => row.includes(` ${module} `));
        expect(rows, run.stderr).toEqual([expect.stringMatching(says)]);
      }
      // A transient fault is tried again as often as the adapter says, any other once; never again in one run.
      for (const { path, fault } of VICTIMS) {
        const asked = faulty.log.filter((line) => line.path === path).length;
        const transient = fault.kind === "status" || fault.kind === "hang";
        const tries = transient ? 1 + RETRY_WAITS.length : 1;
        expect([path, asked]).toEqual([path, tries]);
      }
      const tree = await contentOf(join(mirror, "tree"));
      for (const { path } of VICTIMS) {
        expect(tree.has(path.slice(1).replace(/\.\w+$/, ".zip")), path).toBe(false);
        expect(tree.has(path.slice(1).replace(/\.\w+$/, ".info")), path).toBe(false);
      }
      expect([...tree.keys()].filter((key) => key.endsWith(".zip")).length).toBeGreaterThan(15);
      expectSuccess(await verify(mirror), "verify of a mirror that lacks some");

      expectSuccess(await healthy(mirror, [goMod]), "the next run");
      expectSuccess(await verify(mirror), "verify");
      const client = await world.client(`file://${join(mirror, "tree")}`);
      await allSucceed(client, await client.copyProject("shouting"), ["mod download all", "build ./..."]);
      const healed = await contentOf(join(mirror, "tree"));
      for (const [key, bytes] of tree)
        if (!isMutable(key)) expect(healed.get(key)?.equals(bytes), `${key} is as it was`).toBe(true);
    },
    TIMEOUT,
  );

  test.each<[string, Fault]>([
    ["pages instead of everything", { kind: "html" }],
    ["500 for everything", { kind: "status", status: 500 }],
    ["nothing instead of everything", { kind: "empty" }],
    ["a hang on everything", { kind: "hang" }],
  ])(
    "%s: the run ends with 1 and says why, and nothing good in the tree is overwritten",
    async (_what, fault) => {
      const mirror = await world.folder();
      expectSuccess(await healthy(mirror, ["github.com/BurntSushi/toml@v1.3.2"]), "a first sync");
      const before = await contentOf(join(mirror, "tree"));
      await world.upstream.grow(100);
      faulty.faults.set(/./, fault);
      const at = performance.now();
      const run = await sync(mirror, [
        "github.com/BurntSushi/toml@v1.3.2",
        "github.com/BurntSushi/toml@latest",
        goMod,
      ]);
      faulty.faults.clear();
      expect(run.code, run.stderr).toBe(1);
      expect(run.stderr).toMatch(/missing: \d+\n/);
      // Four tries of 1.5 s each and their waits, for each level of the module graph, on a loaded machine.
      expect(performance.now() - at).toBeLessThan(60_000);
      const after = await contentOf(join(mirror, "tree"));
      expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
      for (const [key, bytes] of before) expect(after.get(key)?.equals(bytes), key).toBe(true);
      expectSuccess(await verify(mirror), "verify");
      expectSuccess(await healthy(mirror, [goMod]), "the run after the fault");
    },
    TIMEOUT,
  );

  test(
    "a database that answers wrongly: nothing is published without proof, and the next run heals",
    async () => {
      const mirror = await world.folder();
      faulty.faults.set(/\/sumdb\/.*\/lookup\/github\.com\/!burnt!sushi/, { kind: "flip-byte", at: 60 });
      const run = await sync(mirror, [goMod]);
      faulty.faults.clear();
      expect(run.code).toBe(1);
      expect(run.stderr).toMatch(/missing: \d+\n(?:.*\n)* {2}github\.com\/BurntSushi\/toml@v1\.3\.2 /);
      const keys = [...(await contentOf(join(mirror, "tree"))).keys()];
      expect(
        keys.filter((key) => key.includes("!burnt!sushi/toml@v1.3.2") || key.includes("toml/@v/v1.3.2")),
      ).toEqual([]);
      expectSuccess(await healthy(mirror, [goMod]), "the next run");
      expectSuccess(await verify(mirror), "verify");
    },
    TIMEOUT,
  );
});

const isMutable = (key: string) => /(@v\/list|@latest|\/latest)$/.test(key);

async function contentOf(tree: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(tree, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    await Promise.all(
      files.map(async (file) => [file.slice(tree.length + 1), await readFile(file)] as const),
    ),
  );
}
