/**
 * A process of its own, for its memory: writes a zip of the given kind, checks it from the file, and prints
 * what it found with the peak of its memory. Run by zip-memory.test.ts: `node large-zip.ts KIND FILE`.
 */
import { closeSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { crc32, deflateRawSync } from "node:zlib";
import { FormatError } from "../../gomod/format-error.ts";
import { checkAndHashZip } from "../../gomod/zip-check.ts";
import { buildZip, DESCRIPTOR_FLAG, type EntrySpec, fields } from "./zip-builder.ts";
import { prefix, testModule } from "./zip-verdicts.ts";

const MIB = 1024 * 1024;
/** A piece that does not deflate. */
const noise = Buffer.alloc(MIB - 65_536 + 4096);
for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE(Math.imul(at + 1, 2_654_435_761) >>> 0, at);

/** Writes pieces one after the other; nothing of the zip stays in memory. */
class ZipFile {
  readonly #file: number;
  readonly #entries: EntrySpec[] = [];
  #unwritten: Uint8Array[] = [];
  #written = 0;
  offset = 0;

  constructor(path: string) {
    this.#file = openSync(path, "w");
  }

  write(bytes: Uint8Array): void {
    this.#unwritten.push(bytes);
    this.offset += bytes.length;
    if (this.offset - this.#written > MIB) this.#flush();
  }

  #flush(): void {
    writeSync(this.#file, Buffer.concat(this.#unwritten));
    this.#unwritten = [];
    this.#written = this.offset;
  }

  /** An entry whose data is `count` times `piece`, and then `last`. */
  entry(
    name: string,
    method: number,
    piece: Buffer,
    count: number,
    last: Buffer,
    content: { crc32: number; size: number },
  ): void {
    const start = this.offset;
    const path = Buffer.from(prefix + name);
    this.write(
      fields(
        [0x04034b50, 4],
        [20, 2],
        [DESCRIPTOR_FLAG, 2],
        [method, 2],
        [0, 8],
        [0, 8],
        [path.length, 2],
        [0, 2],
      ),
    );
    this.write(path);
    for (let written = 0; written < count; written++) this.write(piece);
    this.write(last);
    const compressedSize = piece.length * count + last.length;
    this.write(fields([0x08074b50, 4], [content.crc32, 4], [compressedSize, 4], [content.size, 4]));
    this.#entries.push({
      name: path,
      method,
      flags: DESCRIPTOR_FLAG,
      ...content,
      compressedSize,
      omit: "entry",
      offsetBy: start,
    });
  }

  finish(): void {
    this.write(buildZip(this.#entries, { directoryOffset: this.offset }));
    this.#flush();
    closeSync(this.#file);
  }
}

function repeated(piece: Buffer, count: number): { crc32: number; size: number } {
  let crc = 0;
  for (let done = 0; done < count; done++) crc = crc32(piece, crc);
  return { crc32: crc, size: piece.length * count };
}

const kinds: Record<string, (zip: ZipFile) => void> = {
  /** 495 MiB in the file and unpacked, half of it stored, half deflated. */
  half(zip) {
    const count = Math.floor((247 * MIB) / noise.length);
    zip.entry("stored.bin", 0, noise, count, Buffer.alloc(0), repeated(noise, count));
    const blocks = Buffer.concat(
      Array.from({ length: Math.ceil(noise.length / 65_535) }, (_, index) => {
        const block = noise.subarray(index * 65_535, (index + 1) * 65_535);
        return Buffer.concat([
          fields([0, 2]).subarray(0, 1),
          fields([block.length, 2], [~block.length & 0xffff, 2]),
          block,
        ]);
      }),
    );
    zip.entry("deflated.bin", 8, blocks, count, Buffer.from([3, 0]), repeated(noise, count));
  },
  /** 490 MiB of zeros in 0.5 MB. */
  zeros(zip) {
    const zeros = Buffer.alloc(490 * MIB);
    zip.entry("zeros.bin", 8, deflateRawSync(zeros), 1, Buffer.alloc(0), {
      crc32: crc32(zeros),
      size: zeros.length,
    });
  },
  /** As many entries as may be. */
  many(zip) {
    for (let index = 0; index < 250_000; index++) {
      zip.entry(`directory${index % 1000}/file${index}.go`, 0, Buffer.from("x"), 1, Buffer.alloc(0), {
        crc32: 0x8cdc1683,
        size: 1,
      });
    }
  },
};

const [, , kind = "", path = "", step = "check"] = process.argv;
if (step === "make") {
  const zip = new ZipFile(path);
  kinds[kind]?.(zip);
  zip.finish();
} else {
  const file = openSync(path, "r");
  let longest = 0;
  let last = performance.now();
  const ticker = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const started = performance.now();
  const read = (offset: number, length: number) => {
    const bytes = Buffer.allocUnsafe(length);
    return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
  };
  const { h1 } = await checkAndHashZip({ size: statSync(path).size, read }, testModule).catch(
    (error: unknown) => {
      if (error instanceof FormatError) return { h1: error.message };
      throw error;
    },
  );
  clearInterval(ticker);
  const seconds = (performance.now() - started) / 1000;
  console.log(
    JSON.stringify({ h1, peakMiB: process.resourceUsage().maxRSS / 1024, seconds, longestTurnMs: longest }),
  );
}
