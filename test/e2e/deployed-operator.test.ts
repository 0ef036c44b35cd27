import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DeleteItemCommand, ScanCommand } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dynamoDbClient } from "../../adapters/aws/clients.ts";
import { parseModuleVersion } from "../../gomod/version.ts";
import { listKey, type TreeKey, zipKey } from "../../mirror/tree-keys.ts";
import { describeWithEmulator, emulatedAws, stopEmulator } from "../contract/ministack.ts";
import { describeWithGo } from "../go-command.ts";
import { filesOf } from "./bundle-world.ts";
import { type DeployedWorld, deployedWorld } from "./deployed-world.ts";
import { allSucceed, expectSuccess, type MirrorWorld, mirrorWorld } from "./mirror-world.ts";
import { ahead, type CommandRun, ended, modferry, spawnModferry } from "./modferry-command.ts";
import { type RecordedEndpoint, recordedEndpoint } from "./recorded-endpoint.ts";

const DEPLOY_TIMEOUT = 900_000;
const TIMEOUT = 600_000;
/** An endpoint knows of a block after ten seconds; a machine that is shared is slow. */
const BLOCK_SEEN = 180_000;
/** A snapshot of functions with clocks of their own is of two minutes ago. */
const CLOSED_AFTER = 125_000;
/** Most of a lease of what is done by hand (mirror/tick-hold.ts). */
const LEASE_AHEAD = 75_000;
/** The built file, where that is to be proven instead of the sources. */
const PROGRAM = process.env.MODFERRY_PROGRAM;
const MIRROR = "aws:modferry@us-east-1";
const CHI = "github.com/go-chi/chi/v5@v5.0.12";
const TOML = "github.com/BurntSushi/toml@v1.3.2";
const UUID = "github.com/gofrs/uuid@v4.4.0+incompatible";

describeWithGo("an operator's command line on a deployed mirror", () => {
  describeWithEmulator("in an emulator", () => {
    let source: MirrorWorld;
    let world: DeployedWorld;
    let aws: RecordedEndpoint;
    let env: Record<string, string>;
    let own: string;
    let listedAt = 0;
    let snapshot = "";
    /** What each verb has asked of AWS, by its name. */
    const asked = new Map<string, Set<string>>();

    beforeAll(async () => {
      source = await mirrorWorld(["modern", "shouting", "legacy"]);
      own = await source.folder();
      world = await deployedWorld({ url: source.upstream.url, sumdb: [{ key: source.upstream.vkey }] });
      const { endpointUrl = "" } = await emulatedAws();
      aws = await recordedEndpoint(endpointUrl);
      env = { AWS_ENDPOINT_URL: aws.url, AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" };
      const { record } = await world.request({ wishes: [CHI] });
      expect(record.state).toBe("DONE");
      listedAt = Date.now();
    }, DEPLOY_TIMEOUT);
    afterAll(async () => {
      await aws?.close();
      await source?.close();
      await world?.close();
      await stopEmulator();
    });

    /** `modferry VERB … --mirror aws:NAME@REGION`. */
    async function operate(args: readonly string[], mirror = MIRROR, more = {}): Promise<CommandRun> {
      aws.taken();
      const at = { env: { ...env, ...more }, cwd: own, ...(PROGRAM && { through: [PROGRAM] }) };
      const run = await modferry([...args, "--mirror", mirror], at);
      const [name = "", second] = args;
      const verb = name === "snapshot" || name === "gc" ? `${name} ${second}` : name;
      const rights = asked.get(verb) ?? new Set();
      for (const right of aws.taken()) rights.add(right);
      asked.set(verb, rights);
      return run;
    }

    async function succeeds(...args: readonly string[]): Promise<string> {
      const run = await operate(args);
      expectSuccess(run, args.join(" "));
      return run.stdout;
    }

    /** @returns its one line. */
    async function fails(args: readonly string[], code: number, mirror = MIRROR, more = {}): Promise<string> {
      const run = await operate(args, mirror, more);
      expect([run.code, run.stdout], run.stderr).toEqual([code, ""]);
      expect(run.stderr.trim().split("\n"), run.stderr).toHaveLength(1);
      return run.stderr.trim();
    }

    const lists = async (version: string): Promise<boolean> => {
      const { path } = parseModuleVersion(version);
      const list = await world.mirror.tree.get(listKey(path), 1_000_000);
      return Buffer.from(list?.bytes ?? [])
        .toString()
        .split("\n")
        .includes(version.slice(version.indexOf("@") + 1));
    };

    const zipStatus = async (version: string): Promise<number> =>
      (await fetch(`${world.goproxy}/${zipKey(parseModuleVersion(version))}`, { redirect: "manual" })).status;

    async function untilZip(version: string, status: readonly number[]): Promise<void> {
      const until = Date.now() + BLOCK_SEEN;
      let last = 0;
      while (Date.now() < until) {
        last = await zipStatus(version);
        if (status.includes(last)) return;
        await sleep(500);
      }
      expect(status, `${version}: the endpoint answers ${last}`).toContain(last);
    }

    test("each way to name no mirror, or to have no way to it, is one line that says what to do", async () => {
      expect(await fails(["status"], 2, "aws:nobody@us-east-1")).toMatch(
        /^modferry: aws:nobody@us-east-1: no table nobody-ledger in us-east-1; check the name/,
      );
      expect(await fails(["status"], 2, "aws:modferry@eu-west-1")).toMatch(
        /^modferry: aws:modferry@eu-west-1: no table modferry-ledger in eu-west-1; .*the region/,
      );
      expect(await fails(["status"], 2, "aws:modferry")).toMatch(
        /^modferry: aws:modferry: in which region\? Say aws:NAME@REGION, or set AWS_REGION$/,
      );
      const nobody = { AWS_ENDPOINT_URL: "http://127.0.0.1:9" };
      expect(await fails(["status"], 1, MIRROR, nobody)).toMatch(
        /ECONNREFUSED.*check the region.*AWS_ENDPOINT_URL/,
      );
      const without = { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "", AWS_EC2_METADATA_DISABLED: "true" };
      expect(await fails(["status"], 1, MIRROR, without)).toMatch(
        /Could not load credentials.*check the AWS credentials: role, profile or AWS_ACCESS_KEY_ID/,
      );
      expect(await fails(["status"], 2, MIRROR, { AWS_ENDPOINT_URL: "127.0.0.1:4566" })).toMatch(
        /^modferry: AWS_ENDPOINT_URL: .*give a URL/,
      );
    });

    test.each([["sync", CHI], ["serve"], ["watch"], ["rehearse", "app", "--", "true"]])(
      "%s says in a line what is done instead",
      async (verb, ...rest) => {
        const at = rest.indexOf("--");
        const [before, after] = at < 0 ? [rest, []] : [rest.slice(0, at), rest.slice(at)];
        const run = await modferry([verb, ...before, "--mirror", MIRROR, ...after], { env });
        expect(run.code).toBe(2);
        expect(run.stderr).toMatch(
          new RegExp(`^modferry: --mirror: ${MIRROR}: \`modferry ${verb}\` is for folders: .*\n$`),
        );
      },
    );

    test(
      "status, explain and verify tell of it, and a request is handed in and waited for",
      async () => {
        const status = JSON.parse(await succeeds("status", "--json"));
        expect(status.versions, JSON.stringify(status)).toBeDefined();
        expect(status.heads ?? status.databases ?? status, "the database is found").toBeDefined();
        expect(await succeeds("explain", CHI)).toContain(CHI);
        const handed = await operate(["request", TOML, "--name", "team/app", "--wait"]);
        expectSuccess(handed, "request");
        expect(await lists(TOML)).toBe(true);
        listedAt = Date.now();
        const verified = await operate(["verify", "--sumdb", source.upstream.vkey]);
        expectSuccess(verified, "verify");
        expect(verified.stderr).toMatch(/^\d{2,} files, .* 0 findings$/m);
      },
      TIMEOUT,
    );

    test(
      "pull copies its tree, byte for byte",
      async () => {
        const to = join(own, "pulled");
        await succeeds("pull", "--to", to);
        const files = await filesOf(to);
        let keys = 0;
        for await (const { key } of world.mirror.tree.keys()) {
          expect(Object.keys(files)).toContain(key);
          keys++;
        }
        expect(Object.keys(files)).toHaveLength(keys);
      },
      TIMEOUT,
    );

    test(
      "pause, status and resume",
      async () => {
        await succeeds("pause", "--until", "2h", "--reason", "change freeze");
        expect((await operate(["status"])).stdout).toContain("change freeze");
        await succeeds("resume");
        expect((await operate(["status"])).stdout).not.toContain("change freeze");
      },
      TIMEOUT,
    );

    test(
      "a block is seen by the endpoint, and unblock brings the version back",
      async () => {
        expect([200, 302]).toContain(await zipStatus(TOML));
        await succeeds("block", TOML, "--reason", "INC-1", "--by", "ann");
        await untilZip(TOML, [403]);
        expect(await lists(TOML)).toBe(false);
        expect((await operate(["explain", TOML])).stdout).toContain("INC-1");
        await succeeds("unblock", TOML, "--by", "ann");
        await untilZip(TOML, [200, 302]);
        await succeeds("retry", TOML);
        for (const until = Date.now() + BLOCK_SEEN; !(await lists(TOML)) && Date.now() < until; )
          await sleep(500);
        expect(await lists(TOML)).toBe(true);
        listedAt = Date.now();
        expect(await fails(["resolve-conflict", TOML, "--keep", "--reason", "INC-1"], 2)).toMatch(
          /is READY, and so in no conflict$/,
        );
      },
      TIMEOUT,
    );

    test(
      "a snapshot is taken, listed, shown, pinned and compared",
      async () => {
        const wait = Math.max(0, listedAt + CLOSED_AFTER - Date.now());
        const taken = await operate(["snapshot", "take"], MIRROR, ahead(wait));
        expectSuccess(taken, "snapshot take");
        snapshot = taken.stdout.trim();
        expect(snapshot).toMatch(/^\d{8}T\d{6}Z-[0-9a-f]{16}$/);
        expect(await succeeds("snapshot", "list")).toContain(snapshot);
        expect(await succeeds("snapshot", "show", snapshot)).toContain(snapshot);
        await succeeds("snapshot", "pin", snapshot, "--reason", "release");
        expect(await succeeds("snapshot", "diff", snapshot, "latest")).toBe("");
        await succeeds("snapshot", "unpin", snapshot);
      },
      TIMEOUT,
    );

    test(
      "gc asks for the deployed configuration, and with it says what it would collect",
      async () => {
        expect(await fails(["gc", "--dry-run"], 2)).toMatch(
          /^modferry: --config: not given; give the configuration/,
        );
        const file = join(own, "modferry.config.json");
        const upstreams = [{ name: "general", url: source.upstream.url }];
        const sumdb = [{ key: source.upstream.vkey }];
        await writeFile(file, JSON.stringify({ name: "modferry", upstreams, sumdb }));
        const run = await operate(["gc", "--dry-run", "--config", file]);
        expectSuccess(run, "gc --dry-run");
        const scrubbed = await operate(["scrub", "--quick", "--config", file]);
        expectSuccess(scrubbed, "scrub");
        expect(scrubbed.stderr).toContain("nothing found");
        const drop = await operate(["gc", "--drop", "team/app", "--by", "ann"]);
        expect(drop.stderr).toMatch(/team\/app: dropped.*\n.*its function collects/);
      },
      TIMEOUT,
    );

    test(
      "what is exported from it is imported into a folder, from which go builds",
      async () => {
        const key = join(own, "key");
        const vkey = (await modferry(["keygen", "deployed.example", "--to", key])).stdout.trim();
        const bundle = (await succeeds("export", "--full", "--to", join(own, "discs"), "--key", key)).trim();
        const island = join(own, "island");
        const args = ["import", bundle, "--mirror", island, "--trust", vkey, "--sumdb", source.upstream.vkey];
        expectSuccess(await modferry(args), "import into a folder");
        const check = ["verify", "--mirror", island, "--sumdb", source.upstream.vkey];
        expectSuccess(await modferry(check), "verify");
        const client = await source.client(`file://${join(island, "tree")}`);
        const get = [`get ${CHI}`, `get ${TOML}`, "mod download all"];
        await allSucceed(client, client.home, ["mod init example.com/empty", ...get]);
      },
      TIMEOUT,
    );

    test(
      "a folder's bundle is imported into it, and the endpoint serves what it brought",
      async () => {
        const key = join(own, "outside.key");
        const vkey = (await modferry(["keygen", "outside.example", "--to", key])).stdout.trim();
        const outside = await source.synced([UUID]);
        expectSuccess(await modferry(["snapshot", "take", "--mirror", outside]), "snapshot");
        const made = await modferry(["export", "--full", "--to", own, "--key", key, "--mirror", outside]);
        expectSuccess(made, "export");
        const args = ["import", made.stdout.trim(), "--sumdb", source.upstream.vkey, "--trust", vkey];
        await killed(args);
        // The dead one's lease is over in some seconds.
        const resumed = await operate(args, MIRROR, ahead(LEASE_AHEAD));
        expectSuccess(resumed, "import, again after SIGKILL");
        expect(resumed.stderr).toContain("waiting for by-hand to end");
        expect(await lists(UUID)).toBe(true);
        const client = await source.client(world.goproxy);
        await allSucceed(client, client.home, ["mod init example.com/empty", `get ${UUID}`, `get ${CHI}`]);
        expect(await succeeds("receipt", "--key", key)).toMatch(/outside\.example/);
        const again = await operate(args);
        expect(again.stderr).toContain("holds it already");
        expectSuccess(await operate(["verify", "--sumdb", source.upstream.vkey]), "verify");
      },
      TIMEOUT,
    );

    test(
      "a rollback waits for nobody who is at work, and else makes lists what the snapshot had",
      async () => {
        const { ledger } = world.mirror;
        const open = {
          name: "busy",
          time: "20261123T120000000Z",
          tier: "tidy",
          total: 0,
          missing: 0,
        } as const;
        const stored = await ledger.writeRequest({ ...open, state: "OPEN", revision: 0 } as never);
        expect(await fails(["rollback", snapshot], 2)).toMatch(
          /1 requests are being worked on, such as busy\/20261123T120000000Z: `modferry pause`/,
        );
        await ledger.writeRequest({ ...(stored as object), state: "DONE" } as never);
        await succeeds("rollback", snapshot, "--by", "ann");
        expect([await lists(CHI), await lists(TOML), await lists(UUID)]).toEqual([true, true, false]);
        expect([200, 302]).toContain(await zipStatus(UUID));
        // Nothing is held back afterwards.
        expect(await ledger.takeLease("plan", "test", Date.now(), Date.now() + 1)).toBe(true);
      },
      TIMEOUT,
    );

    test(
      "a ledger that was emptied is rebuilt from the tree and the decisions, and go builds again",
      async () => {
        await succeeds("block", UUID, "--reason", "INC-2", "--by", "ann");
        await emptyTable();
        const rebuilt = await operate(["rebuild-ledger", "--sumdb", source.upstream.vkey]);
        expectSuccess(rebuilt, "rebuild-ledger");
        expect(rebuilt.stderr).toMatch(/\d requests accepted anew/);
        await untilZip(UUID, [403]);
        expectSuccess(await operate(["verify", "--sumdb", source.upstream.vkey]), "verify");
        const client = await source.client(world.goproxy);
        const get = [`get ${CHI}`, `get ${TOML}`, "mod download all"];
        await allSucceed(client, client.home, ["mod init example.com/empty", ...get]);
      },
      TIMEOUT,
    );

    test(
      "what the tree has lost is brought back by rebuild-tree from where --upstream says",
      async () => {
        expect(await fails(["rebuild-tree", "--from", snapshot], 2)).toMatch(
          /^modferry: --config: not given; say where/,
        );
        const { tree } = world.mirror;
        const key: TreeKey = zipKey(parseModuleVersion(CHI));
        const stored = await tree.open(key);
        expect(await tree.remove(key, stored?.etag ?? "")).toBe("removed");
        const from = ["--upstream", source.upstream.url, "--sumdb", source.upstream.vkey];
        await succeeds("rebuild-tree", "--from", snapshot, ...from);
        expect(await tree.open(key)).toBeDefined();
      },
      TIMEOUT,
    );

    test("each verb has needed only the rights that docs/deploy.md has for it", async () => {
      const page = await readFile(join(import.meta.dirname, "../../docs/deploy.md"), "utf8");
      const granted = rightsByVerb(page);
      expect([...asked.keys()].filter((verb) => !granted.has(verb))).toEqual([]);
      for (const [verb, rights] of asked) {
        const allowed = granted.get(verb) ?? [];
        const denied = [...rights].filter((right) => !allowed.some((one) => covers(one, right)));
        expect([verb, denied]).toEqual([verb, []]);
      }
      expect(asked.size).toBeGreaterThan(20);
    });

    /** Starts a verb that holds ticks off, and kills it while it is at work. */
    async function killed(args: readonly string[]): Promise<void> {
      const at = { env, cwd: own, ...(PROGRAM && { through: [PROGRAM] }) };
      const child = spawnModferry([...args, "--mirror", MIRROR], at);
      const run = ended(child, args);
      const { ledger } = world.mirror;
      const isHeld = async () => !(await ledger.takeLease("garbage", "probe", Date.now(), Date.now()));
      while (!(await isHeld())) await sleep(20);
      await sleep(300);
      child.kill("SIGKILL");
      expect((await run).code).toBe(137);
    }

    async function emptyTable(): Promise<void> {
      const client = dynamoDbClient(await emulatedAws());
      const TableName = "modferry-ledger";
      for (;;) {
        const { Items = [] } = await client.send(
          new ScanCommand({ TableName, ProjectionExpression: "pk, sk" }),
        );
        if (Items.length === 0) break;
        for (const { pk, sk } of Items)
          if (pk && sk) await client.send(new DeleteItemCommand({ TableName, Key: { pk, sk } }));
      }
    }
  });
});

/** Of the table of rights: by verb what its row has, and those above. */
function rightsByVerb(page: string): Map<string, string[]> {
  const [, section = ""] = /^## Operating a deployed mirror\n((?:.|\n)*?)^## /m.exec(page) ?? [];
  const granted = new Map<string, string[]>();
  let above: string[] = [];
  for (const [, verbs = "", rights = ""] of section.matchAll(/^\| [^|]+ \| (`[^|]+) \| (`[^|]+) \|$/gm)) {
    const spans = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, span = ""]) => span);
    above = [...above, ...spans(rights)];
    for (const verb of spans(verbs)) granted.set(verb, above);
  }
  return granted;
}

/** `s3:PutObject` covers all; `s3:PutObject vault/snapshots/*` what lies there. */
function covers(granted: string, needed: string): boolean {
  const [action, resource] = granted.split(" ");
  const [neededAction, bucket, below = ""] = needed.split(" ");
  if (action !== neededAction) return false;
  return resource === undefined || `${bucket}/${below}`.startsWith(resource.replace(/\*$/, ""));
}
