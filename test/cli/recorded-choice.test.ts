import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectSuccess } from "../e2e/mirror-world.ts";
import { describeWithGo } from "../go-command.ts";
import { storedZip } from "../gomod/stored-zip.ts";
import { type RecordedWorld, recordedKeys, recordedWorld } from "./recorded-world.ts";

const TIMEOUT = 240_000;
const RETRACTS = "example.com/retracts";
const UNTAGGED = "example.com/untagged";
const PSEUDO = "v0.0.0-20240101000000-0123456789ab";
const GO_MOD = { "go.mod": "module example.com/chooser\n\ngo 1.21\n" };

/** What go makes of lists, replayed: recording says which versions must be listed for it to choose the same. */
describeWithGo("a recorded choice", () => {
  let tree: string;
  let world: RecordedWorld;
  beforeAll(async () => {
    tree = await mkdtemp(join(tmpdir(), "modferry-choice-"));
    await addModule("example.com/dep", "v1.0.0", "");
    await addModule(RETRACTS, "v0.9.0", "");
    await addModule(RETRACTS, "v1.0.0", "");
    await addModule(
      RETRACTS,
      "v1.1.0",
      "require example.com/dep v1.0.0\n\nretract v1.1.0 // broken\n",
      "example.com/dep",
    );
    await addModule(UNTAGGED, PSEUDO, "");
    world = await recordedWorld([], tree);
  });
  afterAll(async () => {
    await world?.close();
    await rm(tree, { recursive: true, force: true });
  });

  async function addModule(path: string, version: string, lines: string, imports?: string): Promise<void> {
    const goMod = `module ${path}\n\ngo 1.21\n\n${lines}`;
    const name = path.slice(path.lastIndexOf("/") + 1);
    const code = `package ${name}\n${imports === undefined ? "" : `\nimport _ "${imports}"\n`}`;
    const root = `${path}@${version}`;
    const files = new Map([
      [`${root}/go.mod`, goMod],
      [`${root}/${name}.go`, code],
    ]);
    await mkdir(join(tree, path, "@v"), { recursive: true });
    const file = (kind: string) => join(tree, path, "@v", `${version}.${kind}`);
    await writeFile(file("mod"), goMod);
    await writeFile(file("info"), JSON.stringify({ Version: version, Time: "2024-01-01T00:00:00Z" }));
    await writeFile(file("zip"), storedZip(files));
  }

  const goModOf = (dir: string) => readFile(join(dir, "go.mod"), "utf8");

  test(
    "of a module whose highest version retracts itself: the replay chooses the same, and what is listed can be used",
    async () => {
      const get = ["go", "get", `${RETRACTS}@latest`];
      const online = await world.project(GO_MOD);
      expectSuccess(await world.record(online, ["--to", "r.json"], get), "record");
      expect(await goModOf(online)).toContain(`${RETRACTS} v1.0.0`);
      const recording = join(online, "r.json");
      const mirror = await world.synced([recording]);
      expect(await readFile(join(mirror, "tree", RETRACTS, "@v/list"), "utf8")).toBe("v1.0.0\nv1.1.0\n");
      const offline = await world.project(GO_MOD);
      expectSuccess(await world.rehearse(offline, [recording, "--mirror", mirror], get), "replay");
      expect(await goModOf(offline)).toContain(`${RETRACTS} v1.0.0`);

      // Not recorded, but listed: so all that it requires is there as well.
      const main = `package main\n\nimport _ "${RETRACTS}"\n\nfunc main() {}\n`;
      const user = await world.project({ ...GO_MOD, "main.go": main });
      const use = ["sh", "-c", `go get ${RETRACTS}@v1.1.0 && go build -o /dev/null .`];
      expectSuccess(await world.rehearse(user, [recording, "--mirror", mirror], use), "a listed version");
    },
    TIMEOUT,
  );

  test(
    "of a module without releases, which go learns from @latest alone: the replay gets the same pseudo-version",
    async () => {
      const get = ["go", "get", `${UNTAGGED}@latest`];
      const online = await world.project(GO_MOD);
      expectSuccess(await world.record(online, ["--to", "r.json"], get), "record");
      const recording = join(online, "r.json");
      expect(await recordedKeys(recording)).toContain(`${UNTAGGED}/@latest`);
      const mirror = await world.synced([recording]);
      const offline = await world.project(GO_MOD);
      expectSuccess(await world.rehearse(offline, [recording, "--mirror", mirror], get), "replay");
      expect(await goModOf(offline)).toContain(`${UNTAGGED} ${PSEUDO}`);
    },
    TIMEOUT,
  );

  test(
    "what --tier upgrade brought belongs to wishes that are rehearsed with it, and not without",
    async () => {
      const goMod = `${GO_MOD["go.mod"]}\nrequire ${RETRACTS} v0.9.0\n`;
      const main = `package main\n\nimport _ "${RETRACTS}"\n\nfunc main() {}\n`;
      const dir = await world.project({ "go.mod": goMod, "main.go": main });
      const mirror = await world.synced(["go.mod"], { cwd: dir, more: ["--tier", "upgrade"] });
      const flags = ["go.mod", "--mirror", mirror];
      const update = ["go", "get", "-u", "./..."];
      expect((await world.rehearse(dir, flags, update)).stderr).toContain("held, but not for this request");
      await writeFile(join(dir, "go.mod"), goMod);
      const extents = ["--tier", "upgrade", "--graph", "pruned"];
      expectSuccess(await world.rehearse(dir, [...flags, ...extents], update), "rehearse --tier upgrade");
      expect(await goModOf(dir)).toContain(`${RETRACTS} v1.0.0`);
    },
    TIMEOUT,
  );
});
