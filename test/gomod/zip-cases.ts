import { deflateRawSync, gzipSync } from "node:zlib";
import { buildZip, DESCRIPTOR_FLAG, type EntrySpec, fields, SIGNATURE, type ZipSpec } from "./zip-builder.ts";
import { prefix } from "./zip-verdicts.ts";

export const a: EntrySpec = { name: `${prefix}a.go`, content: "package a\n" };
export const b: EntrySpec = { name: `${prefix}b.go`, content: "package b\n".repeat(500) };
export const goMod: EntrySpec = { name: `${prefix}go.mod`, content: "module example.com/m\n" };
const extra64 = (...values: bigint[]) =>
  Buffer.concat([fields([1, 2], [8 * values.length, 2]), fields(...values.map((v) => [v, 8] as const))]);
const bytes = (text: string) => Buffer.from(text, "latin1");
const MAX = 0xffffffff;
const bomb = deflateRawSync(Buffer.alloc(64 * 1024 * 1024));
const random = Buffer.from(
  Array.from({ length: 6 << 20 }, (_, i) => (Math.imul(i, 2654435761) >>> 13) & 0xff),
);

/** What it is, and how to build it; not read-only, as test.each takes no such rows. */
export type Case = [what: string, entries: readonly EntrySpec[], zip?: ZipSpec];
type StrictCase = readonly [what: string, entries: readonly EntrySpec[], zip: ZipSpec, says: RegExp];

/** Both accept, with one h1. */
export const accepted: readonly Case[] = [
  ["no entries at all", []],
  ["deflated and stored files", [a, { ...b, method: 0 }, goMod]],
  [
    "descriptors, with and without signature",
    [
      { ...a, flags: DESCRIPTOR_FLAG },
      {
        name: `${prefix}x`,
        content: "x",
        method: 0,
        flags: DESCRIPTOR_FLAG,
        descriptor: fields([0x8cdc1683, 4], [1, 4], [1, 4]),
      },
    ],
  ],
  [
    "directory entries, with any method and with stray packed bytes",
    [
      { name: prefix, method: 0 },
      { name: `${prefix}d/`, method: 99, data: bytes("\x03\x00") },
      { name: `${prefix}d/e.go`, content: "package d" },
    ],
  ],
  ["bytes before the zip", [a, b], { before: bytes("#!/bin/sh\nexit\n") }],
  [
    "bytes before the zip that the offsets count",
    [
      { ...a, offsetBy: 7 },
      { ...b, offsetBy: 7 },
    ],
    { before: bytes("1234567"), directoryOffset: totalOf([a, b]) + 7 },
  ],
  ["bytes after the zip", [a], { after: bytes("garbage".repeat(50)) }],
  ["a comment", [a], { comment: bytes("hello") }],
  ["a comment of full length", [a], { comment: Buffer.alloc(65535, 32) }],
  ["a zip as comment of a zip, of which the inner counts", [a], { comment: buildZip([b]) }],
  ["zip64 end records", [a, b], { zip64: true }],
  [
    "zip64 sizes and offset in the extra",
    [{ ...a, size: MAX, compressedSize: MAX, extra: extra64(10n, 12n) }],
  ],
  ["an extra that is cut", [{ ...a, extra: bytes("\x01\x00\xff\xff") }]],
  [
    "headers between the directory's end and the end record",
    [a],
    { afterDirectory: bytes("PK\x05\x05\x00\x00") },
  ],
  [
    "a CRC-32 of 0 without descriptor, which stands for not set",
    [
      { ...a, crc32: 0 },
      { ...b, method: 0, crc32: 0 },
    ],
  ],
  [
    "bytes behind the end of a deflate stream",
    [{ ...a, data: Buffer.concat([deflateRawSync("package a\n"), bytes("more")]) }],
  ],
  [
    "gzip magic inside the data",
    [
      { ...a, content: gzipSync("a"), method: 0 },
      { ...b, data: Buffer.concat([deflateRawSync(Buffer.from(b.content ?? "")), gzipSync("x")]) },
    ],
  ],
  ["a local name other than the directory's, which Go does not read", [{ ...a, localName: "other" }]],
  ["entries in another order than in the directory", [a, b, goMod], { reverse: true }],
  ["a gap between entries", [a, { ...b, omit: "header" }, goMod]],
  [
    "names beyond ASCII and the astral planes in byte order",
    [
      { name: `${prefix}\u{ffb9}.go` },
      { name: `${prefix}\u{10400}.go` },
      { name: `${prefix}é.go` },
      { name: `${prefix}z.go` },
    ],
  ],
  ["a go.mod that is a directory", [{ name: `${prefix}go.mod/a.go` }]],
  [
    "a large deflated and a large stored file",
    [
      { ...a, content: random },
      { ...b, content: random, method: 0, flags: DESCRIPTOR_FLAG },
    ],
  ],
  [
    "a size of all ones without zip64 in an entry of a directory with no content",
    [{ name: `${prefix}d/`, size: 0 }],
  ],
];

/** Both refuse. */
export const refused: readonly Case[] = [
  ["a name outside the module", [{ ...a, name: "other.com/m@v1.0.0/a.go" }]],
  ["the prefix without its slash", [{ ...a, name: prefix.slice(0, -1) }]],
  ["names that differ in case only", [a, { ...a, name: `${prefix}A.go` }]],
  [
    "directories that differ in case only",
    [
      { ...a, name: `${prefix}d/a.go` },
      { ...a, name: `${prefix}D/b.go` },
    ],
  ],
  [
    "the Kelvin sign and k",
    [
      { ...a, name: `${prefix}\u212a.go` },
      { ...a, name: `${prefix}k.go` },
    ],
  ],
  ["a file that is a directory too", [a, { ...a, name: `${prefix}a.go/b` }]],
  ["a directory entry that is a file too", [{ name: `${prefix}d/` }, { name: `${prefix}d` }]],
  ["a second go.mod below the root", [goMod, { ...goMod, name: `${prefix}sub/go.mod` }]],
  ["a go.mod in capitals", [{ ...goMod, name: `${prefix}GO.MOD` }]],
  ["a go.mod above 16 MiB", [{ ...goMod, size: (16 << 20) + 1 }]],
  ["a LICENSE above 16 MiB", [{ ...goMod, name: `${prefix}LICENSE`, size: (16 << 20) + 1 }]],
  [
    "more than 500 MiB in sum",
    [
      { ...a, size: 400 << 20 },
      { ...b, size: 101 << 20 },
    ],
  ],
  ["a name with a bad character", [{ ...a, name: `${prefix}a'.go` }]],
  [
    "a name that Windows reserves",
    [
      { ...a, name: `${prefix}d/aux.go` },
      { ...a, name: `${prefix}d/x.go` },
    ],
  ],
  [
    "the same below a directory that is known",
    [
      { ...a, name: `${prefix}d/x.go` },
      { ...a, name: `${prefix}d/aux.go` },
    ],
  ],
  ["a path that is not clean", [{ ...a, name: `${prefix}d//a.go` }]],
  ["a directory with two slashes at its end", [{ name: `${prefix}d//` }]],
  ["a path with a dot", [{ ...a, name: `${prefix}./a.go` }]],
  ["less content than declared", [{ ...a, size: 11 }]],
  ["more content than declared", [{ ...a, size: 9 }]],
  ["no content where some is declared", [{ ...a, data: deflateRawSync("") }]],
  ["a ratio bomb", [{ ...a, data: bomb, size: 10 }]],
  ["a ratio bomb that declares much", [{ ...a, data: bomb, size: 60 << 20 }]],
  ["stored with sizes that differ", [{ ...a, method: 0, size: 5 }]],
  ["a wrong CRC-32", [a, { ...b, crc32: 1 }]],
  ["a wrong CRC-32, stored", [{ ...b, method: 0, crc32: 1 }]],
  ["a wrong CRC-32 of a large file", [{ ...b, content: random, crc32: 1 }]],
  ["a CRC-32 of 0 with a descriptor", [{ ...b, flags: DESCRIPTOR_FLAG, crc32: 0 }]],
  [
    "a descriptor that differs",
    [{ ...a, flags: DESCRIPTOR_FLAG, descriptor: fields([SIGNATURE.descriptor, 4], [1, 4], [0, 8]) }],
  ],
  [
    "a deflate stream that is cut",
    [{ ...b, data: deflateRawSync(Buffer.from(b.content ?? "")).subarray(0, -3) }],
  ],
  [
    "a large deflate stream that is cut",
    [{ ...b, content: random, data: deflateRawSync(random).subarray(0, -3) }],
  ],
  ["a deflated file without any byte", [{ ...a, content: "", data: Buffer.alloc(0) }]],
  ["bytes that are no deflate stream", [{ ...a, data: bytes("\xff\xff\xff\xff") }]],
  ["an unknown method", [{ ...a, method: 12 }]],
  ["a directory with content", [{ name: `${prefix}d/`, content: "x", method: 0 }]],
  ["no local header", [{ ...a, localSignature: 0 }]],
  ["a local header before the file", [{ ...a, offsetBy: -1000 }]],
  ["a local header past the end", [{ ...a, offsetBy: 100_000 }]],
  ["fewer entries than told", [a], { records: 2 }],
  ["more entries than told", [a, b], { records: 1 }],
  ["a directory larger than the file", [a], { directorySize: 100_000 }],
  ["a comment that is cut", [a], { comment: bytes("hello") }],
  ["a packed size of all ones without zip64", [{ ...a, compressedSize: MAX }]],
  ["zip64 records that lie elsewhere", [a], { zip64: { offset: 3n } }],
  ["zip64 records past the end", [a], { zip64: { offset: 1_000_000n } }],
];

/** Go accepts, or might; we do not, for a reason of `stricterThanGo`. */
export const stricter: readonly StrictCase[] = [
  [
    "two headers for one entry",
    [a, { ...a, name: `${prefix}z.go`, omit: "entry", offsetBy: -totalOf([a]) }],
    {},
    /overlaps the entry/,
  ],
  [
    "an entry inside another's data",
    [
      { ...b, method: 0, content: buildZip([a]) },
      { ...a, omit: "entry", offsetBy: -buildZip([a]).length },
    ],
    {},
    /overlaps the entry/,
  ],
  [
    "a deflated entry that reaches into the directory",
    [{ ...a, compressedSize: 40 }],
    {},
    /overlaps the central directory/,
  ],
  [
    "a deflated entry that reaches past the end",
    [{ ...a, compressedSize: 100_000 }],
    {},
    /reaches past its end/,
  ],
  ["one directory twice", [{ name: `${prefix}d/` }, { name: `${prefix}d/` }], {}, /given twice/],
  ["one file twice", [a, { ...a, content: "other" }], {}, /given twice|multiple entries/],
  ["an encrypted entry", [{ ...a, flags: 1 }], {}, /encrypted/],
  ["an entry on another disk", [{ ...a, disk: 1 }], {}, /on another disk/],
  ["an end record of another disk", [a], { disk: 1 }, /several disks/],
  ["an end record of several disks", [a, b], { recordsHere: 1 }, /several disks/],
  ["a zip64 locator of several disks", [a], { zip64: { disks: 2 } }, /several disks/],
  [
    "zip64 counts that agree in 16 bits only",
    [a],
    { zip64: { records: 0x10001n } },
    /1 entries found, but its end record tells of 65537/,
  ],
  ["zip64 counts above 2^53", [a], { zip64: { records: (1n << 60n) | 1n } }, /beyond any file's size/],
  ["an empty name", [{ ...a, name: "" }], {}, /empty, absolute/],
  ["an absolute name", [{ ...a, name: "/etc/passwd" }], {}, /empty, absolute/],
  ["a name with ..", [{ ...a, name: `${prefix}../a.go` }], {}, /empty, absolute/],
  ["a name with a backslash", [{ ...a, name: `${prefix}a\\b.go` }], {}, /empty, absolute/],
  ["a name with NUL", [{ ...a, name: `${prefix}a\0.go` }], {}, /empty, absolute/],
  ["a name that is not UTF-8", [{ ...a, name: Buffer.from(`${prefix}\xff.go`, "latin1") }], {}, /not UTF-8/],
];

/** How many bytes the entries take in the file before the directory. */
function totalOf(entries: readonly EntrySpec[]): number {
  return buildZip(entries.map((entry) => ({ ...entry, omit: "header" as const }))).length - 22;
}
