import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { ended, modferry, spawnModferry } from "../e2e/modferry-command.ts";
import { smallGoproxy } from "../functions/small-goproxy.ts";
import { buildZip } from "../gomod/zip-builder.ts";
import { MadeUpstream } from "../mirror/made-upstream.ts";
import { misuseOf } from "./misused.ts";

const TIMEOUT = 200_000;
const A = "corp.example/a@v1.0.0";
const BAD = "corp.example/bad@v1.0.0";

let folder: string;
let upstream: MadeUpstream;
let proxy: Awaited<ReturnType<typeof smallGoproxy>>;
let config: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-operator-"));
  upstream = new MadeUpstream();
  for (const name of [A, "corp.example/b@v1.0.0", BAD]) upstream.add(name, {}, false);
  upstream.add("corp.example/needs@v1.0.0", { requires: [BAD] }, false);
  upstream.wrong.set(`zip ${BAD}`, Buffer.from("no zip"));
  proxy = await smallGoproxy(upstream);
  config = join(folder, "mirror.json");
  await writeFile(config, JSON.stringify(configuration(["corp.example/a", "corp.example/b"])));
}, TIMEOUT);
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const configuration = (modules: string[]) => ({
  name: "desk",
  upstreams: [{ name: "g", url: proxy.url }],
  noSumdb: ["corp.example"],
  subscriptions: [{ modules, versions: "all" }],
  feeds: { poll: {} },
});
const zipOf = (mirror: string, module: string) => join(mirror, "tree/corp.example", module, "@v/v1.0.0.zip");
async function synced(name: string, ...wishes: string[]): Promise<string> {
  const mirror = join(folder, name);
  const run = await modferry(["sync", "--config", config, "--mirror", mirror, ...wishes]);
  expect(run.code, run.stderr).toBe(wishes.some((wish) => wish.includes("needs")) ? 1 : 0);
  return mirror;
}
const inFolder = (args: string[]) => misuseOf(args, { cwd: folder });

test.each([
  ["block", A, "--reason", "x"],
  ["unblock", A],
  ["retry"],
  ["resolve-conflict", A, "--keep", "--reason", "x"],
])(
  "%s makes no mirror where there is none",
  async (...args) => {
    const none = join(folder, "none");
    expect(await inFolder([...args, "--mirror", none])).toMatch(
      /none: no mirror here; `modferry sync` makes one/,
    );
    await mkdir(none, { recursive: true });
    expect(await inFolder([...args, "--mirror", none])).toMatch(/no mirror here/);
    expect(await readdir(none)).toEqual([]);
    await rm(none, { recursive: true });
  },
  TIMEOUT,
);

test(
  "a conflict that no database covers stays with retry, and a person settles it",
  async () => {
    const mirror = await synced("conflict");
    const { mod } = upstream.made.get(A) ?? expect.fail();
    const other = [
      { name: `${A}/go.mod`, content: mod },
      { name: `${A}/x.go`, content: "package other\n" },
    ];
    upstream.wrong.set(`zip ${A}`, buildZip(other));
    const refreshed = await modferry(["sync", "--refresh", A, "--config", config, "--mirror", mirror]);
    upstream.wrong.delete(`zip ${A}`);
    expect(refreshed.code).toBe(1);
    for (const more of [[], ["--config", config]]) {
      const retried = await modferry(["retry", "--mirror", mirror, ...more]);
      expect(retried.stderr).toMatch(/^0 versions .*\n1 conflicts that no checksum database can settle/);
    }
    const keep = ["resolve-conflict", A, "--keep", "--reason", "INC-1", "--mirror", mirror];
    expect(await inFolder(keep)).toMatch(/a checksum database covers it.*--config or --no-sumdb/);
    expect(await inFolder(["resolve-conflict", A, "--reason", "x", "--mirror", mirror])).toMatch(
      /--keep or --take: give one/,
    );
    const kept = await modferry([...keep, "--config", config]);
    expect([kept.code, kept.stderr]).toEqual([0, `${A}: what is held is kept, and served again\n`]);
    expect((await modferry(["status", "--mirror", mirror])).code).toBe(0);
  },
  TIMEOUT,
);

describe("beside a process that writes the mirror", () => {
  /** Runs `act` while a sync is between two rounds. @returns what that one has said. */
  const besideWriter = async (mirror: string, act: () => Promise<void>): Promise<string> => {
    const writer = spawnModferry(["sync", "--config", config, "--mirror", mirror, "--every", "1h"]);
    const written = ended(writer);
    try {
      await new Promise<void>((said) => writer.stderr.on("data", () => said()));
      await act();
    } finally {
      writer.kill("SIGTERM");
    }
    return (await written).stderr;
  };

  test(
    "unblock and retry are left to it, and end as they do without one; nothing of them stays behind",
    async () => {
      const mirror = await synced("left");
      const on = ["--mirror", mirror];
      expect((await modferry(["block", A, "--reason", "INC-1", ...on])).code).toBe(0);
      expect(existsSync(zipOf(mirror, "a"))).toBe(false);
      const said = await besideWriter(mirror, async () => {
        const unblocked = await modferry(["unblock", A, "--by", "ann", ...on]);
        expect([unblocked.code, unblocked.stderr]).toEqual([
          0,
          `${A}: 1 versions are served again; 0 were never here whole, and are fetched by the next sync\n`,
        ]);
        expect(existsSync(zipOf(mirror, "a"))).toBe(true);
        const retried = await modferry(["retry", "--json", ...on]);
        expect([retried.code, JSON.parse(retried.stdout)]).toEqual([
          0,
          { event: "retried", versions: 0, requests: 0, conflicts: 0 },
        ]);
        const none = await modferry(["unblock", "corp.example/none@v1.0.0", ...on]);
        expect([none.code, none.stderr]).toEqual([
          2,
          expect.stringMatching(/^modferry: corp\.example\/none@v1\.0\.0: [^\n]*\n$/),
        ]);
        const bad = await modferry(["retry", "a b", ...on]);
        expect([bad.code, bad.stderr.split("\n").length]).toEqual([2, 2]);
      });
      expect(said).toMatch(/^modferry: unblock by hand, done: corp\.example\/a@v1\.0\.0$/m);
      expect(await leftOver(mirror)).toEqual([]);
    },
    TIMEOUT,
  );

  test(
    "a conflict is settled through it",
    async () => {
      const mirror = await synced("left-conflict");
      const { mod } = upstream.made.get(A) ?? expect.fail();
      const other = [
        { name: `${A}/go.mod`, content: mod },
        { name: `${A}/x.go`, content: "package other\n" },
      ];
      upstream.wrong.set(`zip ${A}`, buildZip(other));
      await modferry(["sync", "--refresh", A, "--config", config, "--mirror", mirror]);
      upstream.wrong.delete(`zip ${A}`);
      await besideWriter(mirror, async () => {
        const args = ["resolve-conflict", A, "--keep", "--reason", "INC-1", "--mirror", mirror];
        const kept = await modferry([...args, "--config", config]);
        expect([kept.code, kept.stderr]).toEqual([0, `${A}: what is held is kept, and served again\n`]);
      });
      expect(await leftOver(mirror)).toEqual([]);
    },
    TIMEOUT,
  );

  test(
    "one that does not look is waited for, and what was left is withdrawn",
    async () => {
      const mirror = await synced("left-busy");
      expect((await modferry(["block", A, "--reason", "INC-1", "--mirror", mirror])).code).toBe(0);
      const { close } = await openFolderMirror(mirror, { mode: "write" });
      try {
        const refused = await modferry(["unblock", A, "--mirror", mirror]);
        expect([refused.code, refused.stderr]).toEqual([
          2,
          `modferry: ${A}: the process that writes ${mirror} does not answer; end it, then \`modferry unblock\` again\n`,
        ]);
      } finally {
        await close();
      }
      expect(existsSync(zipOf(mirror, "a"))).toBe(false);
      expect(await leftOver(mirror)).toEqual([]);
    },
    TIMEOUT,
  );

  /** Names of the orders that lie in its ledger. */
  async function leftOver(mirror: string): Promise<string[]> {
    const { ledger, close } = await openFolderMirror(mirror, { mode: "read" });
    const names: string[] = [];
    for await (const { name } of ledger.items("control")) if (name.startsWith("left/")) names.push(name);
    await close();
    return names;
  }
});

describe("a block", () => {
  test(
    "is applied by the writer within seconds, and status shows it until it is lifted",
    async () => {
      const mirror = await synced("blocked");
      const writer = spawnModferry(["sync", "--config", config, "--mirror", mirror, "--every", "1h"]);
      const written = ended(writer);
      try {
        // Its first round has ended.
        await new Promise<void>((said) => writer.stderr.on("data", () => said()));
        const deadline = Date.now() + 60_000;
        const beside = await modferry([
          "block",
          A,
          "--reason",
          "INC-4711",
          "--by",
          "sam",
          "--mirror",
          mirror,
        ]);
        expect(beside.stderr).toMatch(/endpoints answer 403 within 10 s; .* within seconds/);
        while (existsSync(zipOf(mirror, "a")) && Date.now() < deadline) await sleep(200);
        expect(existsSync(zipOf(mirror, "a"))).toBe(false);
        expect(existsSync(zipOf(mirror, "b"))).toBe(true);
      } finally {
        writer.kill("SIGTERM");
        await written;
      }
      const shown = await modferry(["status", "--mirror", mirror]);
      expect(shown.stdout).toMatch(
        /^blocked corp\.example\/a@v1\.0\.0: by sam since \S+Z, taken out: INC-4711$/m,
      );
      const json = JSON.parse((await modferry(["status", "--json", "--mirror", mirror])).stdout);
      expect(json.blocks).toEqual([
        {
          name: A,
          reason: "INC-4711",
          by: "sam",
          since: expect.stringMatching(/Z$/),
          applied: expect.stringMatching(/Z$/),
        },
      ]);
      await modferry(["unblock", A, "--mirror", mirror]);
      expect(JSON.parse((await modferry(["status", "--json", "--mirror", mirror])).stdout).blocks).toEqual(
        [],
      );
    },
    TIMEOUT,
  );
});

test(
  "sync --once ends with 1 where what its feeds found is not served, and says so",
  async () => {
    const own = join(folder, "bad.json");
    await writeFile(own, JSON.stringify(configuration(["corp.example/a", "corp.example/bad"])));
    const run = await modferry(["sync", "--config", own, "--once", "--mirror", join(folder, "feeds")]);
    expect(run.stderr).toMatch(/, 1 failure of what the feeds found\n/);
    expect(run.stderr).toMatch(
      /of what the feeds found one thing is not served: corp\.example\/bad@v1\.0\.0 \(FAILED\)/,
    );
    expect(run.code).toBe(1);
  },
  TIMEOUT,
);

test(
  "explain says whether a version is listed, and which need is missing",
  async () => {
    const mirror = await synced("explained", "corp.example/needs@v1.0.0");
    const explained = async (name: string) => (await modferry(["explain", name, "--mirror", mirror])).stdout;
    expect(await explained(A)).toContain("\n  listed: @v/list names it\n");
    expect(await explained("corp.example/needs@v1.0.0")).toMatch(
      /\n {2}not listed: of what it needs one is missing: corp\.example\/bad@v1\.0\.0: FAILED: /,
    );
    expect(await explained(BAD)).toMatch(
      /\n {2}not listed: other modules need it, and nobody has asked for it as a root/,
    );
    const { stdout } = await modferry(["explain", "corp.example/needs@v1.0.0", "--json", "--mirror", mirror]);
    expect(JSON.parse(stdout).listing).toMatchObject({
      listed: false,
      isRoot: true,
      lacking: [{ version: BAD, extent: "whole", state: "FAILED" }],
    });
  },
  TIMEOUT,
);

test(
  "a pull that was killed leaves nothing that the next one does not sweep",
  async () => {
    const mirror = await synced("pulled");
    const to = join(folder, "copy");
    const pull = ["pull", "--mirror", mirror, "--to", to];
    const child = spawnModferry(pull);
    const run = ended(child);
    while (!existsSync(to) || (await readdir(to)).every((name) => !name.startsWith(".modferry-"))) {
      if (child.exitCode !== null) break;
      await sleep(1);
    }
    child.kill("SIGKILL");
    await run;
    const dead = (await readdir(to)).filter((name) => name.startsWith(".modferry-"));
    expect(dead).toHaveLength(1);
    const [stranger, old] = [join(to, ".modferry-AAAAAA"), join(to, ".modferry-BBBBBB")];
    await mkdir(stranger);
    await mkdir(old);
    await utimes(old, 1, 1);
    expect((await modferry(pull)).code).toBe(0);
    expect((await readdir(to)).filter((name) => name.startsWith("."))).toEqual([".modferry-AAAAAA"]);
  },
  TIMEOUT,
);

test.each([
  ["/proc/modferry/x", /no folder can be made there; name another/],
  ["mirror.json", /--to mirror\.json: a file; name a folder/],
  ["mirror.json/x", /a file|below a file/],
])(
  "pull --to %s ends in one line",
  async (to, says) => {
    const mirror = join(folder, "pull-mirror");
    await (await openFolderMirror(mirror, { mode: "write" })).close();
    expect(await inFolder(["pull", "--mirror", mirror, "--to", to])).toMatch(says);
  },
  TIMEOUT,
);

describe("a configuration that is wrong", () => {
  const base = { name: "desk", upstreams: [{ name: "g", url: "http://127.0.0.1:1" }] };
  const FEEDS = { poll: {} };
  test.each<[string, unknown, RegExp]>([
    [
      "a text where a list is due",
      { ...base, feeds: FEEDS, subscriptions: [{ modules: "corp.example" }] },
      /subscriptions\.0\.modules: is a text, .*; give a list/,
    ],
    [
      "an empty subscription",
      { ...base, feeds: FEEDS, subscriptions: [{}] },
      /subscriptions\.0\.modules: left out; give a list/,
    ],
    [
      "toolchains in a text",
      { ...base, feeds: FEEDS, subscriptions: [{ toolchains: { platforms: "x", go: "latest" } }] },
      /subscriptions\.0\.toolchains\.platforms: is a text, .*; give a list/,
    ],
    ["nothing", {}, /: name: left out; give a text/],
    ["null", null, /holds no JSON object/],
    [
      "no ID",
      { ...base, vulndb: { url: "https://v.example" }, policy: { vulnerabilities: { accepted: ["CVE-1"] } } },
      /accepted\.0: give an ID of the Go vulnerability database, such as GO-/,
    ],
    [
      "no feeds for its subscriptions",
      { ...base, subscriptions: [{ modules: ["corp.example"] }] },
      /subscriptions: .*no feeds; give feeds/,
    ],
    [
      "an empty range",
      { ...base, feeds: FEEDS, subscriptions: [{ modules: ["a.b"], versions: ">=v2.0.0 <v1.0.0" }] },
      /subscriptions\.0\.versions: .*no version is in/,
    ],
    [
      "an empty range of Go",
      {
        ...base,
        feeds: FEEDS,
        subscriptions: [{ toolchains: { platforms: ["linux-amd64"], go: ">1.22 <1.22" } }],
      },
      /toolchains\.go: .*no version is in/,
    ],
    [
      "vulnerabilities without a database",
      { ...base, policy: { vulnerabilities: {} } },
      /policy\.vulnerabilities: .*give vulndb/,
    ],
    ["two patterns in one", { ...base, noSumdb: ["a.b,c.d"] }, /noSumdb\.0: give a pattern/],
  ])(
    "%s: one line names the field, and what would be right",
    async (what, input, says) => {
      const file = join(folder, `${what.replaceAll(" ", "-")}.json`);
      await writeFile(file, JSON.stringify(input));
      expect(await inFolder(["retry", "--config", file, "--mirror", "none"])).toMatch(says);
    },
    TIMEOUT,
  );

  test(
    "with a byte order mark is none",
    async () => {
      const file = join(folder, "bom.json");
      await writeFile(file, `\ufeff${JSON.stringify(base)}`);
      expect(await inFolder(["retry", "--config", file, "--mirror", "none"])).toMatch(/no mirror here/);
    },
    TIMEOUT,
  );
});

test(
  "--log text is no format that can be asked for",
  async () => {
    expect(await inFolder(["sync", A, "--log", "text"])).toMatch(/^--log text: give one of json/);
  },
  TIMEOUT,
);

test(
  "a token with a line end is sent without it, and one that cannot be sent is refused unseen",
  async () => {
    const send = (token: string) =>
      modferry(["request", A, "--mirror", "http://127.0.0.1:1"], { env: { MODFERRY_TOKEN: token } });
    const refused = await send("two words");
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/^modferry: MODFERRY_TOKEN: not one word/),
    ]);
    expect(refused.stderr).not.toContain("two words");
    const sent = await send("right\r\n");
    expect([sent.code, sent.stderr]).toEqual([1, expect.stringContaining("does not answer")]);
  },
  TIMEOUT,
);

test(
  "a ledger that is lost: what would make it again is named",
  async () => {
    const mirror = await synced("lost");
    await rm(join(mirror, "ledger.sqlite"));
    for (const args of [["status"], ["sync", A, "--upstream", proxy.url], ["block", A, "--reason", "x"]])
      expect(await inFolder([...args, "--mirror", mirror])).toMatch(
        /ledger\.sqlite is lost; `modferry rebuild-ledger`/,
      );
  },
  TIMEOUT,
);
