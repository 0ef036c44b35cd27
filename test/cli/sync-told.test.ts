import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { handIn } from "../../mirror/inbox.ts";
import { newTraceId, withTrace } from "../../mirror/trace.ts";
import { type MirrorWorld, mirrorWorld } from "../e2e/mirror-world.ts";
import { modferry } from "../e2e/modferry-command.ts";
import { describeWithOracle } from "../go-command.ts";
import { prometheusOracle } from "../mirror/prometheus-oracle.ts";
import { requestBody } from "../mirror/request-body.ts";

const TIMEOUT = 120_000;
const WISH = "github.com/BurntSushi/toml@v1.3.2";

describeWithOracle("modferry sync, telling machines what it does", () => {
  let world: MirrorWorld;
  beforeAll(async () => {
    world = await mirrorWorld(["shouting"]);
  }, 300_000);
  afterAll(() => world?.close());

  test(
    "with --log json nothing but log lines stands on stderr, all under one trace; --metrics leaves a page that Prometheus reads",
    async () => {
      const [mirror, folder] = [await world.folder(), await world.folder()];
      const page = join(folder, "told.prom");
      const more = ["--log", "json", "--metrics", page];
      const { code, stderr } = await world.sync(mirror, [WISH, "example.com/none@v1.0.0"], { more });
      // The second is nowhere.
      expect(code).toBe(1);
      const lines = stderr
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      expect(new Set(lines.map(({ trace }) => trace.id)).size).toBe(1);
      expect(new Set(lines.map(({ event }) => event.dataset))).toEqual(new Set(["modferry.sync"]));
      const of = (action: string) => lines.filter(({ event }) => event.action === action);
      expect(of("listed").map(({ labels }) => labels.module_version)).toEqual([WISH]);
      const fetched = of("fetched");
      expect(fetched.length).toBeGreaterThan(0);

      const { error, problems, families } = prometheusOracle()(await readFile(page, "utf8"));
      expect({ error, problems }).toEqual({ error: "", problems: [] });
      const sum = (name: string) =>
        families[name]?.samples.reduce((total, { value }) => total + value, 0) ?? Number.NaN;
      expect(sum("modferry_versions_fetched_total")).toBe(fetched.length);
      const bytes = fetched.reduce((total, { labels }) => total + labels.bytes, 0);
      expect(sum("modferry_fetched_bytes_total")).toBe(bytes);
      expect(sum("modferry_versions_listed_total")).toBe(1);
      expect(sum("modferry_version_failures_total")).toBe(of("failed").length);
      expect(families.modferry_sumdb_tree_size?.samples).toHaveLength(1);
    },
    TIMEOUT,
  );

  test(
    "what was handed in by someone else is worked on under the trace that it came with",
    async () => {
      const [mirror, folder] = [await world.folder(), await world.folder()];
      const config = join(folder, "mirror.json");
      const { url, vkey } = world.upstream;
      await writeFile(
        config,
        JSON.stringify({ name: "desk", upstreams: [{ name: "u", url }], sumdb: [{ key: vkey }] }),
      );
      const stores = await openFolderMirror(mirror, { mode: "write" });
      const trace = newTraceId();
      await withTrace(trace, () =>
        handIn({ vault: stores.vault, now: Date.now }, "ci/app", requestBody({ wishes: [WISH] })),
      );
      await stores.close();
      const { stderr, code } = await modferry([
        ...["sync", "--config", config, "--mirror", mirror, "--once", "--log", "json"],
      ]);
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      const lines = stderr
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      const traced = lines.filter((line) => line.trace.id === trace);
      expect(traced.map(({ event }) => event.action)).toEqual(expect.arrayContaining(["fetched", "listed"]));
    },
    TIMEOUT,
  );
});
