import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ended, modferry, spawnModferry } from "../e2e/modferry-command.ts";

const TIMEOUT = 120_000;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-log-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Each line of a log. @throws where one is no JSON object. */
const linesOf = (stderr: string) =>
  stderr
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test.each([
  ["sync", ["sync", "--log", "json", "--nope"], "--nope"],
  ["sync", ["sync", "--log=json", "--tier", "best", "example.com/a@v1.0.0"], "--tier"],
  ["serve", ["serve", "surplus", "--log", "json"], "surplus"],
  ["status", ["status", "--log", "json"], "--log"],
])(
  "with --log json a misused %s is a line of the log, with exit 2",
  async (verb, args, named) => {
    const { code, stderr } = await modferry(args, { cwd: folder });
    const lines = linesOf(stderr);
    expect([code, lines.length]).toEqual([2, 1]);
    expect(lines[0]).toMatchObject({
      "log.level": "error",
      message: "command is misused",
      event: { action: "command-failed", dataset: `modferry.${verb}` },
      trace: { id: expect.stringMatching(/^[0-9a-f]{32}$/) },
      error: { type: "misuse", message: expect.stringContaining(named) },
    });
  },
  TIMEOUT,
);

test(
  "with --log json a signal is a line of the log, under the trace of the run",
  async () => {
    const asked = Promise.withResolvers<void>();
    const hanging = createServer(() => asked.resolve());
    await new Promise<void>((listening) => hanging.listen(0, "127.0.0.1", listening));
    const upstream = `http://127.0.0.1:${(hanging.address() as AddressInfo).port}`;
    const args = ["sync", "example.com/a@v1.0.0", "--mirror", "stopped", "--upstream", upstream];
    const child = spawnModferry([...args, "--log", "json"], { cwd: folder });
    const run = ended(child);
    await asked.promise;
    child.kill("SIGTERM");
    const { code, stderr } = await run;
    hanging.close();
    hanging.closeAllConnections();
    const lines = linesOf(stderr);
    expect([code, lines.at(-1)]).toEqual([
      143,
      expect.objectContaining({
        "log.level": "warn",
        event: { action: "stopped", dataset: "modferry.sync" },
        labels: { signal: "SIGTERM" },
      }),
    ]);
    expect(lines.at(-1)?.trace.id).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(lines.map(({ trace }) => trace.id)).size).toBe(1);
  },
  TIMEOUT,
);

test(
  "with --log json a feed, or a module of it, that cannot be read is a line with its class, as of the deployed functions",
  async () => {
    // A page in place of a list; an index that is not there.
    const server = createServer((request, response) => {
      if (request.url?.includes("@v/list")) response.end("<html>Please sign in</html>");
      else response.writeHead(404).end();
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const run = async (feeds: object) => {
      const config = join(folder, "mirror.json");
      await writeFile(
        config,
        JSON.stringify({
          name: "desk",
          upstreams: [{ name: "loopback", url }],
          noSumdb: ["*"],
          subscriptions: [{ modules: ["example.com/a"], versions: "all" }],
          feeds,
        }),
      );
      const { code, stderr } = await modferry([
        ...["sync", "--config", config, "--mirror", "fed", "--once", "--log", "json"],
      ]);
      return { code, lines: linesOf(stderr) };
    };
    const index = await run({ indexes: [{ url }] });
    expect([index.code, index.lines]).toEqual([1, expect.anything()]);
    expect(index.lines.find(({ event }) => event.action === "feed-not-read")).toMatchObject({
      "log.level": "error",
      message: "feed could not be read",
      error: { type: "absent", message: expect.stringContaining("does not have it (404") },
      labels: { feed: expect.stringMatching(/./) },
    });
    const polled = await run({ poll: {} });
    expect(polled.code).toBe(1);
    expect(polled.lines.find(({ event }) => event.action === "module-not-polled")).toMatchObject({
      "log.level": "error",
      error: { message: expect.stringContaining("a web page") },
      labels: { module: "example.com/a" },
    });
    for (const { lines } of [index, polled])
      expect(
        lines.filter(({ event, labels }) => event.action === "said" && / feed /.test(labels.text)),
      ).toEqual([]);
    server.close();
    server.closeAllConnections();
  },
  TIMEOUT,
);
