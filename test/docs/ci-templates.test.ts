import { execFile } from "node:child_process";
import { chmod, cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type MirrorWorld, mirrorWorld } from "../e2e/mirror-world.ts";
import {
  type CommandRun,
  commandEnvironment,
  ended,
  type ServedMirror,
  serveMirror,
  spawnModferry,
} from "../e2e/modferry-command.ts";
import type { GoClient } from "../go-client.ts";
import { describeWithGo } from "../go-command.ts";
import { ciSteps } from "./ci-steps.ts";

const TIMEOUT = 280_000;
const TOKEN = "the-token-of-CI";
const folder = resolve(import.meta.dirname, "../../docs/ci");
const command = resolve(import.meta.dirname, "../../cli/modferry.ts");

const templateOf = (file: string) => readFile(join(folder, file), "utf8");

/** What the CI system itself sets, and a repository whose name is no request's as it stands. */
const ciVariables = (checkout: string): Record<string, string> => ({
  CI_PROJECT_DIR: checkout,
  CI_PROJECT_PATH_SLUG: "team-shouting",
  GITHUB_REPOSITORY: "Team/Shouting",
});

describe("the templates of docs/ci", () => {
  test("are all run by the tests below", async () => {
    const files = (await readdir(folder)).filter((file) => file.endsWith(".yml"));
    expect(files.sort()).toEqual([...REQUESTING, ...EMBEDDED].sort());
  });

  test("name no host but examples, and put nothing from outside into a script", async () => {
    for (const file of [...REQUESTING, ...EMBEDDED]) {
      const text = await templateOf(file);
      for (const [, host = ""] of text.matchAll(/https?:\/\/([^/\s"]+)/g)) expect(host).toMatch(/\.example$/);
      // GitHub pastes an expression's value into the shell's text.
      for (const { script } of ciSteps(text)) expect(script).not.toContain("{{");
    }
  });

  test.each([
    ["a list in one line", "# GitLab\nbuild:\n  script: [go build]\n"],
    ["a line that YAML reads otherwise", '# GitLab\nbuild:\n  script:\n    - echo "a: b"\n'],
    [
      "a run that is no block",
      "# GitHub\njobs:\n  build:\n    steps:\n      - name: a\n        run: go build\n",
    ],
  ])("%s is an error of the extraction, not a step that is left out", (_what, text) => {
    expect(() => ciSteps(text)).toThrow();
  });
});

const REQUESTING = ["gitlab-ci.yml", "github-actions.yml"];
const EMBEDDED = ["gitlab-ci-embedded.yml", "github-actions-embedded.yml"];

describeWithGo("a CI job by the templates of docs/ci", () => {
  let world: MirrorWorld;
  let bin: string;
  let stopWriter: (() => Promise<unknown>) | undefined;
  let served: ServedMirror | undefined;

  beforeAll(async () => {
    world = await mirrorWorld(["shouting"]);
    bin = await installedModferry();
    const mirror = await world.folder();
    const config = join(await world.folder(), "mirror.json");
    const { url, vkey } = world.upstream;
    const upstreams = [{ name: "loopback", url }];
    await writeFile(
      config,
      JSON.stringify({ name: "ci", upstreams, sumdb: [{ key: vkey }], sumdbTiles: "needed" }),
    );
    served = undefined;
    const writer = spawnModferry(["sync", "--config", config, "--mirror", mirror, "--every", "1h"]);
    const written = ended(writer);
    stopWriter = () => {
      writer.kill("SIGTERM");
      return written;
    };
    served = await serveWhenMade(mirror);
  }, TIMEOUT);
  afterAll(async () => {
    await served?.stop();
    await stopWriter?.();
    await world?.close();
  });

  /** `modferry` on PATH. The templates are for the public database; here each sync is told of the private one. */
  async function installedModferry(): Promise<string> {
    const made = await world.folder();
    const file = join(made, "modferry");
    const more = `case "$1" in sync) set -- "$@" --sumdb '${world.upstream.vkey}' ;; esac`;
    await writeFile(file, `#!/bin/sh\n${more}\nexec '${process.execPath}' '${command}' "$@"\n`);
    await chmod(file, 0o755);
    return made;
  }

  /** The writer makes the folder; until then there is nothing to serve. */
  async function serveWhenMade(mirror: string): Promise<ServedMirror> {
    for (let tries = 0; ; tries++) {
      try {
        return await serveMirror(mirror, [], { env: { MODFERRY_TOKEN: TOKEN } });
      } catch (error) {
        if (tries === 50) throw error;
        await new Promise((wait) => setTimeout(wait, 200));
      }
    }
  }

  /** Runs a template's steps in a checkout as a runner does, until one fails. */
  async function runJob(
    file: string,
    client: GoClient,
    checkout: string,
    set: Readonly<Record<string, string>>,
  ): Promise<CommandRun> {
    const all = { code: 0, stdout: "", stderr: "" };
    const own = ciVariables(checkout);
    for (const { variables, script } of ciSteps(await templateOf(file))) {
      const expanded = Object.entries(variables).map(([name, value]) => [
        name,
        value.replace(/^\$(CI_PROJECT_DIR)\b/, checkout),
      ]);
      const env = {
        ...commandEnvironment(client.env),
        ...own,
        ...Object.fromEntries(expanded),
        ...set,
        PATH: `${bin}:${process.env.PATH ?? ""}`,
      };
      const run = await shell(script, checkout, env);
      all.stdout += run.stdout;
      all.stderr += run.stderr;
      if (run.code !== 0) return { ...all, code: run.code };
    }
    return all;
  }

  /** As the runners of both run a script: bash that ends with the first line that fails. */
  function shell(script: string, cwd: string, env: Record<string, string>): Promise<CommandRun> {
    return new Promise((done) => {
      const args = ["--noprofile", "--norc", "-eo", "pipefail", "-c", script];
      execFile("bash", args, { cwd, env, timeout: TIMEOUT }, (error, stdout, stderr) => {
        done({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
      });
    });
  }

  test.each(REQUESTING)(
    "%s: hands in what the build needs, waits, and builds from the mirror alone",
    async (file) => {
      const client = await world.client("off");
      const checkout = await client.copyProject("shouting");
      const set = { GOPROXY: served?.url ?? "", MODFERRY_TOKEN: TOKEN };
      const run = await runJob(file, client, checkout, set);
      expect([run.code, run.stderr]).toEqual([0, expect.stringMatching(/: served, \d+ module versions/)]);
      expect(run.stderr).toMatch(/modferry: team[-/]shouting\/\d{8}T\d{9}Z/);
      expect(run.stdout).toContain("example.com/shouting");
    },
    TIMEOUT,
  );

  test.each(REQUESTING)(
    "%s: ends before the build with what cannot be had, and why",
    async (file) => {
      const client = await world.client("off");
      const checkout = await client.copyProject("shouting");
      const goMod = join(checkout, "go.mod");
      const text = await readFile(goMod, "utf8");
      await writeFile(goMod, text.replace("BurntSushi/toml v1.3.2", "BurntSushi/toml v1.99.0"));
      const set = { GOPROXY: served?.url ?? "", MODFERRY_TOKEN: TOKEN };
      const run = await runJob(file, client, checkout, set);
      expect(run.code).toBe(1);
      expect(run.stderr).toMatch(/toml@v1\.99\.0 +GONE/);
      expect(run.stderr).not.toContain("go: ");
      const stranger = await runJob(file, client, checkout, { ...set, MODFERRY_TOKEN: "" });
      expect([stranger.code, stranger.stderr]).toEqual([
        2,
        expect.stringContaining("MODFERRY_TOKEN: not set"),
      ]);
    },
    TIMEOUT,
  );

  test.each(EMBEDDED)(
    "%s: fills a mirror of its own, and from its cache fetches nothing a second time",
    async (file) => {
      const client = await world.client("off");
      const checkout = await client.copyProject("shouting");
      const set = { UPSTREAM: world.upstream.url };
      const first = await runJob(file, client, checkout, set);
      expect([first.code, first.stdout]).toEqual([0, expect.stringContaining("example.com/shouting")]);

      // Another runner: a fresh checkout, no module cache, and what the CI kept of the mirror.
      const cache = join(await world.folder(), "cache");
      await cp(join(checkout, ".modferry-mirror"), cache, { recursive: true });
      const other = await world.client("off");
      const again = await other.copyProject("shouting");
      await mkdir(join(again, ".modferry-mirror"));
      await cp(cache, join(again, ".modferry-mirror"), { recursive: true });
      await world.upstream.reset();
      const second = await runJob(file, other, again, set);
      expect([second.code, second.stderr]).toEqual([0, expect.any(String)]);
      const { kinds } = await world.upstream.counts();
      expect([kinds.zip, kinds.mod, kinds.info]).toEqual([undefined, undefined, undefined]);
    },
    TIMEOUT,
  );
});
