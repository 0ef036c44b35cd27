import { crc32, deflateRawSync } from "node:zlib";
import { expect, test, vi } from "vitest";
import type { ZipEntry } from "../../gomod/zip-directory.ts";
import { inflateEntry, inflateLarge } from "../../gomod/zip-inflate.ts";

const hidden = vi.hoisted(() => ({ streams: 0 }));

/** A Node whose zlib streams lack the internals that are used for speed. */
vi.mock("node:zlib", async (original) => {
  const zlib = await original<typeof import("node:zlib")>();
  const createInflateRaw: typeof zlib.createInflateRaw = (options) => {
    hidden.streams++;
    const stream = zlib.createInflateRaw(options);
    Object.defineProperty(Reflect.get(stream, "_handle"), "writeSync", { value: undefined });
    return stream;
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

test("without them large entries inflate by the public streams, as strictly", async () => {
  const data = deflateRawSync(content);
  const inflate = async (of: ZipEntry, deflated: Buffer): Promise<Buffer> => {
    const taken: Buffer[] = [];
    const pieces = (async function* () {
      yield deflated;
    })();
    await inflateLarge(of, pieces, (piece) => taken.push(Buffer.from(piece)));
    return Buffer.concat(taken);
  };
  expect(await inflate(entry, Buffer.concat([data, Buffer.alloc(9)]))).toEqual(content);
  await expect(inflate({ ...entry, size: 999 }, data)).rejects.toThrow(
    /holds more than the declared 999 bytes/,
  );
  await expect(inflate({ ...entry, size: 1001 }, data)).rejects.toThrow(
    /holds less than the declared 1001 bytes/,
  );
  await expect(inflate(entry, data.subarray(0, -1))).rejects.toThrow(/does not inflate/);
});
