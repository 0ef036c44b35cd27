import type { H1 } from "../../gomod/dirhash.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import type { Body, Sha256 } from "../body.ts";
import { MirrorError } from "../errors.ts";
import type { StoredObject, Vault } from "../ports.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { SnapshotHeader } from "../snapshot/snapshot-header.ts";
import { HEADER_FILE, snapshotKey } from "../snapshot/snapshot-name.ts";
import { type ArchivedFile, LARGEST_ARCHIVE } from "../snapshot/vulndb-archive.ts";
import type { BundleFile } from "./bundle-json.ts";
import { readVulndbArchive } from "./vulndb-files.ts";

/** What a bundle needs of a snapshot. */
export interface BundleSnapshot extends Pick<Snapshot, "header" | "entries" | "tiles"> {
  /** The vulnerability database that it names; nothing where it names none. */
  vulndb(): Promise<readonly ArchivedFile[]>;
}

/** The object of a bundle in which the archived vulnerability database comes along; a snapshot itself has none so called. */
export const VULNDB_OBJECT = "vulndb.ndjson.zst";

/** A snapshot with the vulnerability database that lies beside it in its vault. */
export function withVulndb(
  snapshot: Pick<Snapshot, "header" | "entries" | "tiles">,
  vault: Pick<Vault, "get">,
): BundleSnapshot {
  const { header } = snapshot;
  return {
    header,
    entries: () => snapshot.entries(),
    tiles: (database) => snapshot.tiles(database),
    vulndb: async () => {
      if (header.vulndb === undefined) return [];
      const archive = await vault.get(header.vulndb, LARGEST_ARCHIVE);
      return archive === undefined ? missing(header.vulndb) : await readVulndbArchive(archive, header.vulndb);
    },
  };
}

/** A snapshot with the objects that it is kept in, so that a bundle can carry it as it is. */
export interface KeptSnapshot extends BundleSnapshot {
  /** Its objects by name, `snapshot.json` last; then the archived vulnerability database that it names. */
  objects(): AsyncIterable<{ readonly name: string; open(): Promise<StoredObject> }>;
}

/** A snapshot of this mirror with its objects in the vault. */
export function keptSnapshot(
  snapshot: Pick<Snapshot, "header" | "entries" | "tiles">,
  vault: Pick<Vault, "open" | "get">,
): KeptSnapshot {
  const { header } = snapshot;
  const object = (name: string, key: string) => ({
    name,
    open: async () => (await vault.open(key)) ?? missing(key),
  });
  return {
    ...withVulndb(snapshot, vault),
    async *objects() {
      for (const name of objectNames(header)) yield object(name, snapshotKey(header.name, name));
      if (header.vulndb !== undefined) yield object(VULNDB_OBJECT, header.vulndb);
    },
  };
}

/** The names of a snapshot's objects, what announces it last. */
export function objectNames({ files }: Pick<SnapshotHeader, "files">): string[] {
  return [...Object.keys(files).sort(), HEADER_FILE];
}

function missing(key: string): never {
  throw new MirrorError("absent", key, `${key}: missing in the vault; take another snapshot`);
}

/** Where an export writes: a folder. Names are relative, of plain ASCII, with `/` between the parts. */
export interface BundleTarget {
  /** A new file, in place of one of that name when it is finished. */
  create(name: string): Promise<BundleFileWriter>;
  /** As `create`, for a large file, which is hashed where it is written; absent where the caller is to hash it. */
  createHashed?(name: string): Promise<HashedFileWriter>;
  /** undefined where there is none. */
  open(name: string): Promise<StoredObject | undefined>;
  /** Nothing where there is none. */
  remove(name: string): Promise<void>;
}

/** A file that is written from front to end. */
export interface BundleFileWriter {
  /** The bytes may be used again once it returns. */
  write(bytes: Uint8Array): Promise<void>;
  /** All of it is durable under its name on return; until then a crash leaves at most a temporary file. */
  finish(): Promise<void>;
  /** Leaves nothing; safe to call after `finish`. */
  discard(): Promise<void>;
}

/** A file that is written and hashed apart from the caller, from front to end. */
export interface HashedFileWriter {
  /** Room for the next bytes, once there is some; each is to be given back by `put`. */
  next(): Promise<Uint8Array>;
  /** Takes the first `length` bytes of what `next` gave last. */
  put(length: number): void;
  /** All of it is durable under its name on return; until then a crash leaves at most a temporary file. */
  finish(): Promise<Sha256>;
  /** Leaves nothing; not after `finish`. */
  discard(): Promise<void>;
}

/** A bundle as somebody has brought it: nothing of it is trusted. Volumes with the same bundle.json are one source. */
export interface BundleSource {
  /** For messages: where it lies. */
  readonly name: string;
  /** A file of the bundle by its name without folders, from the first volume that has it; undefined where none has. */
  open(name: string): Promise<StoredObject | undefined>;
  /** Every volume's copy of a file that each has. */
  copies(name: string): AsyncIterable<StoredObject>;
  /** What lies in the bundle's folders besides bundle.json, its note and README.txt, packs among it; full paths. */
  readonly others: readonly string[];
  /** Where packs are files of this machine, a pack's path, so that threads may read it. */
  path?(name: string): string | undefined;
  /** Where files are kept by their SHA-256, a file's; undefined where it has none of that name. Not compared with it. */
  digest?(name: string): Sha256 | undefined;
}

/** What is known of a file that is to be checked besides its SHA-256. */
export type FileCheck =
  | { readonly kind: "zip"; readonly version: ModuleVersion; readonly h1: H1 }
  | { readonly kind: "mod"; readonly version: ModuleVersion; readonly h1: H1 }
  | { readonly kind: "bytes" };

export interface CheckedFile {
  readonly file: BundleFile;
  readonly check: FileCheck;
}

/** A pack that is to be checked: `time` is that of every tar header in it, in seconds since the epoch. */
export interface PackToCheck {
  readonly number: number;
  readonly name: string;
  readonly size: number;
  readonly time: number;
}

/** Where an import keeps what it has checked until all of a bundle is, so that volumes may come one by one. */
export interface BundleStages {
  /**
   * The stage of a bundle, with what an earlier run has left there.
   * @param id the SHA-256 of its bundle.json: another content is another stage.
   */
  open(id: Sha256, source: BundleSource): Promise<BundleStage>;
  /** Gives back what stages of other bundles than these hold. */
  sweep(keep: readonly Sha256[]): Promise<void>;
}

export interface BundleStage {
  /** Whether all of a pack was checked and is kept, perhaps by an earlier run. */
  has(pack: PackToCheck): Promise<boolean>;
  /**
   * Checks files of one pack that lie side by side, tar headers and padding included, and keeps them. May be called
   * before the last call is done.
   * @throws MirrorError mismatch where anything is not as it must be; transient where the disk takes no more.
   */
  take(pack: PackToCheck, files: readonly CheckedFile[]): Promise<void>;
  /** The pack's end is checked, and what was taken of it is durable. A crash before that has it checked once more. */
  finish(pack: PackToCheck): Promise<void>;
  /** Whether `bytes` and `read` give a file as soon as `take` has kept it, before its pack is finished. */
  readonly readsTaken?: true;
  /** A file of a finished pack; the caller disposes of a spool, which stays in the stage. */
  body(file: BundleFile): Promise<Body>;
  /** Of a small one. */
  bytes(file: BundleFile): Promise<Uint8Array>;
  /** A part of a file, however large. */
  read(file: BundleFile, offset: number, length: number): Promise<Uint8Array>;
  /** Whether an earlier run has published it: where runs are bounded in time, none does it twice. */
  isPublished?(file: BundleFile): boolean;
  /** It is in the tree. */
  published?(file: BundleFile): void;
  /** Whether an earlier run has proven all lookups of this stage, which need not be done again. */
  isProven?(): boolean;
  /** All lookups of it are proven. */
  proven?(): Promise<void>;
  /** Gives back what it holds open; what it keeps stays. */
  close(): Promise<void>;
  /** Removes all. */
  clear(): Promise<void>;
}
