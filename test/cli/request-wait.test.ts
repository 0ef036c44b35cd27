import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { noteTick } from "../../mirror/ticks.ts";
import { modferry } from "../e2e/modferry-command.ts";

const TIMEOUT = 120_000;
const WAIT = ["request", "example.com/a@v1.0.0", "--name", "ci/app", "--wait", "--mirror", "m"];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-wait-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test(
  "a request that waits for a mirror that nobody writes says so once, since when, and what to run",
  async () => {
    const mirror = await openFolderMirror(join(folder, "m"), { mode: "write" });
    const at = Date.parse("2026-02-03T04:05:06Z");
    await noteTick({ ledger: mirror.ledger, now: () => at }, "plan", async () => {});
    const wait = () => modferry([...WAIT, "--timeout", "9s"], { cwd: folder });

    // As long as somebody writes it, it is theirs to say what goes on.
    const written = await wait();
    expect(written.code).toBe(1);
    expect(written.stderr).not.toContain("no process");

    await mirror.close();
    const { code, stderr } = await wait();
    expect(code).toBe(1);
    const lines = stderr.trimEnd().split("\n");
    expect(lines.map((line) => line.replace(/ci\/app\/\S+(?= |:)/, "R").replace(/R:/, "R"))).toEqual([
      "modferry: R is handed in; waiting until it is served",
      "modferry: no process is writing m, and no tick has ended since 2026-02-03T04:05:06.000Z; `modferry sync --config FILE --mirror m` takes the request up, with --every 10m also later ones; still waiting",
      expect.stringMatching(/still at work after 9 s; ask again with a longer --timeout$/),
    ]);
  },
  TIMEOUT,
);
