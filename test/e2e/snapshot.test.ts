import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rawRequest } from "../cli/raw-http.ts";
import type { GoClient } from "../go-client.ts";
import { describeWithGo } from "../go-command.ts";
import { allSucceed, expectSuccess, type MirrorWorld, mirrorWorld } from "./mirror-world.ts";
import { modferry, type ServedMirror, serveMirror } from "./modferry-command.ts";

const TIMEOUT = 300_000;
const LIB = "example.com/Lib";

/** Made by `modferry zip`, which test/cli/zip.test.ts holds against the go command. */
async function makeModule(own: string, tree: string, name: string, goMod: string): Promise<void> {
  const [path = "", version = ""] = name.split("@");
  const source = join(own, "source", name);
  await mkdir(source, { recursive: true });
  await writeFile(join(source, "go.mod"), `module ${path}\n\ngo 1.21\n${goMod}`);
  await writeFile(join(source, "lib.go"), `package lib\n\nconst Version = "${version}"\n`);
  expectSuccess(await modferry(["zip", source, "--module", path, "--version", version, "--to", tree]), name);
}

describeWithGo("a snapshot as a GOPROXY, with the real go command", () => {
  let own: string;
  let world: MirrorWorld;
  let mirror: string;
  let served: ServedMirror;
  let first: string;
  let second: string;

  const snapshot = (...args: readonly string[]) => modferry(["snapshot", ...args, "--mirror", mirror]);
  const take = async (): Promise<string> => {
    const run = await snapshot("take");
    expectSuccess(run, "snapshot take");
    return run.stdout.trim();
  };
  const at = (name: string) => `${served.url}/-/snapshot/${name}`;
  const list = async (client: GoClient, ...args: readonly string[]) => {
    const run = await client.run(["list", "-m", ...args]);
    expectSuccess(run, `go list -m ${args.join(" ")}`);
    return run.stdout.trim();
  };
  /** A main module that prints the version of the library that it was built with. */
  const project = async (client: GoClient): Promise<string> => {
    const dir = await mkdtemp(join(client.home, "main-"));
    await writeFile(join(dir, "go.mod"), "module example.com/main\n\ngo 1.21\n");
    const text = `package main\n\nimport lib "${LIB}"\n\nfunc main() { println(lib.Version) }\n`;
    await writeFile(join(dir, "main.go"), text);
    return dir;
  };

  beforeAll(async () => {
    own = await mkdtemp(join(tmpdir(), "modferry-snapshots-"));
    const tree = join(own, "proxy");
    await makeModule(own, tree, `${LIB}@v1.0.0`, "\nrequire example.com/dep v1.0.0\n");
    await makeModule(own, tree, `${LIB}@v1.1.0`, "\nrequire example.com/dep v1.1.0\n");
    for (const version of ["v1.0.0", "v1.1.0"]) await makeModule(own, tree, `example.com/dep@${version}`, "");
    await makeModule(own, tree, "example.com/new@v1.0.0", "");
    world = await mirrorWorld([], { trees: [tree], synthetic: 3_000 });
    mirror = await world.folder();
    expectSuccess(await world.sync(mirror, [`${LIB}@v1.0.0`]), "sync");
    first = await take();
    await world.upstream.grow(500);
    expectSuccess(await world.sync(mirror, [`${LIB}@v1.1.0`, "example.com/new@v1.0.0"]), "sync");
    second = await take();
    served = await serveMirror(mirror);
  }, TIMEOUT);
  afterAll(async () => {
    await served?.stop();
    await world?.close();
    await rm(own, { recursive: true, force: true });
  });

  test(
    "versions, latest and builds are those of its day, although newer ones are mirrored",
    async () => {
      for (const [goproxy, versions, newest] of [
        [at(first), "v1.0.0", "v1.0.0"],
        [at(second), "v1.0.0 v1.1.0", "v1.1.0"],
        [served.url, "v1.0.0 v1.1.0", "v1.1.0"],
      ] as const) {
        const client = await world.client(goproxy);
        expect(await list(client, "-versions", LIB)).toBe(`${LIB} ${versions}`);
        expect(await list(client, `${LIB}@latest`)).toBe(`${LIB} ${newest}`);
        const dir = await project(client);
        await allSucceed(client, dir, [`get ${LIB}@latest`, "mod tidy", "build ./...", "mod verify"]);
        const run = await client.run(["run", "."], { cwd: dir });
        expect(run.stderr.trim()).toBe(newest);
      }
    },
    TIMEOUT,
  );

  test(
    "what came later is not in it, by any way of asking",
    async () => {
      const client = await world.client(at(first));
      for (const wish of [`${LIB}@v1.1.0`, "example.com/dep@v1.1.0", "example.com/new@latest"]) {
        const run = await client.run(["mod", "download", wish]);
        expect([wish, run.code]).toEqual([wish, 1]);
      }
      const later = `/-/snapshot/${first}/example.com/!lib/@v/v1.1.0`;
      for (const path of [".zip", ".info", ".mod"].map((end) => `${later}${end}`)) {
        const reply = await rawRequest(served.url, path);
        expect([path, reply.status, reply.headers["content-type"]]).toEqual([
          path,
          404,
          "text/plain; charset=utf-8",
        ]);
      }
      const lookup = `sumdb/${world.upstream.sumdbName}/lookup/example.com/!lib@v1.1.0`;
      expect((await rawRequest(served.url, `/-/snapshot/${first}/${lookup}`)).status).toBe(404);
      expect((await rawRequest(served.url, `/-/snapshot/${second}/${lookup}`)).status).toBe(200);
    },
    TIMEOUT,
  );

  test(
    "its head is that of its day, and a client that has seen a newer one goes on with it",
    async () => {
      const latest = `sumdb/${world.upstream.sumdbName}/latest`;
      const headAt = async (prefix: string) =>
        (await rawRequest(served.url, `${prefix}/${latest}`)).body.toString("utf8");
      const [before, after] = [await headAt(`/-/snapshot/${first}`), await headAt(`/-/snapshot/${second}`)];
      expect(Number(before.split("\n")[1])).toBeLessThan(Number(after.split("\n")[1]));
      expect(await headAt("")).toBe(after);
      const today = await world.client(served.url);
      await allSucceed(today, today.home, [`mod download ${LIB}@v1.1.0`]);
      await today.clearModCache();
      const back = await world.client(at(first), { home: today.home });
      await allSucceed(back, back.home, [`mod download ${LIB}@v1.0.0 example.com/dep@v1.0.0`]);
      await back.clearModCache();
      const again = await world.client(served.url, { home: today.home });
      await allSucceed(again, again.home, [`mod download ${LIB}@v1.1.0 example.com/new@v1.0.0`]);
    },
    TIMEOUT,
  );

  test(
    "the mirror at a time is its newest snapshot of up to then",
    async () => {
      const stamp = (name: string) => name.slice(0, "20260131T235959Z".length);
      const long = (name: string) =>
        stamp(name).replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z");
      for (const [time, newest] of [
        [stamp(first), "v1.0.0"],
        [long(first), "v1.0.0"],
        [stamp(second), "v1.1.0"],
        [long(second).replace("Z", ".5+00:00"), "v1.1.0"],
      ] as const) {
        const client = await world.client(`${served.url}/-/at/${time}`);
        expect([time, await list(client, `${LIB}@latest`)]).toEqual([time, `${LIB} ${newest}`]);
      }
      for (const time of [
        "2001-01-01T00:00:00Z",
        "29990101T000000Z",
        "yesterday",
        "20269999T999999Z",
        "..",
        "",
      ]) {
        const reply = await rawRequest(served.url, `/-/at/${time}/example.com/!lib/@v/list`);
        expect([time, reply.status]).toEqual([time, 404]);
      }
    },
    TIMEOUT,
  );

  test("what is no snapshot, or no path of the protocol, is not found, with one line that says so", async () => {
    const none = `${first.slice(0, -4)}0000`;
    for (const path of [
      `/-/snapshot/${none}/example.com/!lib/@v/list`,
      "/-/snapshot/latest/example.com/!lib/@v/list",
      "/-/snapshot/..%2f..%2fvault/snapshot.json",
      `/-/snapshot/${first}`,
      `/-/snapshot/${first}/`,
      `/-/snapshot/${first}/snapshot.json`,
      `/-/snapshot/${first}/example.com/!lib/@v/main.info`,
      `/-/snapshot/${first}/-/snapshot/${first}/example.com/!lib/@v/list`,
      `/-/snapshot/${first}/-/vulndb/index/db.json`,
      `/-/snapshot/${first}/sumdb/other.example.com/latest`,
      `/-/snapshot/${first}/example.com/nothing/@v/list`,
      `/-/snapshot/${first}/example.com/nothing/@latest`,
    ]) {
      const reply = await rawRequest(served.url, path);
      expect([path, reply.status]).toEqual([path, 404]);
      expect(reply.body.toString("utf8")).toMatch(/^not found: [^\n]+\n$/);
    }
  });

  test(
    "what is blocked by now is kept out of every snapshot",
    async () => {
      expectSuccess(
        await modferry(["block", "example.com/dep@v1.0.0", "--reason", "bad", "--mirror", mirror]),
        "block",
      );
      const zip = `/-/snapshot/${first}/example.com/dep/@v/v1.0.0.zip`;
      await expect
        .poll(async () => (await rawRequest(served.url, zip)).status, { timeout: 30_000 })
        .toBe(403);
      expectSuccess(await modferry(["unblock", "example.com/dep@v1.0.0", "--mirror", mirror]), "unblock");
      await expect
        .poll(async () => (await rawRequest(served.url, zip)).status, { timeout: 30_000 })
        .toBe(200);
    },
    TIMEOUT,
  );

  test(
    "the command line lists, shows, compares, pins and expires; an expired one answers 410, and the go command says so",
    async () => {
      const json = async (...args: readonly string[]) => {
        const run = await snapshot(...args, "--json");
        expectSuccess(run, `snapshot ${args.join(" ")}`);
        return run.stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line));
      };
      const listed = await json("list");
      expect(listed.slice(0, 2)).toMatchObject([
        { name: first, state: "kept", pinned: false, counts: { modules: 2, versions: 2 } },
        { name: second, state: "kept", counts: { modules: 3, versions: 5 } },
      ]);
      expect(
        (await json("diff", first, second)).map(({ event, module, version }) => [event, module, version]),
      ).toEqual([
        ["added", LIB, "v1.1.0"],
        ["added", "example.com/dep", "v1.1.0"],
        ["added", "example.com/new", "v1.0.0"],
        ["diff", undefined, undefined],
      ]);
      const diff = await snapshot("diff", second, first);
      expect(diff.stdout.trim().split("\n")).toEqual([
        `- ${LIB}@v1.1.0`,
        "- example.com/dep@v1.1.0",
        "- example.com/new@v1.0.0",
        "- example.com/new",
      ]);
      expect((await snapshot("show", "latest")).stdout).toContain("holds     5 versions of 3 modules");
      expectSuccess(await snapshot("pin", first, "--reason", "release 7"), "pin");
      expect((await json("show", first)).at(-1)).toMatchObject({ event: "pin", reason: "release 7" });
      expect((await snapshot("expire", first)).code).toBe(2);
      expectSuccess(await snapshot("unpin", first), "unpin");
      expectSuccess(await snapshot("expire", first), "expire");
      expect((await snapshot("expire", (await take()) || second)).code).toBe(2);
      expect((await snapshot("pin", first)).code).toBe(2);
      expect((await json("list"))[0]).toMatchObject({ name: first, state: "expired" });
      const path = `/-/snapshot/${first}/example.com/!lib/@v/list`;
      await expect
        .poll(async () => (await rawRequest(served.url, path)).status, { timeout: 30_000 })
        .toBe(410);
      const client = await world.client(at(first));
      const run = await client.run(["mod", "download", `${LIB}@v1.0.0`]);
      expect(run.code).toBe(1);
      expect(run.stderr).toContain("410");
      const now = await world.client(at(second));
      expect(await list(now, `${LIB}@latest`)).toBe(`${LIB} v1.1.0`);
    },
    TIMEOUT,
  );

  test("misuse ends with 2 and one line that says what is right", async () => {
    for (const args of [
      [],
      ["make"],
      ["take", "now"],
      ["show"],
      ["diff", second],
      ["show", "../../etc"],
      ["show", "20260131T235959Z-0123456789abcdef"],
      ["list", "--full"],
      ["take", "--reason", "x"],
      ["pin", second, "--reason", "two\nlines"],
    ]) {
      const run = await snapshot(...args);
      expect([args, run.code, run.stdout]).toEqual([args, 2, ""]);
      expect(run.stderr).toMatch(/^modferry: [^\n]+\n$/);
    }
  });
});
