/** One thread of the pool in hash.bench.ts: takes a zip's file and module, answers its h1. */
import { readFileSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { moduleVersion } from "../../gomod/version.ts";
import { checkAndHashZip } from "../../gomod/zip-check.ts";
import { bytesSource } from "../../gomod/zip-source.ts";

parentPort?.on(
  "message",
  async ({ file, path, version }: { file: string; path: string; version: string }) => {
    const { h1 } = await checkAndHashZip(bytesSource(readFileSync(file)), moduleVersion(path, version));
    parentPort?.postMessage(h1);
  },
);
