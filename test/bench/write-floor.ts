import { hash } from "node:crypto";
import { closeSync, fsync, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const fsyncLater = promisify(fsync);
/** As many as Node's thread pool has threads. */
const FSYNCS = 4;
const PROBES = 200;

/**
 * What no program can leave out that checks and keeps these files: each is read, its SHA-256 is taken, it is written anew
 * and fsynced, all into one folder; nothing is inflated, proven or named.
 */
export async function writeFloor(tree: string, to: string): Promise<void> {
  mkdirSync(to);
  const running = new Set<Promise<void>>();
  let count = 0;
  for (const entry of readdirSync(tree, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const bytes = readFileSync(join(entry.parentPath, entry.name));
    hash("sha256", bytes, "hex");
    const file = openSync(join(to, String(count++)), "wx");
    for (let at = 0; at < bytes.byteLength; ) at += writeSync(file, bytes, at);
    const one: Promise<void> = fsyncLater(file).then(() => {
      closeSync(file);
      running.delete(one);
    });
    running.add(one);
    if (running.size >= FSYNCS) await Promise.race(running);
  }
  await Promise.all(running);
}

/** Microseconds that a new, empty file takes in this folder, without any fsync. */
export function createCost(folder: string): number {
  mkdirSync(folder);
  const began = performance.now();
  for (let at = 0; at < PROBES; at++) closeSync(openSync(join(folder, String(at)), "wx"));
  return ((performance.now() - began) / PROBES) * 1000;
}
