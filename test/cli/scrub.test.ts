import { chmod, readFile, rm, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { expectSuccess, type MirrorWorld, mirrorWorld } from "../e2e/mirror-world.ts";
import { modferry } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { misuseOf } from "./misused.ts";

const TIMEOUT = 240_000;
const TOML = "github.com/BurntSushi/toml@v1.3.2";

describeWithGo("modferry scrub", () => {
  let world: MirrorWorld;
  beforeAll(async () => {
    world = await mirrorWorld(["shouting"]);
  }, TIMEOUT);
  afterAll(() => world?.close());

  const scrub = (mirror: string, ...more: string[]) =>
    modferry([
      "scrub",
      "--mirror",
      mirror,
      "--upstream",
      world.upstream.url,
      "--sumdb",
      world.upstream.vkey,
      ...more,
    ]);
  const events = (stdout: string) =>
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const flip = async (path: string) => {
    const bytes = await readFile(path);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await chmod(path, 0o644);
    await writeFile(path, bytes);
  };

  test(
    "each level passes over a mirror that is right, mends one that is not, and ends with 1 where it found something",
    async () => {
      const mirror = await world.synced([TOML]);
      for (const level of ["--quick", "--stored", "--deep"]) {
        const run = await scrub(mirror, level);
        expectSuccess(run, `scrub ${level}`);
        expect(run.stderr).toContain("nothing found");
        expect(run.stderr).toContain("calls per million versions: list ");
      }
      const file = (suffix: string) => join(mirror, `tree/github.com/!burnt!sushi/toml/@v/v1.3.2.${suffix}`);
      const zip = await readFile(file("zip"));
      await unlink(file("mod"));
      await unlink(join(mirror, "tree/github.com/!burnt!sushi/toml/@latest"));
      await flip(file("zip"));
      const quick = await scrub(mirror, "--json");
      expect(quick.code).toBe(1);
      expect(events(quick.stdout)).toMatchObject([
        { event: "finding", kind: "missing", outcome: "restored" },
        { event: "finding", kind: "list", outcome: "restored" },
        { event: "scrubbed", level: "quick", finished: true, counts: { findings: 2, restored: 2, lost: 0 } },
      ]);
      // Quick looked at sizes, and mending the .mod has looked at the zip too.
      expect((await readFile(file("zip"))).equals(zip)).toBe(true);
      await flip(file("zip"));
      expectSuccess(await scrub(mirror), "a quick scrub does not see one bit");
      const deep = await scrub(mirror, "--deep");
      expect([deep.code, deep.stdout]).toEqual([
        1,
        expect.stringMatching(/toml\/@v\/v1\.3\.2\.zip: .*; restored\n$/),
      ]);
      expect((await readFile(file("zip"))).equals(zip)).toBe(true);
      expectSuccess(await scrub(mirror, "--deep"), "scrub --deep");
      expectSuccess(await modferry(["verify", "--mirror", mirror, "--sumdb", world.upstream.vkey]), "verify");
    },
    TIMEOUT,
  );

  test(
    "beside a process that writes the mirror it finds all the same, and leaves it open",
    async () => {
      const mirror = await world.synced([TOML]);
      const holder = await openFolderMirror(mirror, { mode: "write" });
      try {
        await unlink(join(mirror, "tree/github.com/!burnt!sushi/toml/@v/v1.3.2.mod"));
        const run = await scrub(mirror, "--json");
        expect(run.code).toBe(1);
        expect(events(run.stdout)[0]).toMatchObject({
          kind: "missing",
          outcome: "open",
          remedy: expect.stringContaining("writ"),
        });
      } finally {
        await holder.close();
      }
      expect((await scrub(mirror)).code).toBe(1);
      expectSuccess(await scrub(mirror), "scrub");
    },
    TIMEOUT,
  );

  test(
    "an island without upstream has its lists mended, and is told what is lost",
    async () => {
      const mirror = await world.synced([TOML]);
      await unlink(join(mirror, "tree/github.com/!burnt!sushi/toml/@v/list"));
      await unlink(join(mirror, "tree/github.com/!burnt!sushi/toml/@v/v1.3.2.zip"));
      const run = await modferry(["scrub", "--mirror", mirror, "--sumdb", world.upstream.vkey, "--json"], {
        env: { GOPROXY: "off" },
      });
      expect([run.code, events(run.stdout).map(({ kind, outcome }) => `${kind} ${outcome}`)]).toEqual([
        1,
        ["missing lost", "list restored", "undefined undefined"],
      ]);
      await rm(mirror, { recursive: true });
    },
    TIMEOUT,
  );

  test("names what is wrong with its flags", async () => {
    expect(await misuseOf(["scrub", "--quick", "--deep"], {})).toContain("--deep: given with --quick");
    for (const shard of ["0/2", "3/2", "x", "1/1001"])
      expect(await misuseOf(["scrub", "--shard", shard], {})).toContain(`--shard ${shard}: give a part`);
  });
});
