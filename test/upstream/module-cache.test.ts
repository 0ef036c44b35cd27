import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { goClient } from "../go-client.ts";
import { describeWithGo } from "../go-command.ts";
import { fillModuleCache } from "./module-cache.ts";
import { sampleProjects } from "./sample-projects.ts";

const QUICK_MS = 500;
/** On two cores shared with other suites; alone it takes 2 s. */
const DOWNLOAD_MS = 120_000;

describeWithGo("the tests' module cache", () => {
  test(
    "is a file:// GOPROXY that holds all of a project",
    async () => {
      const tree = await fillModuleCache("legacy");
      const client = await goClient({ goproxy: `file://${tree}`, gosumdb: "off" });
      try {
        const cwd = await client.copyProject("legacy");
        expect(await client.run(["mod", "download", "all"], { cwd })).toMatchObject({ code: 0 });
      } finally {
        await client.dispose();
      }
    },
    DOWNLOAD_MS,
  );

  test("does nothing when it is filled", async () => {
    const names = sampleProjects().map(({ name }) => name);
    await fillModuleCache(...names);
    const start = Date.now();
    await fillModuleCache(...names);
    expect(Date.now() - start).toBeLessThan(QUICK_MS);
  });
});

test("exclusively: two processes never run their bodies at once, and a killed one leaves no lock", async () => {
  const dir = await mkdtemp(join(tmpdir(), "modferry-lock-"));
  try {
    const lock = join(dir, "lock");
    const log = join(dir, "log");
    const program = (body: string) => `
      import { exclusively } from ${JSON.stringify(join(import.meta.dirname, "exclusive.ts"))};
      import { appendFileSync } from "node:fs";
      import { setTimeout as sleep } from "node:timers/promises";
      const say = (word) => appendFileSync(${JSON.stringify(log)}, word + "\\n");
      await exclusively(${JSON.stringify(lock)}, async () => { ${body} });`;
    const start = (body: string) =>
      new Promise<void>((ended) => {
        execFile(process.execPath, ["--input-type=module", "-e", program(body)], () => ended());
      });
    await start('say("killed"); process.kill(process.pid, "SIGKILL");');
    const both = 'say("in"); await sleep(300); say("out");';
    await Promise.all([start(both), start(both)]);
    expect(await readFile(log, "utf8")).toBe("killed\nin\nout\nin\nout\n");
    expect(existsSync(lock)).toBe(true);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
