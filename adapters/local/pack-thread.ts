import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { bytesSource, type ZipSource } from "../../gomod/zip-source.ts";
import { type Sha256, sha256Of } from "../../mirror/body.ts";
import type { CheckedFile, PackToCheck } from "../../mirror/bundle/bundle-ports.ts";
import { checkPackFile, damaged } from "../../mirror/bundle/check-file.ts";
import { tarHeader, tarPadding } from "../../mirror/bundle/tar-format.ts";
import { asMirrorError, type ErrorClass } from "../../mirror/errors.ts";
import { fileError } from "./file-error.ts";

/** Tells a thread of packs from any other that runs the same file. */
export const PACK_THREAD = "modferry pack thread";
/** Zips above this become files of their own, which a folder tree links. */
export const OWN_FILE = 64 * 1024;
/** Files above this are read in pieces. */
const WHOLE = 32 * 1024 * 1024;
const PIECE = 1024 * 1024;

/** Files of one pack, side by side, to be checked and kept. */
export interface PackWork {
  readonly id: number;
  readonly packPath: string;
  /** A file with the small ones at the places that they have in the pack. */
  readonly partPath: string;
  /** Where zips of their own go, by SHA-256. */
  readonly zips: string;
  readonly pack: PackToCheck;
  readonly files: readonly CheckedFile[];
}

export interface PackReply {
  readonly id: number;
  readonly error?: { readonly class: ErrorClass; readonly subject: string; readonly message: string };
}

/** Whether a file is kept by itself. */
export function isOwnFile({ file, check }: CheckedFile): boolean {
  return check.kind === "zip" && file.size > OWN_FILE;
}

/** Checks the files and keeps them. @throws MirrorError mismatch where one is wrong; transient where the disk is full. */
export async function checkPackFiles({ packPath, partPath, zips, pack, files }: PackWork): Promise<void> {
  const from = openFile(packPath, "r");
  const part = openFile(partPath, "r+");
  try {
    for (const checked of files) {
      const own = isOwnFile(checked) ? join(zips, checked.file.sha256) : undefined;
      const temporary = own && `${own}.${process.pid}.tmp`;
      const to = temporary === undefined ? part : openFile(temporary, "w");
      try {
        await checkOne(from, checked, pack, { to, at: own === undefined ? checked.file.offset : 0 });
        if (temporary !== undefined && own !== undefined) renameSync(temporary, own);
      } catch (error) {
        if (temporary !== undefined) rmSync(temporary, { force: true });
        throw error;
      } finally {
        if (to !== part) closeSync(to);
      }
    }
  } finally {
    closeSync(from);
    closeSync(part);
  }
}

interface Place {
  readonly to: number;
  readonly at: number;
}

async function checkOne(
  from: number,
  checked: CheckedFile,
  { time }: PackToCheck,
  place: Place,
): Promise<void> {
  const { path, size, offset } = checked.file;
  const before = tarHeader(path, size, time).byteLength;
  const behind = tarPadding(size).byteLength;
  if (size <= WHOLE) {
    const all = readAt(from, offset - before, before + size + behind, path);
    const content = all.subarray(before, before + size);
    const around = { before: all.subarray(0, before), behind: all.subarray(before + size) };
    await checkPackFile(checked, time, around, sha256Of(content), bytesSource(content));
    writeAt(place.to, content, place.at, path);
    return;
  }
  const around = {
    before: readAt(from, offset - before, before, path),
    behind: readAt(from, offset + size, behind, path),
  };
  const running = createHash("sha256");
  for (let at = 0; at < size; at += PIECE) {
    const piece = readAt(from, offset + at, Math.min(PIECE, size - at), path);
    running.update(piece);
    writeAt(place.to, piece, place.at + at, path);
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

function writeAt(file: number, bytes: Uint8Array, offset: number, path: string): void {
  try {
    for (let at = 0; at < bytes.byteLength; )
      at += writeSync(file, bytes, at, bytes.byteLength - at, offset + at);
  } catch (error) {
    throw fileError(error, path);
  }
}

/** Whether this process's file is being run as one of our threads, and so must do nothing else. */
export const isPackThread = !isMainThread && workerData === PACK_THREAD;

if (isPackThread) {
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
