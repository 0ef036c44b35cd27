import { misuse } from "../errors.ts";
import { printFile } from "./bundle-json.ts";
import { LARGEST_README } from "./readme.ts";
import { TAR_END, tarExtent } from "./tar-format.ts";

/** Without a volume's size a pack has so many bytes at most: FAT32 takes files below 4 GiB. */
export const LARGEST_PACK = 4_000_000_000;
/** What a disc's file system needs besides the files (UDF, ISO 9660): measured well below a megabyte. */
const FILE_SYSTEM = 2 * 1024 * 1024;
/** bundle.json without its lists, its note, and what a pack's line adds. */
const LARGEST_HEADER = 64 * 1024;
const PACK_LINE = 150;
/** What a file's size may have as digits where the snapshot does not tell it: `.info`, lookups, tiles. */
const UNTOLD_SIZE = 99_999_999;

/** A file of a bundle, as far as it is known before it is read. */
export interface PlannedFile {
  readonly path: string;
  readonly size?: number;
}

/** How much fits into a pack, so that with all that lies beside it a volume keeps its size. */
export interface PackLimit {
  readonly bytes: number;
}

/**
 * Looks through what a bundle is to hold, without reading any of it.
 * @param volumeSize of a disc, in bytes; undefined for packs of LARGEST_PACK.
 * @throws MirrorError misuse where a volume is too small for the list of files, which each carries, or for one file.
 */
export async function packLimit(
  files: AsyncIterable<PlannedFile>,
  removed: AsyncIterable<string>,
  volumeSize: number | undefined,
): Promise<PackLimit> {
  if (volumeSize === undefined) return { bytes: LARGEST_PACK };
  let beside = FILE_SYSTEM + LARGEST_HEADER + LARGEST_README;
  let largest = 0;
  let total = 0;
  for await (const { path, size } of files) {
    const line = {
      path,
      size: size ?? UNTOLD_SIZE,
      sha256: "0".repeat(64),
      pack: 99_999,
      offset: volumeSize,
    };
    beside += printFile(line as Parameters<typeof printFile>[0]).length + 2;
    const extent = tarExtent(path, size ?? 0);
    largest = Math.max(largest, extent);
    total += extent;
  }
  for await (const version of removed) beside += version.length + 4;
  // Each volume's bundle.json names all packs; as they grow smaller there are more of them.
  let room = volumeSize - beside;
  if (room > 0) room -= PACK_LINE * Math.ceil(total / room);
  const needed = largest + TAR_END.byteLength;
  if (room >= needed) return { bytes: room };
  const least = beside + needed + PACK_LINE * 1_000;
  throw misuse(
    "--volume-size",
    `--volume-size: too small: each volume holds the list of all files, and the largest file whole; give at least ${Math.ceil(least / 1e6)}MB`,
  );
}

/** Where a snapshot's own objects lie in a bundle, outside of module space. */
export function snapshotFolder(bundle: string): string {
  return `-/bundle/${bundle}/snapshot/`;
}
