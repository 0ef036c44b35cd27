import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ended, firstLine, modferry, spawnModferry } from "../e2e/modferry-command.ts";
import { misuseOf } from "./misused.ts";

const TIMEOUT = 240_000;

describe("modferry record and its command", { timeout: TIMEOUT }, () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "modferry-record-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const NOWHERE = ["--upstream", "http://127.0.0.1:1"];

  test("a command that asks nothing leaves no recording, syncs none, and says so", async () => {
    const flags = ["--to", "empty.json", "--mirror", "empty-mirror"];
    const run = await modferry(["record", ...NOWHERE, ...flags, "--", "true"], { cwd: folder });
    expect(run).toMatchObject({ code: 0, stdout: "" });
    expect(run.stderr).toBe("modferry: the command asked for nothing; nothing is recorded\n");
    expect(existsSync(join(folder, "empty.json"))).toBe(false);
    expect(existsSync(join(folder, "empty-mirror/vault/inbox"))).toBe(false);
  });

  test("a command that fails hands its status through", async () => {
    const run = await modferry(["record", ...NOWHERE, "--to", "failed.json", "--", "sh", "-c", "exit 7"], {
      cwd: folder,
    });
    expect(run.code).toBe(7);
    expect(run.stderr).toBe(
      "modferry: the command ended with 7 and asked for nothing; nothing is recorded\n",
    );
    expect(existsSync(join(folder, "failed.json"))).toBe(false);
  });

  test("a command that a signal ends has a shell's status", async () => {
    const run = await modferry(
      ["record", ...NOWHERE, "--to", "killed.json", "--", "sh", "-c", "kill -9 $$"],
      { cwd: folder },
    );
    expect(run.code).toBe(137);
  });

  test("flags after -- are the command's own", async () => {
    const run = await modferry(
      ["record", ...NOWHERE, "--to", "flags.json", "--", "echo", "--help", "--", "-x"],
      { cwd: folder },
    );
    expect(run).toMatchObject({ code: 0, stdout: "--help -- -x\n" });
  });

  test.each<[string, string[], RegExp]>([
    [
      "a command that is not there",
      ["--to", "none.json", "--", "no-such-command"],
      /^no-such-command: no such command/,
    ],
    [
      "a file that is no program",
      ["--to", "none.json", "--", "/dev/null"],
      /^\/dev\/null: not permitted to run it/,
    ],
    ["no command", ["--to", "none.json"], /^no command: give one after --/],
    ["no command after --", ["--to", "none.json", "--"], /^no command: give one after --/],
    [
      "nowhere to put it",
      ["--", "true"],
      /^nowhere to put the recording: give --to FILE\.json, or --mirror ADDR/,
    ],
    [
      "a folder that is not there",
      ["--to", "gone/none.json", "--", "true"],
      /^gone\/none\.json: its folder is not there/,
    ],
    [
      "a file that would be no request",
      ["--to", "none.txt", "--", "true"],
      /^--to none\.txt: name a file that ends in \.json/,
    ],
    [
      "a name that is none",
      ["--name", "Two Words", "--to", "none.json", "--", "true"],
      /^--name Two Words: give .*a-z, 0-9/,
    ],
    ["a feed's name", ["--name", "poll", "--to", "none.json", "--", "true"], /^--name poll: /],
    ["an argument too many", ["surplus", "--to", "none.json", "--", "true"], /^surplus: /],
  ])("%s is refused by one line", async (_what, args, line) => {
    expect(await misuseOf(["record", ...NOWHERE, ...args], { cwd: folder })).toMatch(line);
    expect(existsSync(join(folder, "none.json"))).toBe(false);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "%s stops the command and what it started; no recording and no temporary file is left",
    async (signal) => {
      const tmp = await mkdtemp(join(folder, "tmp-"));
      const script = `sleep 300 & echo "$! $$ $GOMODCACHE"; touch "$GOMODCACHE/file"; chmod 500 "$GOMODCACHE"; wait`;
      const child = spawnModferry(["record", ...NOWHERE, "--to", "stopped.json", "--", "sh", "-c", script], {
        cwd: folder,
        env: { TMPDIR: tmp },
      });
      const run = ended(child);
      const [sleeper = "", shell = "", cache = ""] = (await firstLine(child)).split(" ");
      expect(cache.startsWith(tmp)).toBe(true);
      await sleep(50);
      child.kill(signal);
      const { code, stderr } = await run;
      expect(code).toBeGreaterThan(128);
      expect(stderr).toContain(`stopped by ${signal}; nothing is recorded`);
      for (const pid of [sleeper, shell]) expect(await isRunning(Number(pid)), `process ${pid}`).toBe(false);
      expect(await readdir(tmp)).toEqual([]);
      expect((await readdir(folder)).filter((name) => name.includes("stopped"))).toEqual([]);
    },
  );

  test("a command that does not end at SIGTERM is killed when it is asked twice", async () => {
    const script = `trap "echo asked" TERM; echo ready; while :; do sleep 0.1; done`;
    const args = ["record", ...NOWHERE, "--to", "stopped.json", "--", "sh", "-c", script];
    const child = spawnModferry(args, { cwd: folder });
    const run = ended(child);
    await firstLine(child);
    // Two signals that wait at once are one: the second comes when the first was seen.
    let told = "";
    child.stdout.on("data", (text: string) => {
      told += text;
    });
    child.kill("SIGTERM");
    await vi.waitFor(() => expect(told).toContain("asked\n"), { timeout: 20_000 });
    child.kill("SIGTERM");
    expect(await run).toMatchObject({ code: 137, stdout: "ready\nasked\n" });
  });

  test("a command that asks nothing leaves an earlier recording as it is", async () => {
    await writeFile(join(folder, "earlier.json"), "old");
    await modferry(["record", ...NOWHERE, "--to", "earlier.json", "--", "true"], { cwd: folder });
    expect(await readFile(join(folder, "earlier.json"), "utf8")).toBe("old");
  });
});

/** A zombie has ended: only its parent, which is not ours, has not looked yet. */
async function isRunning(pid: number): Promise<boolean> {
  for (let look = 0; look < 50; look++) {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
    if (stat === undefined || /^\d+ \(.*\) Z/.test(stat)) return false;
    await sleep(20);
  }
  return true;
}
