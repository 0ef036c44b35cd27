import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { type CommandOptions, ended, serveMirror, spawnModferry } from "../e2e/modferry-command.ts";
import { misuseOf, NOWHERE } from "./misused.ts";

const TIMEOUT = 120_000;
/** Far below any time-out of the upstream adapter, far above what a loaded machine needs, in ms. */
const PROMPT = 10_000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-cli-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const misused = (args: readonly string[], options: CommandOptions = {}) =>
  misuseOf(args, { cwd: folder, ...options });

describe("an upstream that is the mirror itself", () => {
  test(
    "is refused as its folder, by whatever path, and as `modferry serve` of it, given or from GOPROXY",
    async () => {
      const mirror = join(folder, "self");
      await (await openFolderMirror(mirror, { mode: "write" })).close();
      const served = await serveMirror(mirror);
      try {
        for (const args of [
          ["--upstream", `file://${mirror}/tree`, "--mirror", mirror],
          ["--upstream", `file://${mirror}/tree`, "--mirror", "self"],
          ["--upstream", served.url, "--mirror", "self"],
          ["--upstream", served.url.replace("127.0.0.1", "localhost"), "--mirror", "self"],
        ])
          expect(await misused(["sync", "example.com/a@v1.0.0", ...args])).toMatch(/^--upstream: .*mirror/);
        const env = { GOPROXY: `${served.url},direct` };
        const line = await misused(["sync", "example.com/a@v1.0.0", "--mirror", "self"], { env });
        expect(line).toMatch(/^--upstream: .*mirror.*; name another one with --upstream URL/);
      } finally {
        await served.stop();
      }
    },
    TIMEOUT,
  );
});

describe("a second writer", () => {
  test(
    "gets one line that names the holder, and exit 2, at once",
    async () => {
      const mirror = join(folder, "locked");
      const holder = await openFolderMirror(mirror, { mode: "write" });
      const line = await misused(["sync", "example.com/a@v1.0.0", ...NOWHERE, "--mirror", "locked"]);
      await holder.close();
      expect(line).toMatch(
        new RegExp(`^locked is being written by pid ${process.pid} on .*; wait for it or stop it`),
      );
    },
    TIMEOUT,
  );
});

describe("a signal", () => {
  test.each<[NodeJS.Signals, number]>([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ])(
    "%s ends a sync whose upstream hangs at once, with %i and a line",
    async (signal, status) => {
      const asked = Promise.withResolvers<void>();
      const hanging = createServer(() => asked.resolve());
      await new Promise<void>((listening) => hanging.listen(0, "127.0.0.1", listening));
      const upstream = `http://127.0.0.1:${(hanging.address() as AddressInfo).port}`;
      const args = ["sync", "example.com/a@v1.0.0", "--mirror", `stopped-${signal}`, "--upstream", upstream];
      const child = spawnModferry(args, { cwd: folder });
      const run = ended(child);
      await asked.promise;
      const at = performance.now();
      child.kill(signal);
      const { code, stderr } = await run;
      expect(performance.now() - at).toBeLessThan(PROMPT);
      expect([code, stderr]).toEqual([status, `modferry: stopped by ${signal}; run it again to go on\n`]);
      // The lock went with the process.
      await (await openFolderMirror(join(folder, `stopped-${signal}`), { mode: "write" })).close();
      hanging.close();
      hanging.closeAllConnections();
    },
    TIMEOUT,
  );
});
