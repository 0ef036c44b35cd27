import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MemoryLedger } from "../../../adapters/local/memory-ledger.ts";
import { MemoryTree } from "../../../adapters/local/memory-tree.ts";
import { type OpenedUpstream, openUpstream } from "../../../adapters/upstream/open-upstream.ts";
import { openTileSources } from "../../../adapters/upstream/tile-sources.ts";
import { gateOf } from "../../../adapters/upstream/upstream-gates.ts";
import { moduleVersion } from "../../../gomod/version.ts";
import type { MirrorEvent } from "../../../mirror/events.ts";
import { parseHostState } from "../../../mirror/throttle.ts";
import { stoppedUpstreams } from "../../../mirror/upstream-stop.ts";
import { tilePath } from "../../../sumdb/tile.ts";
import { openTreeHead } from "../../../sumdb/tree-head.ts";
import { PrivateDatabase } from "../../mirror/private-database.ts";
import {
  type FaultServer,
  mirrorError,
  ok,
  other,
  otherPath,
  quickTools,
  sample,
  samplePath,
  startFaultServer,
  status,
} from "./fault-server.ts";

const third = moduleVersion("example.com/third", "v1.0.0");
const fourth = moduleVersion("example.com/fourth", "v1.0.0");
const fine = ok("module example.com/x\n");
let server: FaultServer;
let ledger: MemoryLedger;
let calls: number;
let events: MirrorEvent[];
let tools: ReturnType<typeof quickTools>;
const opened: OpenedUpstream[] = [];

beforeEach(async () => {
  server = await startFaultServer(status(403));
  ledger = new MemoryLedger();
  calls = 0;
  events = [];
  tools = quickTools();
});
afterEach(async () => {
  for (const upstream of opened.splice(0)) await upstream.close();
  await server.close();
});

/** A process of its own, such as a function that was started a moment ago. No checksum database is asked through it. */
function cold(path = ""): OpenedUpstream {
  const counted = {
    readItem: (...asked: Parameters<MemoryLedger["readItem"]>) => {
      calls++;
      return ledger.readItem(...asked);
    },
    writeItem: (...asked: Parameters<MemoryLedger["writeItem"]>) => {
      calls++;
      return ledger.writeItem(...asked);
    },
  };
  const url = server.url + path;
  const gate = gateOf(url, undefined, {
    ledger: counted,
    now: tools.clock,
    report: (event) => events.push(event),
  });
  const upstream = openUpstream(url, { tools, ...(gate && { gate }) });
  opened.push(upstream);
  return upstream;
}

const host = () => new URL(server.url).host;
const hostState = async () => parseHostState((await ledger.readItem("upstream", host()))?.value);

describe("an upstream without a checksum database, asked by processes that have only just begun", () => {
  test("and refuses all that it served before, as with a token that has run out, is stopped by the first that meets it", async () => {
    server.answers.set(`${otherPath}.mod`, fine);
    await cold().mod(other);
    server.answers.clear();
    const error = await mirrorError(cold().mod(sample));
    expect([error.class, error.message]).toEqual([
      "stopped",
      expect.stringContaining("refuses everything (403"),
    ]);
    expect(await stoppedUpstreams(ledger)).toHaveLength(1);
    expect(events.map(({ event }) => event)).toEqual(["upstream-stopped"]);
    const asked = server.asked.length;
    expect((await mirrorError(cold().mod(third))).class).toBe("stopped");
    expect(server.asked).toHaveLength(asked);
  });

  test("and refuses one module while it serves what it served before, withholds that one", async () => {
    server.answers.set(`${otherPath}.mod`, fine);
    await cold().mod(other);
    expect((await mirrorError(cold().mod(sample))).class).toBe("withheld");
    expect(await stoppedUpstreams(ledger)).toEqual([]);
  });

  test("and whose very first file is refused, is not stopped: it goes on with what else is asked of it", async () => {
    for (let tries = 0; tries < 5; tries++) {
      expect((await mirrorError(cold().mod(sample))).class).toBe("transient");
      await tools.sleep(3_600_000);
    }
    expect(await stoppedUpstreams(ledger)).toEqual([]);
    server.answers.set(`${otherPath}.mod`, fine);
    await cold().mod(other);
    expect((await mirrorError(cold().mod(sample))).class).toBe("withheld");
  });

  test("and refuses three different modules and serves nothing, is stopped; and goes on when it serves", async () => {
    const classes: string[] = [];
    for (const version of [sample, other, third])
      classes.push((await mirrorError(cold().mod(version))).class);
    expect(classes).toEqual(["transient", "transient", "stopped"]);
    server.answers.set(`${otherPath}.mod`, fine);
    expect((await mirrorError(cold().mod(other))).class).toBe("stopped");
    await tools.sleep(301_000);
    await cold().mod(other);
    expect(await stoppedUpstreams(ledger)).toEqual([]);
    // Of those that it really keeps back it is known now that others are served.
    for (const version of [sample, third, fourth])
      expect((await mirrorError(cold().mod(version))).class).toBe("withheld");
    expect(await stoppedUpstreams(ledger)).toEqual([]);
  });

  test("and whose known file is gone, learns another one before it condemns anybody", async () => {
    server.answers.set(`${otherPath}.mod`, fine);
    await cold().mod(other);
    server.answers.set(`${otherPath}.mod`, status(404));
    expect((await mirrorError(cold().mod(sample))).class).toBe("transient");
    server.answers.set("/example.com/third/@v/v1.0.0.mod", fine);
    await cold().mod(third);
    expect((await mirrorError(cold().mod(sample))).class).toBe("withheld");
  });

  test("costs the ledger four calls more, once for ever, and none while it serves", async () => {
    server.answers.set(`${otherPath}.mod`, fine);
    const first = cold();
    await Promise.all(Array.from({ length: 20 }, () => first.mod(other)));
    const begun = calls;
    expect(begun).toBeLessThanOrEqual(5);
    const next = cold();
    for (let at = 0; at < 20; at++) await next.mod(other);
    expect(calls - begun).toBe(1);
  });

  test("has a stop of its own beside others on its host", async () => {
    for (const path of ["/api/a", "/api/b", "/api/c", "/api/d", "/api/e"]) {
      server.answers.set(`${path}${otherPath}.mod`, status(401));
      expect((await mirrorError(cold(path).mod(other))).class).toBe("stopped");
    }
    expect((await stoppedUpstreams(ledger)).map(({ path }) => path)).toEqual([
      "/api/a",
      "/api/b",
      "/api/c",
      "/api/d",
      "/api/e",
    ]);
    server.answers.set(`/api/f${otherPath}.mod`, fine);
    await cold("/api/f").mod(other);
  });
});

describe("a process that serves, with an upstream for missing tiles", () => {
  const log = new PrivateDatabase("sum.example.org");
  log.grow(600);
  const head = openTreeHead(log.head(600), log.verifier);
  const tile = { level: 0, index: 1, width: 256 };

  test.each([
    ["through the upstream", ""],
    ["at the database's own address", "/db"],
  ])("asks nothing for a tile while its host is stopped, %s", async (_name, own) => {
    const prefix = own === "" ? `/sumdb/${log.verifier.name}` : own;
    for (const [level, index, width] of [
      [0, 1, 256],
      [0, 0, 256],
      [0, 2, 88],
      [1, 0, 2],
    ] as const)
      server.answers.set(
        `${prefix}/${tilePath({ level, index, width })}`,
        ok(log.tile({ level, index, width })),
      );
    const sources = openTileSources({
      url: server.url,
      sumdbs: [{ verifier: log.verifier, url: own === "" ? undefined : server.url + own }],
      tree: new MemoryTree(),
      ledger,
      now: tools.clock,
    });
    const missing = sources.missingTiles(log.verifier.name);
    server.answers.set(`${own}${otherPath}.mod`, status(401));
    expect((await mirrorError(cold(own).mod(other))).class).toBe("stopped");
    server.asked.length = 0;
    expect((await mirrorError(Promise.resolve(missing?.get(tile, head)))).class).toBe("transient");
    expect(server.asked).toEqual([]);
    // It goes on as soon as the workers do.
    server.answers.set(`${own}${otherPath}.mod`, fine);
    await tools.sleep(301_000);
    await cold(own).mod(other);
    expect(await missing?.get(tile, head)).toBe("stored");
    await sources.close();
  });
});

describe("whose fault it is", () => {
  test.each([
    ["502 to everything", status(502)],
    ["503 to everything", status(503)],
    ["every connection cut", (_: unknown, response: { destroy(): void }) => response.destroy()],
  ])("%s is the host's: it is noted as down, and as answering again", async (_name, answer) => {
    server.answers.set(`${otherPath}.mod`, fine);
    const upstream = cold();
    await upstream.mod(other);
    server.answers.set(`${otherPath}.mod`, answer).set(`${samplePath}.zip`, answer);
    const error = await mirrorError(upstream.zip(sample));
    expect([error.class, error.ofHost]).toEqual(["transient", true]);
    expect((await hostState()).downSince).toBeGreaterThan(0);
    await tools.sleep(700_000);
    server.answers.set(`${otherPath}.mod`, fine);
    await upstream.mod(other);
    expect(await hostState()).toMatchObject({ downSince: 0, recovered: tools.clock() });
  });

  test("502 to one file while another is served is that file's", async () => {
    server.answers.set(`${otherPath}.mod`, fine).set(`${samplePath}.zip`, status(502));
    const upstream = cold();
    await upstream.mod(other);
    const error = await mirrorError(upstream.zip(sample));
    expect([error.class, error.ofHost]).toEqual(["transient", false]);
    expect((await hostState()).downSince).toBe(0);
  });

  test("a refused connection is the host's, and so is 429", async () => {
    server.answers.set(`${otherPath}.mod`, fine);
    server.answers.set(`${samplePath}.zip`, status(429, "", { "retry-after": "3600" }));
    const upstream = cold();
    await upstream.mod(other);
    expect((await mirrorError(upstream.zip(sample))).ofHost).toBe(true);
    await server.close();
    await tools.sleep(3_601_000);
    expect((await mirrorError(cold().mod(other))).ofHost).toBe(true);
    expect((await hostState()).downSince).toBeGreaterThan(0);
    server = await startFaultServer();
  });
});
