import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SpoolFolder } from "../../../adapters/local/spool-folder.ts";
import { openUpstream } from "../../../adapters/upstream/open-upstream.ts";
import { openSumdb } from "../../../adapters/upstream/sumdb-source.ts";
import { moduleVersion } from "../../../gomod/version.ts";
import { isSpool } from "../../../mirror/body.ts";
import { describeWithGo } from "../../go-command.ts";
import {
  type FaultServer,
  mirrorError,
  ok,
  quickTools,
  startFaultServer,
  status,
  zipBytes,
} from "./fault-server.ts";

const upper = moduleVersion("github.com/BurntSushi/toml", "v1.5.0-RC.1");
const incompatible = moduleVersion("example.com/old", "v2.0.0+incompatible");

let server: FaultServer;
beforeEach(async () => {
  server = await startFaultServer(ok(zipBytes()));
});
afterEach(() => server.close());

describeWithGo("the paths are those that the go command asks for", () => {
  test.each(["", "/api/go/x/"])("at %j", async (prefix) => {
    server.answers.clear();
    const goServer = await startFaultServer(status(404));
    const cache = await mkdtemp(join(tmpdir(), "modferry-goproxy-"));
    const run = promisify(execFile);
    const env = {
      ...process.env,
      GOPROXY: goServer.url + prefix,
      GOSUMDB: "off",
      GOMODCACHE: cache,
      GOFLAGS: "-modcacherw",
      GO111MODULE: "on",
    };
    for (const { path, version } of [upper, incompatible]) {
      await run("go", ["mod", "download", `${path}@${version}`], { cwd: cache, env }).catch(() => {});
    }
    const upstream = openUpstream(server.url + prefix);
    await upstream.info(upper);
    await upstream.info(incompatible);
    expect(server.asked).toEqual([...new Set(goServer.asked)].filter((path) => path.endsWith(".info")));
    await Promise.all([upstream.close(), goServer.close(), rm(cache, { recursive: true, force: true })]);
  });
});

test("all kinds are asked for below the prefix, and counted", async () => {
  const upstream = openUpstream(`${server.url}/p`, { database: "sum.example.com" });
  server.answers.set("/p/sumdb/sum.example.com/tile/8/0/000.p/1", ok(Buffer.alloc(32)));
  await upstream.list(upper.path);
  await upstream.latest(upper.path);
  await upstream.info(upper);
  await upstream.mod(upper);
  await upstream.zip(incompatible);
  const source = upstream.sumdb("sum.example.com");
  await source.latest();
  await source.lookup(upper);
  await source.tile({ level: 0, index: 0, width: 1 });
  expect(server.asked).toEqual([
    "/p/github.com/%21burnt%21sushi/toml/@v/list",
    "/p/github.com/%21burnt%21sushi/toml/@latest",
    "/p/github.com/%21burnt%21sushi/toml/@v/v1.5.0-%21r%21c.1.info",
    "/p/github.com/%21burnt%21sushi/toml/@v/v1.5.0-%21r%21c.1.mod",
    "/p/example.com/old/@v/v2.0.0+incompatible.zip",
    "/p/sumdb/sum.example.com/latest",
    "/p/sumdb/sum.example.com/lookup/github.com/%21burnt%21sushi/toml@v1.5.0-%21r%21c.1",
    "/p/sumdb/sum.example.com/tile/8/0/000.p/1",
  ]);
  const one = { list: 1, latest: 1, info: 1, mod: 1, zip: 1, treeHead: 1, lookup: 1, tile: 1 };
  expect(upstream.counts()).toEqual({ ...one, probe: 0, retry: 0, redirect: 0 });
  await upstream.close();
});

test("a database at its own root gets a literal ! in lookups, as the go command sends it", async () => {
  const database = openSumdb(server.url, "sum.example.com");
  await database.lookup(upper);
  expect(server.asked).toEqual(["/lookup/github.com/!burnt!sushi/toml@v1.5.0-!r!c.1"]);
  await database.close();
});

test("a query in the upstream's URL goes with every request and into no message", async () => {
  const upstream = openUpstream(`${server.url}/p?token=hush`);
  await upstream.mod(incompatible);
  expect(server.asked).toEqual(["/p/example.com/old/@v/v2.0.0+incompatible.mod?token=hush"]);
  expect(upstream.name).toBe(`${server.url}/p`);
  await upstream.close();
});

test("a thousand requests at once use at most 16 connections, and keep them", async () => {
  const upstream = openUpstream(server.url);
  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: 1000 }, () => upstream.mod(upper)));
  }
  expect(server.made()).toBeLessThanOrEqual(16);
  await upstream.close();
});

describe("a folder as upstream", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "modferry tree ü-"));
    const versions = join(folder, "github.com/!burnt!sushi/toml/@v");
    await mkdir(versions, { recursive: true });
    await mkdir(join(folder, "sumdb/sum.example.com/tile/8/0"), { recursive: true });
    await writeFile(join(versions, "list"), "");
    await writeFile(join(versions, "v1.5.0-!r!c.1.mod"), "module github.com/BurntSushi/toml\n");
    await writeFile(join(versions, "v1.5.0-!r!c.1.info"), "");
    await writeFile(join(versions, "v1.5.0-!r!c.1.zip"), zipBytes(9 << 20));
    await writeFile(join(folder, "sumdb/sum.example.com/tile/8/0/000"), Buffer.alloc(31));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test("answers as a proxy does: files, absent, malformed", async () => {
    const spools = new SpoolFolder(join(folder, "spools"));
    const upstream = openUpstream(pathToFileURL(folder).href, {
      spool: (chunks, limit) => spools.spool(chunks, limit),
    });
    expect((await upstream.list(upper.path)).byteLength).toBe(0);
    expect(Buffer.from(await upstream.mod(upper)).toString()).toBe("module github.com/BurntSushi/toml\n");
    expect((await mirrorError(upstream.info(upper))).class).toBe("malformed");
    const absent = await mirrorError(upstream.mod(incompatible));
    expect([absent.class, absent.subject]).toEqual(["absent", "example.com/old@v2.0.0+incompatible.mod"]);
    const tile = { level: 0, index: 0, width: 256 };
    expect((await mirrorError(upstream.sumdb("sum.example.com").tile(tile))).class).toBe("malformed");
    const zip = await upstream.zip(upper);
    if (!isSpool(zip)) throw new Error("not spooled");
    expect(zip.size).toBe(9 << 20);
    await zip.dispose();
    const again = await upstream.zip(upper);
    if (!isSpool(again)) throw new Error("the folder's own file is gone");
    await again.dispose();
    expect(upstream.counts()).toMatchObject({ list: 1, mod: 2, zip: 2, tile: 1 });
    await upstream.close();
  });

  test("a folder or a named pipe in a file's place is absent, not a hang", async () => {
    const upstream = openUpstream(pathToFileURL(folder).href);
    await mkdir(join(folder, "example.com/old/@v/v2.0.0+incompatible.mod"), { recursive: true });
    expect((await mirrorError(upstream.mod(incompatible))).class).toBe("absent");
    const pipe = join(folder, "pipe");
    await promisify(execFile)("mkfifo", [pipe]);
    await symlink(pipe, join(folder, "example.com/old/@v/v2.0.0+incompatible.info"));
    expect((await mirrorError(upstream.info(incompatible))).class).toBe("absent");
  });
});

test("an upstream that heals within its retries is no trouble", async () => {
  let asked = 0;
  const waits: number[] = [];
  server.answers.set("/example.com/old/@v/v2.0.0+incompatible.mod", (request, response) => {
    if (++asked < 3) status(429, "", { "retry-after": "2" })(request, response);
    else ok("module example.com/old\n")(request, response);
  });
  const upstream = openUpstream(server.url, { tools: quickTools(waits) });
  await upstream.mod(incompatible);
  expect(waits).toEqual([2000, 3000]);
  await upstream.close();
});
