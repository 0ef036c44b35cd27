import { crc32, deflateRawSync } from "node:zlib";
import { expect, test, vi } from "vitest";
import type { ZipEntry } from "../../gomod/zip-directory.ts";
import { inflateEntry } from "../../gomod/zip-inflate.ts";

const hidden = vi.hoisted(() => ({ streams: 0 }));

/** A Node whose zlib streams lack the internals that are used for speed. */
vi.mock("node:zlib", async (original) => {
  const zlib = await original<typeof import("node:zlib")>();
  const createInflateRaw: typeof zlib.createInflateRaw = (options) => {
    hidden.streams++;
    return Object.defineProperty(zlib.createInflateRaw(options), "_writeState", { value: undefined });
  };
  return { ...zlib, createInflateRaw };
});

const content = Buffer.from("package a\n".repeat(100));
const entry: ZipEntry = {
  name: "a.go",
  isDirectory: false,
  method: 8,
  crc32: crc32(content),
  hasDescriptor: false,
  compressedSize: 0,
  size: content.length,
  headerOffset: 0,
};

test("without Node's internals entries inflate by the public call, as strictly", () => {
  const data = deflateRawSync(content);
  expect(hidden.streams).toBe(1);
  expect(Buffer.from(inflateEntry(entry, data))).toEqual(content);
  expect(() => inflateEntry({ ...entry, size: 999 }, data)).toThrow(/holds more than the declared 999 bytes/);
  expect(() => inflateEntry({ ...entry, size: 1001 }, data)).toThrow(
    /holds less than the declared 1001 bytes/,
  );
  expect(() => inflateEntry({ ...entry, crc32: 1 }, data)).toThrow(/CRC-32/);
  expect(() => inflateEntry(entry, data.subarray(0, -1))).toThrow(/does not inflate/);
});
