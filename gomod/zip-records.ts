/** The records of a zip, as APPNOTE.TXT 6.3 has them; what is read of them is in zip-directory.ts and zip-end.ts. */

const LOCAL_SIGNATURE = 0x04034b50;
const DESCRIPTOR_SIGNATURE = 0x08074b50;
const HEADER_SIGNATURE = 0x02014b50;
const END_SIGNATURE = 0x06054b50;
const END64_SIGNATURE = 0x06064b50;
const LOCATOR64_SIGNATURE = 0x07064b50;
/** Sizes and CRC-32 stand in a descriptor behind the data. */
export const FLAG_DESCRIPTOR = 0x0008;
/** The name is UTF-8. */
const FLAG_UTF8 = 0x0800;
/** 1980-01-01, the first day that a zip can tell: no time of ours goes into the bytes (zip.Writer.Create has none). */
const DATE = 0x0021;
/** Deflate, and zip64 where there are more entries than 16 bits can count. */
const VERSION_NEEDED = 20;
const VERSION_ZIP64 = 45;
const MAX_UINT16 = 0xffff;

/** A file as its headers tell it. */
export interface Written {
  readonly name: Buffer;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly compressedSize: number;
  readonly size: number;
  readonly offset: number;
}

/** What stands before a file's data (APPNOTE.TXT 4.3.7). */
export function localHeader(entry: Written): Buffer {
  const { name, flags, method, crc, compressedSize, size } = entry;
  return Buffer.concat([
    fields(
      [LOCAL_SIGNATURE, 4],
      [VERSION_NEEDED, 2],
      [flags | FLAG_UTF8, 2],
      [method, 2],
      [0, 2],
      [DATE, 2],
      [crc, 4],
      [compressedSize, 4],
      [size, 4],
      [name.length, 2],
      [0, 2],
    ),
    name,
  ]);
}

/** The file's header in the directory (APPNOTE.TXT 4.3.12). */
export function directoryHeader(entry: Written): Buffer {
  const { name, flags, method, crc, compressedSize, size, offset } = entry;
  return Buffer.concat([
    fields(
      [HEADER_SIGNATURE, 4],
      [VERSION_NEEDED, 2],
      [VERSION_NEEDED, 2],
      [flags | FLAG_UTF8, 2],
      [method, 2],
      [0, 2],
      [DATE, 2],
      [crc, 4],
      [compressedSize, 4],
      [size, 4],
      [name.length, 2],
      // Extra, comment, disk, internal and external attributes.
      [0, 12],
      [offset, 4],
    ),
    name,
  ]);
}

/** The end of the directory, in zip64 too where its entries are more than 16 bits can count (APPNOTE.TXT 4.3.14 to 16). */
export function endRecords(count: number, start: number, size: number): Buffer {
  const end = fields(
    [END_SIGNATURE, 4],
    [0, 4],
    [Math.min(count, MAX_UINT16), 2],
    [Math.min(count, MAX_UINT16), 2],
    [size, 4],
    [start, 4],
    [0, 2],
  );
  if (count < MAX_UINT16) return end;
  const end64 = fields(
    [END64_SIGNATURE, 4],
    [44, 8],
    [VERSION_ZIP64, 2],
    [VERSION_ZIP64, 2],
    [0, 8],
    [count, 8],
    [count, 8],
    [size, 8],
    [start, 8],
  );
  const locator = fields([LOCATOR64_SIGNATURE, 4], [0, 4], [start + size, 8], [1, 4]);
  return Buffer.concat([end64, locator, end]);
}

/** What follows the data of a file whose header could not tell (APPNOTE.TXT 4.3.9). */
export function descriptor({ crc, compressedSize, size }: Written): Buffer {
  return fields([DESCRIPTOR_SIGNATURE, 4], [crc, 4], [compressedSize, 4], [size, 4]);
}

/** Little-endian numbers, each with its width in bytes; what is beyond six bytes is zero. */
function fields(...values: readonly (readonly [value: number, width: number])[]): Buffer {
  const bytes = Buffer.alloc(values.reduce((sum, [, width]) => sum + width, 0));
  let at = 0;
  for (const [value, width] of values) {
    bytes.writeUIntLE(value, at, Math.min(width, 6));
    at += width;
  }
  return bytes;
}
