import { type ChildProcessByStdio, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeWithMiniStack } from "../contract/ministack.ts";
import { allSucceed, type MirrorWorld, mirrorWorld, writeFiles } from "../e2e/mirror-world.ts";
import { describeWithGo } from "../go-command.ts";
import { testCache } from "../upstream/exclusive.ts";
import { isAlive, startedBy } from "./process-tree.ts";

const START = resolve(import.meta.dirname, "../../infra/local/start.ts");
/** A first start deploys the stacks: alone on two cores a minute; suites share them. */
const TIMEOUT = 900_000;
/** The emulator's guard may take 60 s to save. */
const ALL_ENDED = 90_000;

const PROJECT = {
  "go.mod": "module example.com/small\n\ngo 1.21\n\nrequire github.com/BurntSushi/toml v1.3.2\n",
  "main.go":
    'package main\n\nimport "github.com/BurntSushi/toml"\n\nfunc main() { println(toml.Key{"a"}.String()) }\n',
};
const ZIP = "/github.com/!burnt!sushi/toml/@v/v1.3.2.zip";

describeWithGo("npm start", () => {
  describeWithMiniStack("over the deployed stacks", () => wholeStart([]));
  describe("--embedded", () => wholeStart(["--embedded"]));
});

/** In order: each start finds what the one before has left. */
function wholeStart(how: readonly string[]): void {
  const mark = `modferry-start-${randomUUID()}`;
  let world: MirrorWorld;
  let project: string;
  let place: string;
  let firstTook = 0;

  beforeAll(async () => {
    world = await mirrorWorld(["shouting"], { synthetic: 100 });
    project = await world.folder();
    await writeFiles(project, PROJECT);
    place = join(await world.folder(), "place");
  });
  const children: Child[] = [];
  afterAll(async () => {
    // Only where a test has failed in the middle; what they started ends with them.
    for (const child of children) child.kill("SIGKILL");
    await world?.close();
  });

  function start(...more: readonly string[]) {
    const from = ["--upstream", world.upstream.url, "--sumdb", world.upstream.vkey, "--folder", place];
    const child = spawn(process.execPath, [START, "go.mod", ...from, ...how, ...more], {
      cwd: project,
      env: {
        PATH: process.env.PATH ?? "",
        HOME: project,
        GOCACHE: join(testCache, "gobuild"),
        MODFERRY_TEST_MARK: mark,
        // What a user's shell may hold must reach neither the mirror nor the build.
        GO111MODULE: "off",
        GONOSUMCHECK: "1",
        GOPROXY: "off",
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.push(child);
    return { child, ended: endOf(child) };
  }

  async function once() {
    const begun = Date.now();
    const { code, stdout, stderr } = await start("--once").ended;
    const all = `${stdout}\n${stderr}`;
    expect(code, all).toBe(0);
    expect(stdout.trimEnd().split("\n").at(-1), all).toMatch(/^export GOPROXY=http:\/\/127\.0\.0\.1:\d+\S*$/);
    expect(startedBy(-1, mark), "processes that it left").toEqual([]);
    return { all, took: Date.now() - begun };
  }

  test(
    "--once mirrors the project, builds it against the mirror alone and ends on the line to paste",
    async () => {
      const { all, took } = await once();
      expect(all).toMatch(/✓ build: go mod download all, go build/);
      expect((await world.upstream.counts()).paths[ZIP]).toBe(1);
      firstTook = took;
    },
    TIMEOUT,
  );

  test(
    "a second start keeps the data: nothing is fetched and nothing deployed again",
    async () => {
      await world.upstream.reset();
      const { all, took } = await once();
      const { zip = 0, mod = 0, info = 0 } = (await world.upstream.counts()).kinds;
      expect({ zip, mod, info }).toEqual({ zip: 0, mod: 0, info: 0 });
      console.log(`start ${how.join(" ")}: the first took ${firstTook} ms, the second ${took} ms`);
      if (how.length > 0) return;
      expect(all).toContain("deployed already, nothing has changed");
      expect(took, "quicker than the first").toBeLessThan(firstTook);
    },
    TIMEOUT,
  );

  test(
    "without --once it stays up, go uses what it printed, and Ctrl-C leaves no process but the data",
    async () => {
      const { child, ended } = start();
      const goproxy = await printed(child);
      const client = await world.client(goproxy);
      await writeFiles(client.home, PROJECT);
      await allSucceed(client, client.home, ["mod tidy", "build ./...", "mod verify"]);
      const started = startedBy(child.pid ?? 0, mark).filter((pid) => pid !== child.pid);
      expect(started.length).toBeGreaterThan(0);
      child.kill("SIGINT");
      const { code, stderr } = await ended;
      expect(code, stderr).toBe(0);
      expect(started.filter(isAlive)).toEqual([]);
      expect(startedBy(-1, mark)).toEqual([]);
      expect((await readdir(place)).length).toBeGreaterThan(0);
    },
    TIMEOUT,
  );

  test(
    "SIGKILL while it is up: all that it started ends by itself",
    async () => {
      const { child, ended } = start();
      await printed(child);
      const started = startedBy(child.pid ?? 0, mark).filter((pid) => pid !== child.pid);
      expect(started.length).toBeGreaterThan(0);
      child.kill("SIGKILL");
      await ended;
      const until = Date.now() + ALL_ENDED;
      const left = () => [...started.filter(isAlive), ...startedBy(-1, mark)];
      while (left().length > 0 && Date.now() < until) await sleep(100);
      expect(left()).toEqual([]);
    },
    TIMEOUT,
  );
}

/** What the last line of a start names; a start that ends without it has no such line. */
function printed(child: Child): Promise<string> {
  return new Promise((found, reject) => {
    let text = "";
    child.stdout.on("data", (chunk: string) => {
      text += chunk;
      const [, url] = /^export GOPROXY=(\S+)\n/m.exec(text) ?? [];
      if (url !== undefined) found(url);
    });
    child.once("exit", () => reject(new Error(`npm start ended: ${text}`)));
  });
}

type Child = ChildProcessByStdio<null, Readable, Readable>;

function endOf(child: Child): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      texts[name] += text;
    });
  }
  return new Promise((done) => {
    // A detached grandchild may hold the pipes for longer than the process lives.
    child.once("exit", (code) => setTimeout(() => done({ code, ...texts }), 200));
  });
}
