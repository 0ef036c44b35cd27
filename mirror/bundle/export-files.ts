import { formatModuleVersion } from "../../gomod/version.ts";
import { parseLookup } from "../../sumdb/lookup.ts";
import { parseTree } from "../../sumdb/tree-head.ts";
import { type Sha256, sha256Of, sha256Stream } from "../body.ts";
import { MirrorError } from "../errors.ts";
import type { StoredObject, Tree } from "../ports.ts";
import { LARGEST_LOOKUP } from "../stored-lookup.ts";
import type { TreeKey } from "../tree-keys.ts";
import type { KeptSnapshot } from "./bundle-ports.ts";
import type { SnapshotFile } from "./snapshot-files.ts";
import { vulndbContent } from "./vulndb-files.ts";

/** Files up to this size are read at once, ahead of their turn. */
const WHOLE = 4 << 20;
/** So on this machine: to read them ahead gains nothing, and a stream goes straight into its pack. */
const WHOLE_HERE = 1 << 20;
/** So many are read ahead: on S3 each costs a round trip. */
const AHEAD = 16;

/** What an export reads of a tree. */
export type ExportTree = Pick<Tree, "get" | "open" | "content">;

/** A file of a bundle, not read yet. */
export interface SourceFile {
  readonly path: string;
  open(): Promise<OpenedFile>;
}

export interface OpenedFile {
  readonly path: string;
  readonly size: number;
  /** To be read once. */
  content(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  /** The next bytes, as many as `room` takes, instead of `content`; absent where they cannot be had so. */
  readInto?(room: Uint8Array): Promise<number>;
  /** Of the content, once it was read. @throws MirrorError mismatch where it is not what the snapshot says. */
  sha256(): Sha256 | Promise<Sha256>;
  close(): Promise<void>;
}

/** The snapshot's own objects, and what of the tree is to be exported, in the order of a bundle. */
export async function* sourceFiles(
  tree: ExportTree,
  folder: string,
  to: KeptSnapshot,
  files: AsyncIterable<SnapshotFile>,
): AsyncGenerator<SourceFile> {
  for await (const { name, open } of to.objects()) {
    const path = `${folder}${name}`;
    yield { path, open: async () => await opened(path, await open(), undefined) };
  }
  for await (const file of files) yield { path: file.key, open: () => openFile(tree, to, file) };
}

/** Opens files ahead of their turn, in their order. What is left open at a failure is closed. */
export async function* readAhead(files: AsyncIterable<SourceFile>): AsyncGenerator<OpenedFile> {
  const ahead: Promise<OpenedFile>[] = [];
  try {
    for await (const file of files) {
      const opening = file.open();
      opening.catch(() => undefined);
      ahead.push(opening);
      if (ahead.length < AHEAD) continue;
      yield await (ahead.shift() as Promise<OpenedFile>);
    }
    for (let next = ahead.shift(); next !== undefined; next = ahead.shift()) yield await next;
  } finally {
    for (const opening of ahead) await opening.then((file) => file.close()).catch(() => undefined);
  }
}

async function openFile(tree: ExportTree, to: KeptSnapshot, file: SnapshotFile): Promise<OpenedFile> {
  if (file.kind === "vulndb") return inMemory(file.key, await vulndbContent(file), undefined);
  if ("bytes" in file) return inMemory(file.key, file.bytes, undefined);
  const from = file.kind === "latest" ? file.source : file.key;
  const whole = tree.content === undefined ? WHOLE : WHOLE_HERE;
  if (file.kind === "zip" && (file.size === undefined || file.size > whole)) {
    const stored = await tree.open(from);
    if (stored === undefined) throw gone(file, from, to);
    return await opened(file.key, stored, file.sha256, whole);
  }
  const bytes =
    tree.content === undefined
      ? (await tree.get(from, Number.MAX_SAFE_INTEGER))?.bytes
      : await tree.content(from);
  if (bytes === undefined) throw gone(file, from, to);
  if (file.kind === "lookup") refuseLater(file, bytes, to);
  return inMemory(file.key, bytes, file.sha256);
}

async function opened(
  path: string,
  stored: StoredObject,
  expected: Sha256 | undefined,
  whole = WHOLE,
): Promise<OpenedFile> {
  if (stored.size > whole) return streamed(path, stored, expected);
  try {
    const bytes = await stored.read(0, stored.size);
    return inMemory(path, bytes, expected);
  } finally {
    await stored.close();
  }
}

function inMemory(path: string, bytes: Uint8Array, expected: Sha256 | undefined): OpenedFile {
  const checked = (sha256: Sha256) => {
    if (expected !== undefined && sha256 !== expected) throw damaged(path, expected);
    return sha256;
  };
  return {
    path,
    size: bytes.byteLength,
    content: () => [bytes],
    // Here: a pack is written and hashed by another thread meanwhile.
    sha256: () => checked(sha256Of(bytes)),
    close: async () => {},
  };
}

function streamed(path: string, stored: StoredObject, expected: Sha256 | undefined): OpenedFile {
  const running = sha256Stream();
  let at = 0;
  const readInto = async (room: Uint8Array) => {
    const read = (await stored.readInto?.(at, room)) ?? 0;
    running.update(room.subarray(0, read));
    at += read;
    return read;
  };
  return {
    path,
    size: stored.size,
    ...(stored.readInto === undefined ? {} : { readInto }),
    async *content() {
      for await (const chunk of stored.stream()) {
        running.update(chunk);
        yield chunk;
      }
    },
    sha256: () => {
      const sha256 = running.digest();
      if (expected !== undefined && sha256 !== expected) throw damaged(path, expected);
      return sha256;
    },
    close: () => stored.close(),
  };
}

/** The lookup was written anew, under a head that the snapshot does not have: its tiles may not be in it either. */
function refuseLater(
  file: Extract<SnapshotFile, { kind: "lookup" }>,
  bytes: Uint8Array,
  { header }: KeptSnapshot,
): void {
  const note = Buffer.from(parseLookup(bytes.subarray(0, LARGEST_LOOKUP)).treeNote).toString("utf8");
  const own = headSize(header.heads[file.database] ?? "");
  if (headSize(note) <= own) return;
  const message = `${file.key}: was written anew after the snapshot ${header.name}; take another one and export that`;
  throw new MirrorError("transient", formatModuleVersion(file.entry), message);
}

const headSize = (note: string): number => parseTree(note.slice(0, note.lastIndexOf("\n\n") + 1)).size;

function gone(file: SnapshotFile, from: TreeKey, { header }: KeptSnapshot): MirrorError {
  const message = `${from}: not in the tree any more, though the snapshot ${header.name} has it: blocked or collected since (then \`modferry export --since\` leads to a newer one), or lost (\`modferry verify\`)`;
  return new MirrorError("absent", file.key, message);
}

function damaged(path: string, expected: Sha256): MirrorError {
  const message = `${path}: the tree has something else than the snapshot says, whose SHA-256 is ${expected}; run \`modferry verify\``;
  return new MirrorError("mismatch", path, message);
}
