import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pLimit from "p-limit";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RequestBody } from "../../mirror/requests.ts";
import { parseTreeKey, type TreeKey } from "../../mirror/tree-keys.ts";
import { describeWithEmulator, stopEmulator } from "../contract/ministack.ts";
import { describeWithGo } from "../go-command.ts";
import { sampleProjects } from "../upstream/sample-projects.ts";
import { type DeployedWorld, deployedWorld } from "./deployed-world.ts";
import { allSucceed, type MirrorWorld, mirrorWorld, moduleFiles } from "./mirror-world.ts";

/** A direct requirement of each sample project, handed in as a wish of its own, for `go get`. */
const ROOTS: Readonly<Record<string, string>> = {
  modern: "github.com/go-chi/chi/v5@v5.0.12",
  legacy: "github.com/gofrs/uuid@v4.4.0+incompatible",
  shouting: "github.com/BurntSushi/toml@v1.3.2",
};
/** Alone on two cores a minute; suites share them. */
const DEPLOY_TIMEOUT = 900_000;
const PROJECT_TIMEOUT = 600_000;
const REQUESTS_AT_ONCE = 8;
/** All that a tree holds. */
const KINDS = ["list", "latest", "info", "mod", "zip", "lookup", "tile", "treeHead", "supported"];

const projects = sampleProjects();

describeWithGo("the deployed mirror, with no other source and GOSUMDB on", () => {
  describeWithEmulator("in an emulator", () => {
    let source: MirrorWorld;
    let world: DeployedWorld;

    beforeAll(async () => {
      source = await mirrorWorld(projects.map(({ name }) => name));
      world = await deployedWorld({ url: source.upstream.url, sumdb: [{ key: source.upstream.vkey }] });
      const done = await Promise.all(
        projects.map(async ({ name, dir }) =>
          world.request({ files: await filesOf(name, dir), wishes: [ROOTS[name] ?? ""] }),
        ),
      );
      expect(done.map(({ record, missing }) => [record.state, missing])).toEqual(
        projects.map(() => ["DONE", []]),
      );
    }, DEPLOY_TIMEOUT);
    afterAll(async () => {
      await source?.close();
      await world?.close();
      await stopEmulator();
    });

    test.each(projects)(
      "$name: every go command succeeds from empty caches",
      async ({ name }) => {
        const client = await source.client(world.goproxy);
        const copy = await client.copyProject(name);
        const before = await moduleFiles(copy);
        // Each by itself first: what an earlier one has downloaded must not help the next.
        for (const command of ["mod tidy", `get ${ROOTS[name]}`, "list -m all"]) {
          await client.clearModCache();
          await allSucceed(client, copy, [command]);
          expect(await moduleFiles(copy), `after go ${command}`).toEqual(before);
        }
        await client.clearModCache();
        const commands = ["mod download all", "build ./...", "vet ./...", "mod verify", "mod vendor"];
        await allSucceed(client, copy, commands);
      },
      PROJECT_TIMEOUT,
    );

    test(
      "every file of the tree comes through the API byte for byte, zips and tiles as upstream has them",
      async () => {
        const kinds = new Map<string, number>();
        const limit = pLimit(REQUESTS_AT_ONCE);
        const compared: Promise<void>[] = [];
        for await (const { key, size } of world.mirror.tree.keys()) {
          const kind = parseTreeKey(key)?.kind ?? "no key of a tree";
          kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
          const compare = async () => {
            const stored = await world.mirror.tree.get(key as TreeKey, size);
            const served = await get(world.goproxy, key);
            expect(served.equals(stored?.bytes ?? Buffer.of()), key).toBe(true);
            if (!["zip", "tile", "mod"].includes(kind)) return;
            const upstreams = await get(source.upstream.url, key);
            expect(served.equals(upstreams), `${key}: as upstream has it`).toBe(true);
          };
          compared.push(limit(compare));
        }
        await Promise.all(compared);
        for (const kind of KINDS) expect([kind, (kinds.get(kind) ?? 0) > 0]).toEqual([kind, true]);
        expect([...kinds.keys()]).not.toContain("no key of a tree");
      },
      PROJECT_TIMEOUT,
    );

    test(
      "lists name each wish, and nothing that cannot be fetched whole",
      async () => {
        const listed: string[] = [];
        for await (const { key } of world.mirror.tree.keys()) {
          const entry = parseTreeKey(key);
          if (entry?.kind !== "list") continue;
          for (const version of (await get(world.goproxy, key)).toString().split("\n").filter(Boolean)) {
            listed.push(`${entry.path}@${version}`);
            const base = key.slice(0, -"list".length);
            for (const file of ["info", "mod", "zip"])
              await get(world.goproxy, `${base}${escaped(version)}.${file}`);
          }
        }
        expect(listed).toEqual(expect.arrayContaining(Object.values(ROOTS)));
      },
      PROJECT_TIMEOUT,
    );

    test.each(Object.values(ROOTS))(
      "%s is @latest, and can be had in an empty module",
      async (root) => {
        const client = await source.client(world.goproxy);
        const [path = ""] = root.split("@");
        const latest = `get ${path}@latest`;
        await allSucceed(client, client.home, ["mod init example.com/empty", latest, "mod download all"]);
        const goMod = await readFile(join(client.home, "go.mod"), "utf8");
        expect(goMod).toContain(root.replace("@", " "));
      },
      PROJECT_TIMEOUT,
    );

    test(
      "what upstream does not have makes its request INCOMPLETE, and the rest is served",
      async () => {
        const wishes = ["example.com/nowhere@v1.0.0", ROOTS.shouting ?? ""];
        const { record, missing } = await world.request({ wishes });
        expect([record.state, record.missing, missing.map(({ subject, state }) => [subject, state])]).toEqual(
          ["INCOMPLETE", 1, [["example.com/nowhere@v1.0.0", "GONE"]]],
        );
      },
      PROJECT_TIMEOUT,
    );

    test(
      "a go.mod that does not parse is REFUSED with file, line and column",
      async () => {
        const { record } = await world.request({
          files: { "go.mod": "module example.com/m\n\nrequire x\n" },
        });
        expect([record.state, record.error]).toEqual([
          "REFUSED",
          expect.stringMatching(/^go\.mod:3(:\d+)?: /),
        ]);
      },
      PROJECT_TIMEOUT,
    );

    test(
      "deploying it once more finds nothing to do",
      async () => {
        expect(await world.deployAgain()).toBe(false);
      },
      PROJECT_TIMEOUT,
    );

    test("no call of a function has failed for good: the dead-letter queues are empty", async () => {
      expect(await world.deadLetters()).toEqual({
        "modferry-inbox-dead": 0,
        "modferry-fresh-dead": 0,
        "modferry-backfill-dead": 0,
      });
    });
  });
});

async function filesOf(name: string, dir: string): Promise<RequestBody["files"]> {
  const names = ["go.mod", "go.sum"];
  const texts = names.map(
    async (file) => [`${name}/${file}`, await readFile(join(dir, file), "utf8")] as const,
  );
  return Object.fromEntries(await Promise.all(texts));
}

/** With an Accept header that matches everything; the go command sends none. */
async function get(base: string, path: string): Promise<Buffer> {
  const reply = await fetch(`${base}/${path}`, { headers: { Accept: "*/*" } });
  const body = Buffer.from(await reply.arrayBuffer());
  if (!reply.ok) throw new Error(`${path}: ${reply.status} ${body.toString().slice(0, 200)}`);
  return body;
}

function escaped(version: string): string {
  return version.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}
