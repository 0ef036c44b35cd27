import type { ModuleVersion } from "../../gomod/version.ts";
import { type Body, isSpool } from "../body.ts";
import type { BundleFile } from "../bundle/bundle-json.ts";
import type { OpenedBundle } from "../bundle/opened-bundle.ts";
import { MirrorError } from "../errors.ts";
import { inParallel } from "../in-parallel.ts";
import type { StoredObject, Tree } from "../ports.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { SnapshotEntry } from "../snapshot/snapshot-entry.ts";
import type { SpoolBody } from "../snapshot/spooled-runs.ts";
import { parseTreeKey, type TreeEntry } from "../tree-keys.ts";

export interface FromBundlesParts {
  readonly tree: Tree;
  readonly spool: SpoolBody;
  /** Whether the zip of a version may be in the tree: a block that was decided since keeps it out. */
  readonly admits: (version: ModuleVersion) => Promise<boolean>;
  /** Told of each file that came back, with its size. */
  readonly progress: (bytes: number) => void;
}

/** Files stored at a time: most of a small one's time is the fsync. */
const FILES_AT_ONCE = 16;

/**
 * Brings back what the tree lacks of a snapshot from a bundle whose signature was checked: a version's files where they
 * are, byte for byte, what the snapshot names; lookups and tiles as they are, which every client proves. Lists and heads
 * are made anew, never taken.
 */
export async function restoreFromBundle(
  parts: FromBundlesParts,
  snapshot: Snapshot,
  bundle: OpenedBundle,
): Promise<void> {
  const packs = new Map<number, StoredObject>();
  const wanted = wantedBy(parts, snapshot);
  try {
    await inParallel(bundle.files(), FILES_AT_ONCE, async (file) => {
      const entry = parseTreeKey(file.path);
      if (entry === undefined || !(await wanted(entry, file))) return;
      const there = await parts.tree.open(entry.key);
      await there?.close();
      if (there !== undefined) return;
      const pack = packs.get(file.pack) ?? (await openPack(bundle, file.pack));
      packs.set(file.pack, pack);
      const body = await bodyOf(parts, pack, file);
      try {
        await parts.tree.create(entry.key, body, file.sha256);
        parts.progress(file.size);
      } finally {
        if (isSpool(body)) await body.dispose();
      }
    });
  } finally {
    for (const pack of packs.values()) await pack.close();
  }
}

function wantedBy(parts: FromBundlesParts, snapshot: Snapshot) {
  return async (entry: TreeEntry, file: BundleFile): Promise<boolean> => {
    if (entry.kind === "tile") return true;
    if (entry.kind === "lookup") return true;
    if (entry.kind !== "mod" && entry.kind !== "info" && entry.kind !== "zip") return false;
    const { path, version } = entry.version;
    const named = (await snapshot.module(path)).find((one) => one.version === version);
    if (named === undefined || sha256In(named, entry.kind) !== file.sha256) return false;
    return entry.kind !== "zip" || (await parts.admits(entry.version));
  };
}

function sha256In(entry: SnapshotEntry, kind: "mod" | "info" | "zip") {
  return { mod: entry.modSha256, info: entry.infoSha256, zip: entry.zipSha256 }[kind];
}

async function openPack(bundle: OpenedBundle, number: number): Promise<StoredObject> {
  const name = bundle.packs[number]?.name ?? "";
  const pack = await bundle.source.open(name);
  if (pack !== undefined) return pack;
  throw new MirrorError("absent", name, `${bundle.source.name}: ${name} is missing; put its volume in`);
}

async function bodyOf({ spool }: FromBundlesParts, pack: StoredObject, file: BundleFile): Promise<Body> {
  if (file.size === 0) return new Uint8Array();
  const range = { start: file.offset, end: file.offset + file.size - 1 };
  return await spool(pack.stream(range), file.size, file.path);
}
