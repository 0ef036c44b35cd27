import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { modferry } from "../e2e/modferry-command.ts";
import { smallGoproxy } from "../functions/small-goproxy.ts";
import { MadeUpstream } from "../mirror/made-upstream.ts";
import { startIndex } from "../upstream/loopback-index.ts";

const TIMEOUT = 120_000;
const RETRACTS = "module example.com/a\n\ngo 1.16\n\nretract [v1.1.0, v1.2.0]\n";
const VERSIONS = ["v1.0.0", "v1.0.1", "v1.1.0", "v1.2.0"];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-retracted-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** One run of an empty mirror. @returns its list, and how it ended. */
async function once(name: string, url: string, modules: string, feeds: object) {
  const config = join(folder, `${name}.json`);
  await writeFile(
    config,
    JSON.stringify({
      name: "desk",
      upstreams: [{ name: "loopback", url }],
      noSumdb: ["*"],
      subscriptions: [{ modules: [modules], versions: "all", retracted: "skip" }],
      feeds,
    }),
  );
  const mirror = join(folder, name);
  const { code, stderr } = await modferry(["sync", "--config", config, "--mirror", mirror, "--once"]);
  const list = await readFile(join(mirror, "tree/example.com/a/@v/list"), "utf8").catch(() => "");
  return { code, stderr, list };
}

test(
  "one run brings all that a module's highest version does not retract: polled, named beside an index, or of an index",
  async () => {
    const made = new MadeUpstream();
    for (const version of VERSIONS) made.add(`example.com/a@${version}`, { text: RETRACTS });
    await using goproxy = await smallGoproxy(made);
    const stamp = (at: number) => new Date(Date.now() - 60_000 + at).toISOString().replace("Z", "000Z");
    const index = await startIndex();
    try {
      const indexes = [{ url: index.url }];
      const runs = {
        polled: await once("polled", goproxy.url, "example.com/a", { poll: {} }),
        named: await once("named", goproxy.url, "example.com/a", { indexes }),
        indexed: await (async () => {
          for (const [at, Version] of VERSIONS.entries())
            index.lines.push({ Path: "example.com/a", Version, Timestamp: stamp(at) });
          return await once("indexed", goproxy.url, "example.com/*", { indexes });
        })(),
      };
      for (const [name, { code, stderr, list }] of Object.entries(runs))
        expect([name, code, list], stderr).toEqual([name, 0, "v1.0.0\nv1.0.1\nv1.2.0\n"]);
    } finally {
      await index.close();
    }
  },
  TIMEOUT,
);
