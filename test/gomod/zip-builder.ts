import { crc32, deflateRawSync } from "node:zlib";

/** One entry to be written, each field as told even where that makes the zip wrong. */
export interface EntrySpec {
  readonly name: string | Uint8Array;
  readonly content?: string | Uint8Array;
  readonly method?: number;
  readonly flags?: number;
  readonly crc32?: number;
  readonly size?: number;
  readonly compressedSize?: number;
  /** What stands as the entry's data; else the content, deflated where the method says so. */
  readonly data?: Uint8Array;
  /** Added to the true offset of the local header. */
  readonly offsetBy?: number;
  readonly extra?: Uint8Array;
  readonly localExtra?: Uint8Array;
  readonly localName?: string;
  readonly localSignature?: number;
  readonly disk?: number;
  /** What follows the data; else a descriptor where the flags say so. */
  readonly descriptor?: Uint8Array;
  readonly comment?: Uint8Array;
  /** Leave the header out of the directory, or the entry out of the file. */
  readonly omit?: "header" | "entry";
}

export interface ZipSpec {
  readonly before?: Uint8Array;
  readonly after?: Uint8Array;
  readonly comment?: Uint8Array;
  readonly afterDirectory?: Uint8Array;
  readonly records?: number;
  readonly recordsHere?: number;
  /** Put the directory's headers the other way round. */
  readonly reverse?: boolean;
  readonly disk?: number;
  readonly directorySize?: number;
  readonly directoryOffset?: number;
  /** Write zip64 end records and leave the old one full of ones. */
  readonly zip64?: boolean | { readonly disks?: number; readonly records?: bigint; readonly offset?: bigint };
}

export const DESCRIPTOR_FLAG = 8;
export const SIGNATURE = { local: 0x04034b50, descriptor: 0x08074b50 } as const;

/** Little-endian fields, `[value, bytes]` each. */
export function fields(...values: readonly (readonly [number | bigint, 2 | 4 | 8])[]): Buffer {
  const bytes = Buffer.alloc(values.reduce((sum, [, width]) => sum + width, 0));
  let at = 0;
  for (const [value, width] of values) {
    if (width === 8) bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), at);
    else {
      // A large zip has millions of these: a number is cut to its width without a bigint.
      const cut = typeof value === "number" ? value : Number(BigInt.asUintN(32, value));
      if (width === 4) bytes.writeUInt32LE(cut >>> 0, at);
      else bytes.writeUInt16LE(cut & 0xffff, at);
    }
    at += width;
  }
  return bytes;
}

/** Writes a zip byte by byte, right by default and wrong where the specs say so. */
export function buildZip(entries: readonly EntrySpec[], zip: ZipSpec = {}): Buffer {
  const parts: Uint8Array[] = [zip.before ?? Buffer.alloc(0)];
  const headers: Uint8Array[] = [];
  let offset = 0;
  for (const spec of entries) {
    const name = Buffer.from(spec.name);
    const content = Buffer.from(spec.content ?? "");
    const method = spec.method ?? 8;
    const flags = spec.flags ?? 0;
    const data = spec.data ?? (method === 8 ? deflateRawSync(content) : content);
    const crc = spec.crc32 ?? crc32(content);
    const sizes = [
      [spec.compressedSize ?? data.length, 4],
      [spec.size ?? content.length, 4],
    ] as const;
    const localName = Buffer.from(spec.localName ?? name);
    const localExtra = spec.localExtra ?? Buffer.alloc(0);
    const described = (flags & DESCRIPTOR_FLAG) !== 0;
    const descriptor = spec.descriptor ?? fields([SIGNATURE.descriptor, 4], [crc, 4], ...sizes);
    const written = Buffer.concat([
      fields(
        [spec.localSignature ?? SIGNATURE.local, 4],
        [20, 2],
        [flags, 2],
        [method, 2],
        [0, 4],
        [crc, 4],
        ...sizes,
      ),
      fields([localName.length, 2], [localExtra.length, 2]),
      localName,
      localExtra,
      data,
      described || spec.descriptor ? descriptor : Buffer.alloc(0),
    ]);
    const extra = spec.extra ?? Buffer.alloc(0);
    const comment = spec.comment ?? Buffer.alloc(0);
    const header = Buffer.concat([
      fields([0x02014b50, 4], [20, 2], [20, 2], [flags, 2], [method, 2], [0, 4], [crc, 4], ...sizes),
      fields([name.length, 2], [extra.length, 2], [comment.length, 2], [spec.disk ?? 0, 2], [0, 2], [0, 4]),
      fields([offset + (spec.offsetBy ?? 0), 4]),
      name,
      extra,
      comment,
    ]);
    if (spec.omit !== "entry") {
      parts.push(written);
      offset += written.length;
    }
    if (spec.omit !== "header") headers.push(header);
  }
  const directory = Buffer.concat(zip.reverse ? headers.reverse() : headers);
  parts.push(directory, zip.afterDirectory ?? Buffer.alloc(0));
  const size = zip.directorySize ?? directory.length;
  const start = zip.directoryOffset ?? offset;
  const records = zip.records ?? headers.length;
  if (zip.zip64) {
    const {
      disks = 1,
      records: records64 = BigInt(records),
      offset: end64 = undefined,
    } = zip.zip64 === true ? {} : zip.zip64;
    const end64Offset =
      (zip.before?.length ?? 0) + offset + directory.length + (zip.afterDirectory?.length ?? 0);
    parts.push(
      fields(
        [0x06064b50, 4],
        [44, 8],
        [45, 2],
        [45, 2],
        [0, 4],
        [0, 4],
        [records64, 8],
        [records64, 8],
        [size, 8],
        [start, 8],
      ),
      fields([0x07064b50, 4], [0, 4], [end64 ?? end64Offset, 8], [disks, 4]),
    );
  }
  const ones = zip.zip64 ? 0xffff : undefined;
  const comment = zip.comment ?? Buffer.alloc(0);
  parts.push(
    fields([0x06054b50, 4], [zip.disk ?? 0, 2], [0, 2]),
    fields([ones ?? zip.recordsHere ?? records, 2], [ones ?? records, 2]),
    fields([zip.zip64 ? 0xffffffff : size, 4], [zip.zip64 ? 0xffffffff : start, 4], [comment.length, 2]),
    comment,
    zip.after ?? Buffer.alloc(0),
  );
  return Buffer.concat(parts);
}
