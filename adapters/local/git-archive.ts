import { once } from "node:events";
import { type FileHandle, open } from "node:fs/promises";
import { FormatError } from "../../gomod/format-error.ts";
import { decodeUtf8 } from "../../gomod/go-unicode.ts";
import { MAX_ENTRIES } from "../../gomod/zip-directory.ts";
import type { FileKind, ModuleFile } from "../../gomod/zip-rules.ts";
import { type MirrorError, misuse } from "../../mirror/errors.ts";
import { type GitPlace, gitError, spawnGit } from "./git-command.ts";

/** Ours: the largest tree that is taken out of a repository, in bytes; a module of it may have 500 MiB. */
const MAX_ARCHIVE_BYTES = 4 * 1024 * 1024 * 1024;
/** Ours: what the list of its files and folders may take, in bytes; a name may be of any length. */
const MAX_LISTING_BYTES = 256 * 1024 * 1024;
/** How much of git's error output is kept, in bytes. */
const MAX_STDERR_BYTES = 64 * 1024;
const PIECE_BYTES = 256 * 1024;
const BLOCK_BYTES = 512;
/** Ours: a pax header of git's holds a name and a size. */
const MAX_PAX_BYTES = 1024 * 1024;

/** A file of a commit as `git archive` gives it out: attributes such as eol, ident and encoding are applied. */
export interface ArchivedFile extends ModuleFile {
  /** Below the repository's root; `path` is the same. */
  readonly path: string;
}

/**
 * Takes a commit's tree out of a repository into a file, by the same `git archive` as cmd/go (gitRepo.ReadZip), and
 * lists its files, in git's order; folders and submodules are no files. As tar, whose files can be read from anywhere.
 * @param place a git directory whose info/attributes switch export-subst and export-ignore off.
 * @param directory clean, below the root; empty for all.
 * @param spool the file to make; the caller removes it, and closes the handle after the last read.
 * @throws MirrorError misuse with git's own line, and above MAX_ENTRIES files or folders; FormatError where it is no archive.
 */
export async function archiveCommit(
  place: GitPlace,
  commit: string,
  directory: string,
  spool: string,
): Promise<{ readonly files: readonly ArchivedFile[]; readonly handle: FileHandle }> {
  const handle = await open(spool, "wx+", 0o600);
  try {
    const paths = directory === "" ? [] : ["--", directory];
    await limitEntries(place, commit, paths);
    await spoolArchive(place, ["archive", "--format=tar", commit, ...paths], handle);
    return { files: await listArchive(handle), handle };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * A few objects can stand for any number of files: a tree names another one many times. So they are counted first, by
 * what only walks the trees, and no further than to the limit.
 */
async function limitEntries(place: GitPlace, commit: string, paths: readonly string[]): Promise<void> {
  const counts = { files: 0, folders: 0 };
  let size = 0;
  let isStart = true;
  await readGit(place, ["ls-tree", "-r", "-t", "-z", commit, ...paths], async (chunk) => {
    size += chunk.length;
    if (size > MAX_LISTING_BYTES) throw tooLarge("ls-tree", `${MAX_LISTING_BYTES} bytes of names`);
    for (let at = 0; at < chunk.length; ) {
      // The mode of a folder is 040000; no other begins so.
      const what = chunk[at] === 48 ? "folders" : "files";
      if (isStart && ++counts[what] > MAX_ENTRIES) throw tooLarge("ls-tree", `${MAX_ENTRIES} ${what}`);
      const end = chunk.indexOf(0, at);
      isStart = end >= 0;
      at = isStart ? end + 1 : chunk.length;
    }
  });
}

async function spoolArchive(place: GitPlace, args: readonly string[], handle: FileHandle): Promise<void> {
  let size = 0;
  await readGit(place, args, async (chunk) => {
    size += chunk.length;
    if (size > MAX_ARCHIVE_BYTES) throw tooLarge("archive", `${MAX_ARCHIVE_BYTES} bytes`);
    await handle.write(chunk);
  });
}

function tooLarge(command: string, limit: string): MirrorError {
  return misuse("git", `git ${command}: the tree has more than ${limit}; name a --subdir`);
}

/** Gives each piece of git's output to `take`; what that throws ends git. */
async function readGit(
  place: GitPlace,
  args: readonly string[],
  take: (chunk: Buffer) => Promise<void>,
): Promise<void> {
  const child = spawnGit(place, args);
  const stderr: Buffer[] = [];
  let stderrBytes = 0;
  child.stderr?.on("data", (chunk: Buffer) => {
    if (stderrBytes < MAX_STDERR_BYTES) stderr.push(chunk);
    stderrBytes += chunk.length;
  });
  const ended = once(child, "close");
  ended.catch(() => {});
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) await take(chunk);
    const [code] = await ended;
    if (code !== 0) throw gitError(args, { code }, Buffer.concat(stderr));
  } catch (error) {
    child.kill("SIGKILL");
    const { code } = error as { code?: unknown };
    throw code === "ENOENT" || code === "EACCES" ? gitError(args, error, "") : error;
  }
}

/** Reads the headers of git's own tar (POSIX.1-2001 ustar, with pax headers for what that cannot tell). */
async function listArchive(handle: FileHandle): Promise<ArchivedFile[]> {
  const files: ArchivedFile[] = [];
  const { size: total } = await handle.stat();
  let pax = new Map<string, Buffer>();
  for (let at = 0; at + BLOCK_BYTES <= total; ) {
    const header = await readAt(handle, at, BLOCK_BYTES);
    if (header[0] === 0) return files;
    at += BLOCK_BYTES;
    const type = String.fromCharCode(header[156] ?? 0);
    const size = pax.has("size") ? Number(pax.get("size")) : octal(header.subarray(124, 136));
    if (!Number.isSafeInteger(size) || size < 0 || at + size > total)
      throw malformed("a size beyond its end");
    if (type === "x" || type === "g") {
      if (size > MAX_PAX_BYTES) throw malformed("a pax header above 1 MiB");
      const records = paxRecords(await readAt(handle, at, size));
      if (type === "x") pax = records;
    } else {
      const name = decodeUtf8(pax.get("path") ?? ustarName(header));
      const kind = kinds.get(type);
      if (kind === undefined) throw malformed(`an entry of type ${JSON.stringify(type)}`);
      if (kind !== "directory") files.push(archivedFile(handle, name, kind, at, size));
      pax = new Map();
    }
    at += Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  throw malformed("no end");
}

const kinds = new Map<string, FileKind>([
  ["0", "file"],
  ["\0", "file"],
  ["2", "symlink"],
  ["5", "directory"],
]);

function archivedFile(
  handle: FileHandle,
  path: string,
  kind: FileKind,
  start: number,
  size: number,
): ArchivedFile {
  const read = async function* () {
    for (let at = 0; at < size; at += PIECE_BYTES) {
      yield await readAt(handle, start + at, Math.min(PIECE_BYTES, size - at));
    }
  };
  return { path, kind, size, read };
}

/** `path` and `size` of the records `LENGTH KEY=VALUE\n`; names may hold any byte. */
function paxRecords(bytes: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(" ", at);
    const length = Number(bytes.toString("latin1", at, space));
    const equals = bytes.indexOf("=", space);
    if (space < 0 || equals < 0 || !(length > equals - at) || at + length > bytes.length) {
      throw malformed("a pax header that is cut");
    }
    records.set(bytes.toString("latin1", space + 1, equals), bytes.subarray(equals + 1, at + length - 1));
    at += length;
  }
  return records;
}

function ustarName(header: Buffer): Buffer {
  const field = (from: number, to: number) => {
    const end = header.subarray(from, to).indexOf(0);
    return header.subarray(from, end < 0 ? to : from + end);
  };
  const prefix = field(345, 500);
  const name = field(0, 100);
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]);
}

function octal(field: Buffer): number {
  return Number.parseInt(field.toString("latin1").replace(/[\0 ]+$/, "") || "0", 8);
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await handle.read(bytes, at, length - at, offset + at);
    if (bytesRead === 0) throw malformed("no end");
    at += bytesRead;
  }
  return bytes;
}

function malformed(problem: string): FormatError {
  return new FormatError("git archive", `git archive: what it gave has ${problem}`);
}
