import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { freshRecord } from "./ledger-samples.ts";
import { rejectionOf } from "./rejection.ts";

let folder: string;
let children: ChildProcess[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "modferry-lock-"));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const open = () => openFolderMirror(folder, { mode: "write" });

/** Another process that opens the mirror to write, and the line that it says of it. */
async function otherWriter(): Promise<{ child: ChildProcess; line: string }> {
  const script = join(import.meta.dirname, "hold-mirror.ts");
  const child = spawn(process.execPath, [script, folder], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  return { child, line };
}

/** Changes the lock's row behind its holder's back. */
function setWriter(assignments: string): void {
  const database = new DatabaseSync(join(folder, "ledger.sqlite"));
  database.exec(`UPDATE writer SET ${assignments}`);
  database.close();
}

test("a second process is refused in one line that names the first, and may write when that has closed", async () => {
  const mirror = await open();
  const refused = await otherWriter();
  expect(refused.line).toMatch(/^misuse: /);
  const since = "\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z";
  expect(refused.line).toMatch(
    new RegExp(
      `${folder} is being written by pid ${process.pid} on ${hostname()} since ${since}; wait for it or stop it$`,
    ),
  );
  await mirror.close();
  await mirror.close();
  expect((await otherWriter()).line).toBe("held");
});

test("after SIGKILL of the holder the next process takes over at once", async () => {
  const { child, line } = await otherWriter();
  expect(line).toBe("held");
  expect((await rejectionOf(open())).message).toContain(`is being written by pid ${child.pid} on`);
  child.kill("SIGKILL");
  await once(child, "exit");
  const mirror = await open();
  await mirror.close();
});

test("of six processes that open a new folder at once one writes and five are refused", async () => {
  const lines = (await Promise.all(Array.from({ length: 6 }, otherWriter))).map(
    ({ line }) => line.split(":")[0],
  );
  expect(lines.sort()).toEqual(["held", "misuse", "misuse", "misuse", "misuse", "misuse"]);
});

test("the same process cannot write one mirror twice", async () => {
  const mirror = await open();
  expect((await rejectionOf(open())).class).toBe("misuse");
  await mirror.close();
});

test("readers need no lock and see what the writer has been told is durable", async () => {
  const version = moduleVersion("example.com/a", "v1.0.0");
  const mirror = await open();
  const reader = await openFolderMirror(folder, { mode: "read" });
  await mirror.ledger.write([{ record: freshRecord(version) }]);
  expect((await reader.ledger.read([version]))[0]?.revision).toBe(1);
  expect((await rejectionOf(reader.ledger.write([{ record: freshRecord(version) }]))).class).toBe("misuse");
  await reader.close();
  await mirror.close();
});

test.each([
  ["silent for 31 s on another host", "host = 'elsewhere', beat = beat - 31000", true],
  ["silent for 20 s on another host", "host = 'elsewhere', beat = beat - 20000", false],
  ["with a beat from far in the future", "beat = beat + 3600000", true],
  ["of this host before it was started again", "boot = 'an earlier one'", true],
  ["with a pid of another container of this host name", "namespace = 'pid:[1]', pid = 4194304", false],
  ["with a pid that no process has", "pid = 4194304", true],
  ["with the pid of a later process", "started = '1'", true],
  ["alive", "pid = pid", false],
])("a holder %s (%s) is taken over: %s", async (_what, assignments, taken) => {
  const first = await open();
  setWriter(assignments);
  if (taken) {
    const second = await open();
    await second.close();
  } else {
    expect((await rejectionOf(open())).class).toBe("misuse");
  }
  await first.close();
});

test("a holder that was taken over from can write no record any more, and does not take the lock with it", async () => {
  const first = await open();
  setWriter("beat = beat - 31000");
  const second = await open();
  const version = moduleVersion("example.com/a", "v1.0.0");
  const refused = await rejectionOf(first.ledger.write([{ record: freshRecord(version) }]));
  expect(refused.class).toBe("misuse");
  expect(refused.message).toContain("took over; run again");
  expect(await second.ledger.read([version])).toEqual([undefined]);
  await first.close();
  expect((await rejectionOf(open())).class).toBe("misuse");
  expect(await second.ledger.write([{ record: freshRecord(version) }])).toHaveLength(1);
  await second.close();
});
