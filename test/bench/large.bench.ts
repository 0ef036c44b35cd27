/**
 * Memory for the largest zip that go takes: a module of 495 MB, half of it stored, half deflated, is synced from a
 * loopback upstream into an empty folder, and then verified.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { testCache } from "../upstream/exclusive.ts";
import { startUpstream } from "../upstream/loopback-upstream.ts";
import { type Measured, measureProcess } from "./measured-process.ts";

const PROGRAM = join(import.meta.dirname, "../../dist/modferry.mjs");
/** Nine files of 55 MB: below the 500 MiB of cmd/go's codehost.MaxZipFile. */
const WRITE_ZIP = `
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as made:
    made.writestr("example.com/large@v1.0.0/go.mod", "module example.com/large\\n")
    for i in range(9):
        method = zipfile.ZIP_STORED if i % 2 == 0 else zipfile.ZIP_DEFLATED
        made.writestr(f"example.com/large@v1.0.0/data{i}.bin", os.urandom(55_000_000), method)
`;

/** A GOPROXY tree with the one module; made once. */
async function largeTree(): Promise<string> {
  const tree = join(testCache, "large-module");
  const folder = join(tree, "example.com/large/@v");
  if (existsSync(join(folder, "list"))) return tree;
  await mkdir(folder, { recursive: true });
  await promisify(execFile)("python3", ["-c", WRITE_ZIP, join(folder, "making")]);
  await rename(join(folder, "making"), join(folder, "v1.0.0.zip"));
  await writeFile(join(folder, "v1.0.0.mod"), "module example.com/large\n");
  await writeFile(join(folder, "v1.0.0.info"), '{"Version":"v1.0.0","Time":"2026-01-02T03:04:05Z"}\n');
  await writeFile(join(folder, "list"), "v1.0.0\n");
  return tree;
}

/** Prints the table. Needs `npm run build` first. */
export async function largeBench(): Promise<void> {
  const upstream = await startUpstream({ trees: [await largeTree()], preset: true });
  const folder = await mkdtemp(join(tmpdir(), "modferry-large-"));
  try {
    const mirror = ["--mirror", join(folder, "mirror"), "--sumdb", upstream.vkey];
    const run = (...args: string[]) =>
      measureProcess([process.execPath, PROGRAM, ...args], { env: process.env });
    const rows: [string, Measured][] = [
      ["sync", await run("sync", "example.com/large@v1.0.0", "--upstream", upstream.url, ...mirror)],
      ["verify", await run("verify", ...mirror)],
    ];
    console.log("one zip of 495 MB");
    console.log("verb      wall s  CPU s  peak MiB");
    for (const [verb, { wallSeconds, cpuSeconds, peakMiB }] of rows) {
      const figures = [
        wallSeconds.toFixed(1).padStart(6),
        cpuSeconds.toFixed(1).padStart(5),
        peakMiB.toFixed(0).padStart(8),
      ];
      console.log([verb.padEnd(8), ...figures].join("  "));
    }
  } finally {
    await upstream.close();
    await rm(folder, { recursive: true, force: true });
  }
}
