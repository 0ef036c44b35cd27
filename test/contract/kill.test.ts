import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { type FolderMirror, openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { parseTreeKey, type TreeKey } from "../../mirror/tree-keys.ts";
import { expectedBytes } from "./kill-bytes.ts";

const ROUNDS = 20;
/** A writer is killed after this many lines at most, a moment later, or after this long on a busy machine. */
const MOST_LINES = 80;
const LONGEST_MOMENT = 5;
const LONGEST_LIFE = 3_000;
const LIMIT = 1 << 20;

/** Starts a writer, kills it at a random moment of its work, and gives all lines that it had said. */
async function killedWriter(folder: string, round: number): Promise<string[]> {
  const script = join(import.meta.dirname, "kill-child.ts");
  const child = spawn(process.execPath, [script, folder, `${round}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  const closed = once(reader, "close");
  // The first line is "ready".
  const wanted = 2 + Math.floor(Math.random() * MOST_LINES);
  const enough = new Promise<void>((resolve) => {
    reader.on("line", (line) => {
      if (lines.push(line) === 1) setTimeout(resolve, LONGEST_LIFE);
      if (lines.length >= wanted) resolve();
    });
  });
  await Promise.race([enough, closed]);
  await sleep(Math.random() * LONGEST_MOMENT);
  child.kill("SIGKILL");
  await closed;
  expect(lines[0], "the writer began at once, although its predecessor was killed").toBe("ready");
  return lines.slice(1);
}

function keyOf(text: string): TreeKey {
  const entry = parseTreeKey(text);
  if (entry === undefined) throw new Error(`not a tree key: ${text}`);
  return entry.key;
}

function isWhole(bytes: Uint8Array | undefined, name: string): boolean {
  return bytes !== undefined && expectedBytes(name).equals(bytes);
}

async function checkSaid(mirror: FolderMirror, lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    const [kind, name = "", third = ""] = line.split(" ");
    if (kind === "tree") {
      const found = await mirror.tree.get(keyOf(name), LIMIT);
      expect(isWhole(found?.bytes, name), line).toBe(true);
    } else if (kind === "ledger") {
      const [record] = await mirror.ledger.read([moduleVersion(name, third)]);
      expect(record?.revision, line).toBe(1);
    } else if (kind === "list") {
      const text = new TextDecoder().decode((await mirror.tree.get(keyOf(name), LIMIT))?.bytes);
      const [version = ""] = text.split("\n", 1);
      expect(text, line).toBe(`${version}\n`.repeat(50));
      expect(Number(version.split(".")[1]), line).toBeGreaterThanOrEqual(Number(third));
    } else {
      const found = Buffer.from((await mirror.vault.get(name, LIMIT)) ?? []);
      const later = [0, 3, 6].map((more) => expectedBytes(`${Number(third) + more}`));
      const last = lines.findLast((other) => other.startsWith(`vault ${name} `)) === line;
      if (last)
        expect(
          later.some((bytes) => bytes.equals(found)),
          line,
        ).toBe(true);
    }
  }
}

test(`after SIGKILL at ${ROUNDS} random moments all that was acknowledged is there and whole, and nothing partial`, async () => {
  const folder = mkdtempSync(join(tmpdir(), "modferry-kill-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  let said = 0;
  let swept = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const lines = await killedWriter(folder, round);
    said += lines.length;
    swept += readdirSync(join(folder, "tmp")).length;
    const mirror = await openFolderMirror(folder, { mode: "read" });
    await checkSaid(mirror, lines);
    for await (const { key, size } of mirror.tree.keys()) {
      const found = await mirror.tree.get(keyOf(key), LIMIT);
      expect(found?.bytes.byteLength, key).toBe(size);
      if (key.endsWith(".zip")) expect(isWhole(found?.bytes, key), key).toBe(true);
    }
    const held = new Set<string>();
    for await (const { version } of mirror.ledger.journal(0, 3_600_000))
      held.add(`${version.path}@${version.version}`);
    let records = 0;
    for await (const { path, version } of mirror.ledger.records()) {
      records++;
      expect(held.has(`${path}@${version}`), `the journal's line of ${path}@${version}`).toBe(true);
    }
    expect(held.size).toBe(records);
    await mirror.close();
  }
  const mirror = await openFolderMirror(folder, { mode: "write" });
  expect(readdirSync(join(folder, "tmp"))).toEqual([]);
  await mirror.close();
  console.log(
    `kill: ${said} acknowledged writes checked, ${swept} temporary files left by the killed and swept`,
  );
  expect(said).toBeGreaterThan(ROUNDS);
}, 180_000);
