import { MirrorError } from "../errors.ts";

/** Tar works in blocks of so many bytes (POSIX.1-2017, pax, ustar Interchange Format). */
export const TAR_BLOCK = 512;
/** What ends an archive: two blocks of zeros. */
export const TAR_END: Uint8Array = new Uint8Array(2 * TAR_BLOCK);

const LONGEST_NAME = 100;
const LONGEST_PREFIX = 155;
/** The size field has eleven octal digits. */
const LARGEST_SIZE = 8 ** 11 - 1;
const FILE = "0";
const EXTENDED = "x";

/**
 * What stands in a tar archive before a plain file's content: a ustar header, with a pax header of its path before it
 * where that fits into no ustar header. One path, size and time have one spelling, so that an archive is determined by
 * what is in it: whoever reads one compares these bytes instead of parsing them.
 * @param path plain ASCII, as tree keys are.
 * @param time seconds since the epoch.
 */
export function tarHeader(path: string, size: number, time: number): Uint8Array {
  requireOurs(path, size);
  const split = splitPath(path);
  if (split !== undefined) return ustar(split.name, split.prefix, size, time, FILE);
  const record = paxRecord("path", path);
  return Buffer.concat([
    ustar("pax", "", record.byteLength, time, EXTENDED),
    record,
    tarPadding(record.byteLength),
    ustar(path.slice(-LONGEST_NAME), "", size, time, FILE),
  ]);
}

/** The zeros that fill up the last block of a content. */
export function tarPadding(size: number): Uint8Array {
  return TAR_END.subarray(0, paddingOf(size));
}

/** How many bytes `tarHeader` has for this path. */
export function tarHeaderLength(path: string): number {
  if (splitPath(path) !== undefined) return TAR_BLOCK;
  const record = paxRecord("path", path).byteLength;
  return TAR_BLOCK + record + paddingOf(record) + TAR_BLOCK;
}

/** How many bytes a file takes in an archive. @throws MirrorError as tarHeader does. */
export function tarExtent(path: string, size: number): number {
  requireOurs(path, size);
  return tarHeaderLength(path) + size + paddingOf(size);
}

function requireOurs(path: string, size: number): void {
  if (!/^[\x20-\x7e]+$/.test(path) || size > LARGEST_SIZE)
    throw new MirrorError("malformed", path.slice(0, 200), "a path or size that no tar archive of ours has");
}

const paddingOf = (size: number): number => (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;

/** At the last slash that leaves both parts short enough; undefined where none does. */
function splitPath(path: string): { readonly name: string; readonly prefix: string } | undefined {
  if (path.length <= LONGEST_NAME) return { name: path, prefix: "" };
  const slash = path.indexOf("/", path.length - LONGEST_NAME - 1);
  if (slash < 1 || slash > LONGEST_PREFIX || slash === path.length - 1) return undefined;
  return { name: path.slice(slash + 1), prefix: path.slice(0, slash) };
}

/** `LENGTH key=value\n`, where LENGTH counts itself. */
function paxRecord(key: string, value: string): Uint8Array {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + String(rest.length).length;
  if (String(length).length + rest.length !== length) length++;
  return Buffer.from(`${length}${rest}`, "latin1");
}

function ustar(name: string, prefix: string, size: number, time: number, type: string): Uint8Array {
  const block = Buffer.alloc(TAR_BLOCK);
  block.write(name, 0, "latin1");
  block.write("0000644\0", 100, "latin1");
  block.write("0000000\0", 108, "latin1");
  block.write("0000000\0", 116, "latin1");
  block.write(`${octal(size, 11)}\0`, 124, "latin1");
  block.write(`${octal(time, 11)}\0`, 136, "latin1");
  // While the checksum is taken, its own field counts as spaces.
  block.write("        ", 148, "latin1");
  block.write(type, 156, "latin1");
  block.write("ustar\0", 257, "latin1");
  block.write("00", 263, "latin1");
  block.write("0000000\0", 329, "latin1");
  block.write("0000000\0", 337, "latin1");
  block.write(prefix, 345, "latin1");
  let sum = 0;
  for (let at = 0; at < TAR_BLOCK; at++) sum += block[at] as number;
  block.write(`${octal(sum, 6)}\0 `, 148, "latin1");
  return block;
}

const octal = (number: number, digits: number): string => number.toString(8).padStart(digits, "0");
