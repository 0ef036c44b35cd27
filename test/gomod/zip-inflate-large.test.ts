import { crc32, deflateRawSync } from "node:zlib";
import { expect, test } from "vitest";
import type { ZipEntry } from "../../gomod/zip-directory.ts";
import { inflateEntry, inflateLarge } from "../../gomod/zip-inflate.ts";

/** 700,000 bytes, so that the content comes in three pieces; half of it hardly deflates. */
const content = Buffer.alloc(700_000);
for (let at = 0; at < 350_000; at += 4) content.writeUInt32LE(Math.imul(at + 1, 2_654_435_761) >>> 0, at);
const data = deflateRawSync(content);
const entry: ZipEntry = {
  name: "a.bin",
  isDirectory: false,
  method: 8,
  crc32: crc32(content),
  hasDescriptor: false,
  compressedSize: data.length,
  size: content.length,
  headerOffset: 0,
};

/** The whole content, the deflated bytes handed over in pieces of `length`. */
async function inflate(of: ZipEntry, deflated: Buffer, length: number): Promise<Buffer> {
  async function* pieces() {
    for (let at = 0; at < deflated.length; at += length) yield deflated.subarray(at, at + length);
  }
  const taken: Buffer[] = [];
  await inflateLarge(of, pieces(), (piece) => taken.push(Buffer.from(piece)));
  return Buffer.concat(taken);
}

test.each([1013, 65_536, data.length - 1, data.length])(
  "pieces of %d bytes give the content",
  async (length) => {
    expect((await inflate(entry, data, length)).equals(content)).toBe(true);
  },
);

test("content that fills the output exactly is whole", async () => {
  const full = content.subarray(0, 2 * 256 * 1024);
  const exact = { ...entry, size: full.length, crc32: crc32(full) };
  expect((await inflate(exact, deflateRawSync(full), 4096)).equals(full)).toBe(true);
});

test.each([data.length, 1000])(
  "bytes after the deflate stream are ignored, as Go does: pieces of %d",
  async (length) => {
    const trailed = Buffer.concat([data, Buffer.alloc(5000, 0xff)]);
    expect((await inflate(entry, trailed, length)).equals(content)).toBe(true);
  },
);

test("a stream that is cut, broken, empty or of another size or checksum is refused", async () => {
  const broken = Buffer.from(data);
  broken.fill(0xff, 300_000, 300_100);
  const refused = (of: Partial<ZipEntry>, deflated: Buffer) =>
    expect(inflate({ ...entry, ...of }, deflated, 65_536)).rejects;
  await refused({}, data.subarray(0, -1)).toThrow(/"a.bin": does not inflate: unexpected end of file/);
  await refused({}, Buffer.alloc(0)).toThrow(/does not inflate: unexpected end of file/);
  await refused({}, broken).toThrow(/does not inflate|CRC-32/);
  await refused({}, Buffer.from([7, 7, 7])).toThrow(/does not inflate: invalid block type/);
  await refused({ size: content.length - 1 }, data).toThrow(/holds more than the declared 699999 bytes/);
  await refused({ size: content.length + 1 }, data).toThrow(/holds less than the declared 700001 bytes/);
  await refused({ crc32: 1 }, data).toThrow(/CRC-32 differs/);
});

test("a bomb is left as soon as it holds more than declared", async () => {
  const bomb = deflateRawSync(Buffer.alloc(64 * 1024 * 1024));
  let taken = 0;
  const pieces = (async function* () {
    yield bomb;
  })();
  const running = inflateLarge({ ...entry, size: 1024 * 1024 }, pieces, (piece) => {
    taken += piece.length;
  });
  await expect(running).rejects.toThrow(/holds more than/);
  expect(taken).toBe(1024 * 1024);
});

test("entries inflated at the same time, large and small, good and bad, do not disturb each other", async () => {
  const small = { ...entry, size: 10, crc32: crc32(content.subarray(0, 10)) };
  const smallData = deflateRawSync(content.subarray(0, 10));
  const many = Array.from({ length: 8 }, (_, index) => inflate(entry, data, 20_000 + index));
  const bad = Array.from({ length: 4 }, () => inflate(entry, data.subarray(0, -1), 20_000).catch(String));
  for (let round = 0; round < 100; round++) {
    expect(inflateEntry(small, smallData)).toHaveLength(10);
    expect(() => inflateEntry(small, smallData.subarray(0, -2))).toThrow(/does not inflate/);
    await new Promise(setImmediate);
  }
  for (const whole of await Promise.all(many)) expect(whole.equals(content)).toBe(true);
  for (const message of await Promise.all(bad)) expect(message).toMatch(/does not inflate/);
});
