import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { GoClient } from "../go-client.ts";
import { describeWithGo } from "../go-command.ts";
import { cleanUp, goProject } from "../gomod/go-project.ts";
import { random } from "../gomod/module-universe.ts";
import type { ProjectFiles } from "../gomod/project-files.ts";
import { startRecordingProxy } from "../gomod/recording-proxy.ts";
import { releaseUniverse } from "../gomod/release-universe.ts";
import { tidyProject } from "../gomod/tidy-project.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { expectSuccess, type MirrorWorld, mirrorWorld, writeFiles } from "./mirror-world.ts";
import { modferry } from "./modferry-command.ts";

const TIMEOUT = 280_000;
/** Each with another universe: upgrades, retractions, pre-releases, `+incompatible` and pseudo-versions among them. */
const SEEDS = [1, 6, 9];
const COMMANDS = ["list -mod=mod -m -u all", "get -u ./...", "get -u=patch ./..."];

describeWithGo("a mirror synced with --tier upgrade, as a plain tree", () => {
  const folders: string[] = [];
  const folder = async () => {
    const made = await mkdtemp(join(tmpdir(), "modferry-upgrade-"));
    folders.push(made);
    return made;
  };
  afterEach(async () => {
    await cleanUp();
    for (const made of folders.splice(0)) await rm(made, { recursive: true, force: true });
  });

  test.each(SEEDS)(
    "upgrades a random project as upstream does (seed %i)",
    async (seed) => {
      const { modules, files } = releaseUniverse(random(seed));
      const proxy = await startRecordingProxy(files);
      try {
        const project = await tidyProject(modules, proxy, random(seed));
        const [wish, mirror] = [await folder(), await folder()];
        await saveFiles(wish, project);
        const from = ["--upstream", proxy.url, "--no-sumdb", "*", "--mirror", mirror, "--tier", "upgrade"];
        expectSuccess(await modferry(["sync", "go.mod", ...from], { cwd: wish }), "sync --tier upgrade");
        for (const command of COMMANDS) {
          const online = await run(proxy.url, project, command);
          expect([command, await run(`file://${join(mirror, "tree")}`, project, command)]).toEqual([
            command,
            online,
          ]);
        }
      } finally {
        await proxy.close();
      }
    },
    TIMEOUT,
  );
});

/** What a command prints, and what go.mod says then. */
async function run(goproxy: string, files: ProjectFiles, command: string): Promise<string> {
  const project = await goProject(goproxy, files);
  const stdout = await project.go(...command.split(" "));
  return stdout.replaceAll(project.dir, "") + (await readFile(join(project.dir, "go.mod"), "utf8"));
}

async function saveFiles(dir: string, files: ProjectFiles): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
}

const goMod = (...lines: string[]) =>
  `module example.com/upgraded\n\ngo 1.21\n\nrequire (\n${lines.map((line) => `\t${line}\n`).join("")})\n`;
const OLDER = goMod("rsc.io/quote v1.5.1", "rsc.io/sampler v1.3.0", "github.com/BurntSushi/toml v1.3.0");
const NEWER = goMod("rsc.io/quote v1.5.2", "rsc.io/sampler v1.3.1", "github.com/BurntSushi/toml v1.3.2");
const MAIN = `package main

import (
	"github.com/BurntSushi/toml"
	"rsc.io/quote"
)

func main() { println(quote.Hello(), toml.Key{"a"}.String()) }
`;

describeWithGo(
  "a project of public modules, synced with --tier upgrade and proven by a checksum database",
  () => {
    let world: MirrorWorld;
    let project: string;
    beforeAll(async () => {
      const made = await mkdtemp(join(tmpdir(), "modferry-upgrade-"));
      project = join(made, "older");
      for (const [name, text] of [
        ["older", OLDER],
        ["newer", NEWER],
      ] as const) {
        await mkdir(join(made, name));
        await writeFiles(join(made, name), { "go.mod": text, "main.go": MAIN });
      }
      await fillModuleCache(project, join(made, "newer"));
      const modules = [
        "rsc.io/quote@v1.5.1",
        "rsc.io/quote@v1.5.2",
        "rsc.io/sampler@v1.3.0",
        "rsc.io/sampler@v1.3.1",
      ];
      const texts = ["golang.org/x/text@v0.0.0-20170915032832-14c0d48ead0c"];
      const tomls = ["github.com/BurntSushi/toml@v1.3.0", "github.com/BurntSushi/toml@v1.3.2"];
      world = await mirrorWorld([], {
        trees: [await fillModuleCache(project)],
        modules: [...modules, ...texts, ...tomls],
      });
    }, TIMEOUT);
    afterAll(async () => {
      await world?.close();
      if (project !== undefined) await rm(dirname(project), { recursive: true, force: true });
    });

    const upgraded = async (client: GoClient, command: string): Promise<string> => {
      const dir = await client.copyProject(project);
      const { code, stdout, stderr } = await client.run(command.split(" "), { cwd: dir });
      expect(`${code} ${code === 0 ? "" : stderr}`).toBe("0 ");
      const build = await client.run(["build", "-mod=mod", "./..."], { cwd: dir });
      expect(`${build.code} ${build.stderr.replace(/^go: downloading .*\n/gm, "")}`).toBe("0 ");
      return stdout + (await readFile(join(dir, "go.mod"), "utf8"));
    };

    test.each([
      ["list -mod=mod -m -u all", "rsc.io/quote v1.5.1 [v1.5.2]"],
      ["get -u ./...", "rsc.io/sampler v1.3.1"],
      ["get -u=patch ./...", "github.com/BurntSushi/toml v1.3.2"],
      ["get rsc.io/quote@latest", "rsc.io/quote v1.5.2"],
    ])(
      "go %s gives the same as from upstream",
      async (command, expected) => {
        const mirror = await world.synced([join(project, "go.mod")], { more: ["--tier", "upgrade"] });
        const online = await upgraded(await world.client(world.upstream.url), command);
        expect(online).toContain(expected);
        expect(await upgraded(await world.client(`file://${join(mirror, "tree")}`), command)).toBe(online);
      },
      TIMEOUT,
    );

    test(
      "which tier tidy does not: there is nothing to upgrade to",
      async () => {
        const mirror = await world.synced([join(project, "go.mod")]);
        const client = await world.client(`file://${join(mirror, "tree")}`);
        expect(await upgraded(client, "list -mod=mod -m -u all")).not.toContain("[");
      },
      TIMEOUT,
    );
  },
);
