import { readdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { type MirrorWorld, mirrorWorld } from "../e2e/mirror-world.ts";
import { modferry } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { onTerminal, testOnTerminal } from "./terminal.ts";

const TIMEOUT = 120_000;

describeWithGo("what a sync prints", () => {
  let world: MirrorWorld;
  const goMod = join(projectDir("shouting"), "go.mod");
  beforeAll(async () => {
    world = await mirrorWorld(["shouting"], { synthetic: 100 });
  });
  afterAll(() => world?.close());

  test(
    "with --json: one object a line on stdout, each event named and timed, and nothing else",
    async () => {
      const wishes = [goMod, "example.com/none@v1.0.0"];
      const run = await world.sync(await world.folder(), wishes, { more: ["--json"] });
      expect([run.code, run.stderr]).toEqual([1, ""]);
      const lines = run.stdout.trimEnd().split("\n");
      const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
      for (const event of events) expect(event).toMatchObject({ event: expect.stringMatching(/^[a-z]+$/) });
      const names = new Set(events.map(({ event }) => event));
      expect([...names].sort()).toEqual(
        ["failed", "fetched", "head", "listed", "missing", "resolved", "resolving", "settled"].sort(),
      );
      for (const event of events.filter(({ event }) => event !== "missing"))
        expect(event["@timestamp"]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      expect(events.filter(({ event }) => event === "missing")).toEqual([
        expect.objectContaining({ subject: "example.com/none@v1.0.0", state: "GONE" }),
      ]);
    },
    TIMEOUT,
  );

  test(
    "with --json: what a terminal would obey is escaped, and read back as it was",
    async () => {
      const { url, vkey } = world.upstream;
      const evil = "odd\u009b31m\u202e\u2066\u200b\u{e0001}";
      const mirror = join(await world.folder(), "mirror");
      const args = ["sync", "github.com/BurntSushi/toml@v1.3.2", "--mirror", mirror, "--upstream", url];
      expect((await modferry([...args, "--sumdb", vkey])).code).toBe(0);
      await writeFile(join(mirror, "tree", evil), "");
      const run = await modferry(["verify", "--mirror", mirror, "--sumdb", vkey, "--json"]);
      expect(run.stdout).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
      const found = run.stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { subject?: string });
      expect(found.filter(({ subject }) => subject?.includes(evil))).toHaveLength(1);
    },
    TIMEOUT,
  );

  test(
    "verify --json: one object a line, the last with the sums",
    async () => {
      const mirror = await world.synced([goMod]);
      const run = await modferry(["verify", "--mirror", mirror, "--sumdb", world.upstream.vkey, "--json"]);
      expect([run.code, run.stderr]).toEqual([0, ""]);
      const last = JSON.parse(run.stdout.trimEnd().split("\n").at(-1) ?? "");
      expect(last).toEqual({
        event: "verified",
        files: expect.any(Number),
        bytes: expect.any(Number),
        findings: 0,
      });
    },
    TIMEOUT,
  );

  test(
    "piped: plain lines on stderr without control characters, nothing on stdout",
    async () => {
      const run = await world.sync(await world.folder(), [goMod, "example.com/none@v1.0.0"]);
      expect([run.code, run.stdout]).toEqual([1, ""]);
      for (const control of ["\r", "\u001b"]) expect(run.stderr).not.toContain(control);
      expect(run.stderr).toMatch(/^\d+ versions, \d+ go\.mod files, \d+\.\d MB in \d+\.\d s, \d failures?$/m);
      expect(run.stderr).toMatch(/^missing: 1\n {2}example\.com\/none@v1\.0\.0 +GONE +\S/m);
    },
    TIMEOUT,
  );

  test(
    "a failure that is an earlier request's is called one, where the run's own request succeeds with exit 0",
    async () => {
      const mirror = await world.folder();
      expect((await world.sync(mirror, ["example.com/none@v1.0.0"])).code).toBe(1);
      const { ledger, close } = await openFolderMirror(mirror, { mode: "write" });
      const [none] = await ledger.read([moduleVersion("example.com/none", "v1.0.0")]);
      if (none === undefined) throw new Error("not recorded");
      await ledger.write([{ record: { ...none, due: 1 } }]);
      await close();
      const run = await world.sync(mirror, ["github.com/BurntSushi/toml@v1.3.2"]);
      expect([run.code, run.stderr.trimEnd().split("\n").at(-1)]).toEqual([
        0,
        expect.stringMatching(/^\d+ versions, .* MB in \d+\.\d s, 1 failure of earlier requests$/),
      ]);
    },
    TIMEOUT,
  );

  test(
    "--name is what the mirror keeps the request under",
    async () => {
      const mirror = await world.synced(["github.com/BurntSushi/toml@v1.3.2"], {
        more: ["--name", "nightly"],
      });
      expect(await readdir(join(mirror, "vault/inbox/requests"))).toEqual(["nightly"]);
    },
    TIMEOUT,
  );

  testOnTerminal(
    "on a terminal: one line that is rewritten, with counts, bytes and the time left",
    async () => {
      const { url, vkey } = world.upstream;
      const mirror = await world.folder();
      const args = ["sync", goMod, "--mirror", mirror, "--upstream", url, "--sumdb", vkey];
      const command = [process.execPath, resolve(import.meta.dirname, "../../cli/modferry.ts"), ...args];
      const shown = await onTerminal(command.map((word) => `'${word}'`).join(" "));
      expect(shown.code, shown.text).toBe(0);
      const lines = shown.text.split("\r\u001b[K");
      expect(
        lines.some((line) => /^module graph: \d+ go\.mod files, \d+\.\d MB$/.test(line)),
        shown.text,
      ).toBe(true);
      const bar = /^\[#*-*\] (\d+)\/(\d+) versions, \d+\.\d MB, \d+ s left$/;
      expect(lines.filter((line) => bar.test(line)).length, shown.text).toBeGreaterThan(0);
      expect(shown.text.trimEnd().split("\n").at(-1)).toMatch(
        /\d+ versions, \d+ go\.mod files, .* MB in .* s\r?$/,
      );
      for (const line of lines) expect(line.split("\r\n")[0]?.length).toBeLessThan(100);
    },
    TIMEOUT,
  );
});
