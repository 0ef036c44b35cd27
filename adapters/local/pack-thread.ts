import { createHash } from "node:crypto";
import { closeSync, fsync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { bytesSource, type ZipSource } from "../../gomod/zip-source.ts";
import { type Sha256, sha256Of } from "../../mirror/body.ts";
import type { BundleFile } from "../../mirror/bundle/bundle-json.ts";
import type { CheckedFile, PackToCheck } from "../../mirror/bundle/bundle-ports.ts";
import { checkPackFile, damaged } from "../../mirror/bundle/check-file.ts";
import { tarHeaderLength, tarPadding } from "../../mirror/bundle/tar-format.ts";
import { asMirrorError, type ErrorClass } from "../../mirror/errors.ts";
import { fileError } from "./file-error.ts";
import { WRITE_THREAD, writeParts } from "./write-thread.ts";

/** Tells a thread of packs from any other that runs this file. */
export const PACK_THREAD = "modferry pack thread";
/** Files above this are read in pieces, and at most so much is read of a pack at once. */
const WHOLE = 32 * 1024 * 1024;
const PIECE = 1024 * 1024;
/** Files of a thread that are open until the disk has them. */
const SETTLING = 32;

/** Files of one pack, side by side, to be checked and kept. */
export interface PackWork {
  readonly id: number;
  readonly packPath: string;
  /** Where the files go, each by itself (stagedPath); none of them is there yet. */
  readonly folder: string;
  readonly pack: PackToCheck;
  readonly files: readonly CheckedFile[];
}

export interface PackReply {
  readonly id: number;
  readonly error?: { readonly class: ErrorClass; readonly subject: string; readonly message: string };
}

/** Where a file of a pack is kept in that pack's folder: no two of a pack begin at the same place. */
export function stagedPath(folder: string, { offset }: Pick<BundleFile, "offset">): string {
  return join(folder, String(offset));
}

/**
 * Checks the files and keeps them; all are on the disk on return.
 * @throws MirrorError mismatch where one is wrong; transient where the disk is full.
 */
export async function checkPackFiles({ packPath, folder, pack, files }: PackWork): Promise<void> {
  const from = openFile(packPath, "r");
  // The disk works on what was written while the next ones are checked.
  const settling: Promise<void>[] = [];
  try {
    for (const run of runsOf(files)) {
      const [first, last] = [run[0] as Framed, run.at(-1) as Framed];
      const start = first.start;
      const isWhole = last.end - start <= WHOLE;
      const bytes = isWhole ? readAt(from, start, last.end - start, first.checked.file.path) : undefined;
      for (const framed of run) {
        const { file } = framed.checked;
        const to = openFile(stagedPath(folder, file), "wx");
        try {
          if (bytes === undefined) await checkPieces(from, framed, pack, to);
          else await checkWhole(bytes.subarray(framed.start - start, framed.end - start), framed, pack, to);
        } catch (error) {
          closeSync(to);
          throw error;
        }
        const settled = syncAndClose(to, file.path);
        settled.catch(() => undefined);
        settling.push(settled);
        await settling[settling.length - SETTLING];
      }
    }
    await Promise.all(settling);
  } finally {
    await Promise.allSettled(settling);
    closeSync(from);
  }
}

/** A file with its tar header and padding, in bytes of its pack. */
interface Framed {
  readonly checked: CheckedFile;
  readonly start: number;
  readonly end: number;
}

/** Files that are read at once. */
function* runsOf(files: readonly CheckedFile[]): Generator<readonly Framed[]> {
  let run: Framed[] = [];
  for (const checked of files) {
    const { path, size, offset } = checked.file;
    const start = offset - tarHeaderLength(path);
    const end = offset + size + tarPadding(size).byteLength;
    const [first] = run;
    if (first !== undefined && end - first.start > WHOLE) {
      yield run;
      run = [];
    }
    run.push({ checked, start, end });
  }
  if (run.length > 0) yield run;
}

async function checkWhole(
  bytes: Buffer,
  { checked, start }: Framed,
  { time }: PackToCheck,
  to: number,
): Promise<void> {
  const { path, size, offset } = checked.file;
  const before = offset - start;
  const content = bytes.subarray(before, before + size);
  const around = { before: bytes.subarray(0, before), behind: bytes.subarray(before + size) };
  await checkPackFile(checked, time, around, sha256Of(content), bytesSource(content));
  writeAll(to, content, path);
}

async function checkPieces(
  from: number,
  { checked, start, end }: Framed,
  { time }: PackToCheck,
  to: number,
): Promise<void> {
  const { path, size, offset } = checked.file;
  const around = {
    before: readAt(from, start, offset - start, path),
    behind: readAt(from, offset + size, end - offset - size, path),
  };
  const running = createHash("sha256");
  for (let at = 0; at < size; at += PIECE) {
    const piece = readAt(from, offset + at, Math.min(PIECE, size - at), path);
    running.update(piece);
    writeAll(to, piece, path);
  }
  const source: ZipSource = { size, read: (at, length) => readAt(from, offset + at, length, path) };
  await checkPackFile(checked, time, around, running.digest("hex") as Sha256, source);
}

function openFile(path: string, flags: string): number {
  try {
    return openSync(path, flags, 0o644);
  } catch (error) {
    throw fileError(error, path);
  }
}

function readAt(file: number, offset: number, length: number, path: string): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; ) {
    let read: number;
    try {
      read = readSync(file, bytes, at, length - at, offset + at);
    } catch (error) {
      throw fileError(error, path);
    }
    if (read === 0) throw damaged(path, "the pack ends within it");
    at += read;
  }
  return bytes;
}

function writeAll(file: number, bytes: Uint8Array, path: string): void {
  try {
    for (let at = 0; at < bytes.byteLength; ) at += writeSync(file, bytes, at, bytes.byteLength - at);
  } catch (error) {
    throw fileError(error, path);
  }
}

function syncAndClose(file: number, path: string): Promise<void> {
  return new Promise((done, failed) => {
    fsync(file, (error) => {
      closeSync(file);
      if (error === null) done();
      else failed(fileError(error, path));
    });
  });
}

// One program for both kinds of threads.
if (!isMainThread && parentPort !== null && workerData?.is === WRITE_THREAD)
  writeParts(parentPort, workerData.path, workerData.parts);

if (!isMainThread && workerData === PACK_THREAD) {
  parentPort?.on("message", async (work: PackWork) => {
    const reply = await checkPackFiles(work).then(
      (): PackReply => ({ id: work.id }),
      (thrown: unknown): PackReply => {
        const { class: errorClass, subject, message } = asMirrorError(thrown, work.pack.name);
        return { id: work.id, error: { class: errorClass, subject, message } };
      },
    );
    parentPort?.postMessage(reply);
  });
}
