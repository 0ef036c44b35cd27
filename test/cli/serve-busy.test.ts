import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pLimit from "p-limit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { type MirrorWorld, mirrorWorld } from "../e2e/mirror-world.ts";
import { serveMirror } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { rawRequest } from "./raw-http.ts";

const TIMEOUT = 120_000;
const TOML = "/github.com/!burnt!sushi/toml";
const ZIP = `${TOML}/@v/v1.3.2.zip`;

describeWithGo("a busy modferry serve", () => {
  let world: MirrorWorld;
  beforeAll(async () => {
    world = await mirrorWorld(["shouting", "legacy"], { synthetic: 3_000 });
  });
  afterAll(() => world?.close());

  test(
    "many at once, some of which go away in the middle, all get what they asked for",
    async () => {
      const mirror = await world.synced(["github.com/BurntSushi/toml@v1.3.2"]);
      const served = await serveMirror(mirror);
      const database = world.upstream.sumdbName;
      const get = (path: string) => rawRequest(served.url, path);
      const file = (path: string) => readFile(join(mirror, "tree", path));
      const paths = [ZIP, `${TOML}/@v/list`, `/sumdb/${database}/latest`, "/example.com/none/@v/list"];
      const expected = await Promise.all(paths.slice(0, 3).map(file));
      const limit = pLimit(48);
      const quitters = Array.from({ length: 20 }, () =>
        limit(async () => {
          const abort = new AbortController();
          const reply = await fetch(served.url + ZIP, { signal: abort.signal });
          abort.abort();
          return reply.status;
        }),
      );
      const replies = await Promise.all(
        Array.from({ length: 400 }, (_, n) =>
          limit(async () => ({ n, reply: await get(paths[n % 4] ?? "") })),
        ),
      );
      for (const { n, reply } of replies) {
        expect(reply.status).toBe(n % 4 === 3 ? 404 : 200);
        if (n % 4 !== 3) expect(reply.body.equals(expected[n % 4] ?? Buffer.alloc(0))).toBe(true);
      }
      expect(new Set(await Promise.all(quitters))).toEqual(new Set([200]));
      await served.stop();
    },
    TIMEOUT,
  );

  test(
    "while a sync writes, a reader sees whole files or none, and all that a list names",
    async () => {
      const fresh = join(await world.folder(), "mirror");
      await (await openFolderMirror(fresh, { mode: "write" })).close();
      const reading = await serveMirror(fresh);
      const project = join(import.meta.dirname, "../e2e/projects/legacy");
      const sums = (await readFile(join(project, "go.sum"), "utf8")).trimEnd().split("\n");
      const zips = sums
        .map((line) => line.split(" "))
        .filter(([, version]) => !version?.endsWith("/go.mod"))
        .map(([path = "", version]) => ({
          path: escapedPath(path),
          name: `/${escapedPath(path)}/@v/${version}`,
        }));
      const truth = new Map<string, Buffer>();
      const syncing = world.sync(fresh, [join(project, "go.mod")]);
      let over = false;
      const ended = syncing.finally(() => {
        over = true;
      });
      let whole = 0;
      let absent = 0;
      let listed = 0;
      do {
        for (const { path, name } of zips) {
          const list = await rawRequest(reading.url, `/${path}/@v/list`);
          for (const version of list.status === 200 ? list.body.toString().split("\n").slice(0, -1) : []) {
            listed++;
            for (const suffix of ["info", "mod", "zip"]) {
              const found = await rawRequest(reading.url, `/${path}/@v/${version}.${suffix}`, {
                method: "HEAD",
              });
              expect(found.status, `${path} lists ${version}: .${suffix}`).toBe(200);
            }
          }
          for (const suffix of [".mod", ".zip"]) {
            const reply = await rawRequest(reading.url, name + suffix);
            expect([200, 404, 503], name + suffix).toContain(reply.status);
            if (reply.status !== 200) {
              absent++;
              continue;
            }
            whole++;
            const expected =
              truth.get(name + suffix) ?? (await rawRequest(world.upstream.url, name + suffix)).body;
            truth.set(name + suffix, expected);
            expect(reply.body.equals(expected), name + suffix).toBe(true);
          }
        }
      } while (!over);
      const run = await ended;
      expect(run.code, run.stderr).toBe(0);
      await reading.stop();
      expect(whole).toBeGreaterThan(0);
      expect(absent, "the reader was there before the writer had ended").toBeGreaterThan(0);
      console.log(
        `serve: ${whole} whole files, ${absent} not there yet, ${listed} listed versions while a sync wrote`,
      );
    },
    TIMEOUT,
  );
});

const escapedPath = (text: string) => text.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
