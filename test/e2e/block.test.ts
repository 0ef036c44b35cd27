import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { z } from "zod";
import { type FolderMirror, openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { openSources } from "../../adapters/upstream/sources.ts";
import { parseSumdbs } from "../../adapters/upstream/sumdb-option.ts";
import { handleRequest } from "../../cli/http-handler.ts";
import { acceptRequest } from "../../mirror/accept.ts";
import { BLOCKS_FRESH } from "../../mirror/blocks.ts";
import { handIn } from "../../mirror/inbox.ts";
import { type MirrorParts, noDeadline } from "../../mirror/parts.ts";
import { makePolicy, policyShape } from "../../mirror/policy.ts";
import { reconcile } from "../../mirror/reconcile.ts";
import { work } from "../../mirror/work.ts";
import { describeWithGo } from "../go-command.ts";
import { requestOf } from "../mirror/sync-once.ts";
import { expectSuccess, type MirrorWorld, mirrorWorld } from "./mirror-world.ts";
import { modferry, serveMirror } from "./modferry-command.ts";

const TOML = "github.com/BurntSushi/toml";
const VERSION = `${TOML}@v1.3.2`;
const TIMEOUT = 240_000;
const DAY = 86_400_000;

describeWithGo("a version that stays out, as the go command sees it", () => {
  let world: MirrorWorld;
  beforeAll(async () => {
    world = await mirrorWorld(["shouting"]);
  }, TIMEOUT);
  afterAll(() => world?.close());

  /** A mirror in this process, whose clock the test moves, served over HTTP. */
  async function policedMirror(policy: z.input<typeof policyShape>) {
    const clock = { ms: Date.now() };
    const now = () => clock.ms;
    const mirror: FolderMirror = await openFolderMirror(join(await world.folder(), "mirror"), {
      mode: "write",
    });
    const { tree, vault, ledger, spools } = mirror;
    const queue = new MemoryQueue();
    const report = () => {};
    const sources = openSources({
      url: world.upstream.url,
      sumdbs: parseSumdbs([world.upstream.vkey]),
      noSumdb: "",
      spool: (chunks, limit, subject) => spools.spool(chunks, limit, subject),
      tree,
      vault,
      ledger,
      report,
      owner: "test",
      tiles: "needed",
    });
    const parts: MirrorParts = {
      tree,
      vault,
      ledger,
      queue,
      upstream: sources.upstream,
      databasesFor: sources.databasesFor,
      zips: zipChecker,
      now,
      report,
      policy: makePolicy(policyShape.parse(policy)),
    };
    const server = createServer((request, response) => {
      void handleRequest({ tree, ledger, now, identity: "test" }, request, response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const drain = () => queue.drain((order) => work(parts, order, noDeadline), { concurrency: 4 });
    return {
      clock,
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      sync: async (wishes: readonly string[], files: Record<string, string> = {}) => {
        await acceptRequest(parts, await handIn(parts, "team/app", requestOf(wishes, files)));
        await drain();
      },
      tick: async () => {
        await reconcile(parts, { onlyWriter: true });
        await drain();
      },
      close: async () => {
        server.closeAllConnections();
        server.close();
        await sources.close();
        await mirror.close();
      },
    };
  }

  test(
    "HELD: go knows the version and its go.mod, is shown until when its zip is kept out, and gets it then",
    async () => {
      const mirror = await policedMirror({ cooldown: { age: "7d" } });
      try {
        await mirror.sync([VERSION]);
        const client = await world.client(mirror.url);
        const refused = await client.run(["mod", "download", VERSION]);
        expect(refused.code).not.toBe(0);
        expect(refused.stderr).toContain("403 Forbidden");
        expect(refused.stderr).toMatch(
          /server response: .*toml@v1\.3\.2: HELD until 20\d\d-.* by rule cooldown: younger than 7d/,
        );
        expectSuccess(await client.run(["list", "-m", VERSION]), "go list -m of what is HELD");
        const listed = await client.run(["list", "-m", "-versions", TOML]);
        expect(listed.stdout.trim()).toBe(TOML);
        const latest = await client.run(["list", "-m", `${TOML}@latest`]);
        expect(latest.code).not.toBe(0);

        mirror.clock.ms += 7 * DAY + 1000;
        await mirror.tick();
        expectSuccess(
          await client.run(["mod", "download", VERSION]),
          "go mod download once it is old enough",
        );
        expect((await client.run(["list", "-m", "-versions", TOML])).stdout.trim()).toBe(`${TOML} v1.3.2`);
      } finally {
        await mirror.close();
      }
    },
    TIMEOUT,
  );

  test(
    "DENIED: go shows the rule and its reason; a graph that reads its go.mod loads all the same",
    async () => {
      const mirror = await policedMirror({
        rules: [
          {
            name: "no-toml",
            deny: ["github.com/BurntSushi/*"],
            reason: "licence under review, ask legal@corp.example",
          },
        ],
      });
      try {
        const source = await world.client("off");
        const dir = await source.copyProject("shouting");
        await mirror.sync([], { "go.mod": await readFile(join(dir, "go.mod"), "utf8") });
        const client = await world.client(mirror.url);
        const refused = await client.run(["mod", "download", VERSION]);
        expect(refused.code).not.toBe(0);
        expect(refused.stderr).toContain(
          `server response: ${VERSION}: DENIED by rule no-toml: licence under review, ask legal@corp.example`,
        );
        expectSuccess(await client.run(["mod", "graph"], { cwd: dir }), "go mod graph");
        // A list that policy does not allow is not there: anything else would fail every `list -m -u all`.
        expect((await client.run(["list", "-m", "-versions", TOML])).stderr).toContain("404 Not Found");
      } finally {
        await mirror.close();
      }
    },
    TIMEOUT,
  );

  test(
    "BLOCKED: while it is served, go is refused with the reason and finds it in no list; unblocked, it builds again",
    async () => {
      const mirror = await world.synced([VERSION]);
      const served = await serveMirror(mirror);
      try {
        const client = await world.client(served.url);
        expectSuccess(await client.run(["mod", "download", VERSION]), "before");
        const blocked = await modferry([
          "block",
          VERSION,
          "--reason",
          "it phones home",
          "--by",
          "ann",
          "--mirror",
          mirror,
        ]);
        expectSuccess(blocked, "block");
        expect(blocked.stderr).toContain(`blocked ${VERSION}`);
        await new Promise((resolve) => setTimeout(resolve, BLOCKS_FRESH));
        await client.clearModCache();
        const refused = await client.run(["mod", "download", VERSION]);
        expect(refused.code).not.toBe(0);
        expect(refused.stderr).toContain(
          `server response: ${VERSION}: BLOCKED taken out by hand: it phones home`,
        );
        expect((await client.run(["list", "-m", "-versions", TOML])).stdout.trim()).toBe(TOML);
        expectSuccess(await client.run(["list", "-m", VERSION]), "its .info and lookup are served");
        // A plain copy of the tree does not serve it either.
        const plain = await world.client(`file://${join(mirror, "tree")}`);
        expect((await plain.run(["mod", "download", VERSION])).code).not.toBe(0);
        expectSuccess(
          await modferry(["verify", "--mirror", mirror, "--sumdb", world.upstream.vkey]),
          "verify",
        );
        const again = await world.sync(mirror, [VERSION]);
        expect(again.code).toBe(1);
        expect(again.stderr).toMatch(/toml@v1\.3\.2 +BLOCKED denied +it phones home/);
        const why = await modferry(["explain", VERSION, "--mirror", mirror]);
        expect(why.code).toBe(1);
        expect(why.stdout).toMatch(
          /taken out by hand by ann at .*: it phones home\n.*changes by: modferry unblock/,
        );

        expectSuccess(await modferry(["unblock", VERSION, "--mirror", mirror]), "unblock");
        await new Promise((resolve) => setTimeout(resolve, BLOCKS_FRESH));
        await client.clearModCache();
        expectSuccess(await client.run(["mod", "download", VERSION]), "after");
        expect((await client.run(["list", "-m", "-versions", TOML])).stdout.trim()).toBe(`${TOML} v1.3.2`);
        expectSuccess(await modferry(["explain", VERSION, "--mirror", mirror]), "explain");
        expectSuccess(
          await modferry(["verify", "--mirror", mirror, "--sumdb", world.upstream.vkey]),
          "verify",
        );
      } finally {
        expectSuccess(await served.stop(), "serve");
      }
    },
    TIMEOUT,
  );

  test(
    "a block while another process writes the mirror counts at once, and is finished by the next sync",
    async () => {
      const mirror = await world.synced([VERSION]);
      const served = await serveMirror(mirror);
      const holder = spawn(
        process.execPath,
        [resolve(import.meta.dirname, "../contract/hold-mirror.ts"), mirror],
        {
          stdio: ["ignore", "pipe", "inherit"],
        },
      );
      try {
        await once(holder.stdout, "data");
        const blocked = await modferry([
          "block",
          TOML,
          "--reason",
          "compromised account",
          "--mirror",
          mirror,
          "--json",
        ]);
        expectSuccess(blocked, "block");
        expect(JSON.parse(blocked.stdout)).toMatchObject({ event: "block", name: TOML, leftToWriter: true });
        const client = await world.client(served.url);
        const refused = await client.run(["mod", "download", VERSION]);
        expect(refused.stderr).toContain("BLOCKED taken out by hand: compromised account");
      } finally {
        holder.kill();
        await once(holder, "close");
        expectSuccess(await served.stop(), "serve");
      }
      const next = await world.sync(mirror, [VERSION]);
      expect(next.code).toBe(1);
      const why = await modferry(["explain", VERSION, "--mirror", mirror, "--json"]);
      expect(JSON.parse(why.stdout)).toMatchObject({ state: "BLOCKED", held: "mod", block: { name: TOML } });
    },
    TIMEOUT,
  );

  test.each([
    [["block", VERSION], /--reason: say why/],
    [["block", "--reason", "x"], /no name/],
    [["block", "a@b", "--reason", "x"], /malformed module path "a"/],
    [["block", "a", "b", "--reason", "x"], /takes one name/],
    [["block", "a[", "--reason", "x"], /give module@version, or a pattern/],
    [["unblock", "example.com/never"], /not blocked/],
    [["explain"], /no version/],
    [["explain", "example.com/a"], /names no version/],
    [["block", VERSION, "--reason", "two\nlines"], /in one line/],
  ])("modferry %j ends with 2 and one line that says what would be right", async (args, line) => {
    const mirror = await world.folder();
    await (await openFolderMirror(mirror, { mode: "write" })).close();
    const run = await modferry([...args, "--mirror", mirror]);
    expect(run.stderr).toMatch(line);
    expect(run.stderr.trim().split("\n")).toHaveLength(1);
    expect(run.code).toBe(2);
  });
});
