import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers/promises";
import zlib from "node:zlib";

/**
 * To be loaded before all else (`node --import`): in this process whoever waits (for a lease) waits in the simulation's
 * time, and what Node gives to another thread is done at once, so that a schedule goes the same way each time.
 */
let pass: (ms: number) => void = () => {};

/** Told how long, in ms. */
export function onWaiting(told: (ms: number) => void): void {
  pass = told;
}

timers.setTimeout = (async (ms?: number, value?: unknown) => {
  pass(ms ?? 0);
  await timers.setImmediate();
  return value;
}) as typeof timers.setTimeout;

type Done = (error: Error | null, result?: Buffer) => void;
type Sync = (bytes: zlib.InputType, options?: object) => Buffer;

function atOnce(sync: Sync) {
  return (bytes: zlib.InputType, options: object | Done, done?: Done) => {
    const told = typeof options === "function" ? (options as Done) : done;
    try {
      told?.(null, sync(bytes, typeof options === "function" ? {} : options));
    } catch (thrown) {
      told?.(thrown as Error);
    }
  };
}

Object.assign(zlib, {
  zstdCompress: atOnce(zlib.zstdCompressSync),
  zstdDecompress: atOnce(zlib.zstdDecompressSync),
});
syncBuiltinESMExports();
