import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Sha256, sha256Of } from "../../mirror/body.ts";
import { BUNDLE_JSON, BUNDLE_NOTE, BUNDLE_README, type BundlePack } from "../../mirror/bundle/bundle-json.ts";
import type { BundleTarget } from "../../mirror/bundle/bundle-ports.ts";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import { sha256OfObject } from "../../mirror/object-sha256.ts";
import { BundleFolder, openFile, syncFolder } from "./bundle-target.ts";
import { fileError } from "./file-error.ts";
import {
  BLOBS,
  type Blob,
  type BundleLayers,
  checkLayoutFile,
  EMPTY_CONFIG,
  INDEX_FILE,
  LARGEST_LAYOUT_FILE,
  LARGEST_MANIFEST,
  LAYOUT_CONTENT,
  LAYOUT_FILE,
  parseIndex,
  parseManifest,
  printIndex,
  printManifest,
} from "./oci-layout.ts";
import { isOfSystems, readSmallFile } from "./oci-layout-files.ts";
import { type LayoutLock, lockLayout } from "./oci-layout-lock.ts";

/** Beside the layout while bundles of it are being made: a folder for each, and the lock. */
const STAGES = ".modferry-oci";
/** In a bundle's stage. Once its manifest is there the bundle is whole, and whoever comes next puts it into the layout. */
const MANIFEST = "manifest.json";
/** The manifest that had its name before, whose blobs go with it. */
const REPLACED = "replaced.json";

/** An OCI image layout that bundles are put into, by one process at a time. */
export class OciLayout {
  readonly #root: string;
  readonly #folder: BundleFolder;
  readonly #lock: LayoutLock;

  private constructor(root: string, lock: LayoutLock) {
    this.#root = root;
    this.#folder = new BundleFolder(root);
    this.#lock = lock;
  }

  /**
   * Opens a layout, or begins one in a folder that is empty or not there; what a killed export has left whole is put in.
   * @throws MirrorError misuse where the folder holds something else, or another process is at it.
   */
  static async open(root: string): Promise<OciLayout> {
    try {
      mkdirSync(root, { recursive: true });
      const names = readdirSync(root).filter((name) => !name.startsWith(".") && !isOfSystems(name));
      if (names.length > 0 && !names.includes(LAYOUT_FILE))
        throw misuse(
          "--to",
          `--to ${root}: holds other files, and is no OCI image layout; name such a one, or an empty folder`,
        );
    } catch (error) {
      throw fileError(error, root);
    }
    const layout = new OciLayout(root, lockLayout(join(root, STAGES, "lock"), root));
    try {
      await layout.#begin();
      await layout.#recover();
      return layout;
    } catch (thrown) {
      layout.close();
      throw thrown;
    }
  }

  /** Where a bundle is written before it is put in. @throws MirrorError misuse where its name is another thing's. */
  async stage(bundle: string): Promise<BundleTarget> {
    await this.#holderOf(bundle);
    return new BundleFolder(join(this.#root, STAGES, bundle));
  }

  /**
   * Puts a bundle that is whole in its stage into the layout: its files become blobs, by renaming; then index.json names
   * it. A crash leaves the layout as it was or is finished by whoever opens it next.
   * @param created of the state that it leads to, in ms since the epoch.
   * @returns the manifest's digest.
   */
  async put(bundle: string, packs: readonly BundlePack[], created: number): Promise<Sha256> {
    const stage = join(STAGES, bundle);
    const layers = new Map<string, Blob>(
      packs.map(({ name, sha256, size }) => [name, { digest: sha256 as Sha256, size }]),
    );
    for (const name of [BUNDLE_README, BUNDLE_JSON, BUNDLE_NOTE])
      layers.set(name, await blobOf(join(this.#root, stage, name)));
    const manifest = printManifest(layers, created);
    if (manifest.byteLength > LARGEST_MANIFEST)
      throw misuse("--format", `--format oci: ${packs.length} packs are more than one manifest can name`);
    const replaced = await this.#holderOf(bundle);
    if (replaced === undefined || replaced.digest === sha256Of(manifest))
      await this.#folder.remove(join(stage, REPLACED));
    else await this.#write(join(stage, REPLACED), replaced.bytes);
    await this.#write(join(stage, MANIFEST), manifest);
    return await this.#finish(bundle);
  }

  close(): void {
    this.#lock.release();
  }

  async #begin(): Promise<void> {
    const version = await readSmallFile(join(this.#root, LAYOUT_FILE), LARGEST_LAYOUT_FILE);
    if (version === undefined) await this.#write(LAYOUT_FILE, LAYOUT_CONTENT);
    else checkLayoutFile(version, join(this.#root, LAYOUT_FILE));
    mkdirSync(join(this.#root, BLOBS), { recursive: true });
    const index = await this.#index();
    if (index !== undefined) parseIndex(index, join(this.#root, INDEX_FILE));
    else if (readdirSync(join(this.#root, BLOBS)).length === 0)
      await this.#write(INDEX_FILE, printIndex(undefined));
    else throw misuse("--to", `--to ${this.#root}: its ${INDEX_FILE} is lost; name another folder`);
  }

  async #recover(): Promise<void> {
    for (const entry of readdirSync(join(this.#root, STAGES), { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const manifest = statSync(join(this.#root, STAGES, entry.name, MANIFEST), { throwIfNoEntry: false });
      if (manifest !== undefined) await this.#finish(entry.name);
    }
  }

  /** Each step may have been done before. */
  async #finish(bundle: string): Promise<Sha256> {
    const stage = join(this.#root, STAGES, bundle);
    const manifest = (await readSmallFile(join(stage, MANIFEST), LARGEST_MANIFEST)) ?? new Uint8Array();
    const before = await readSmallFile(join(stage, REPLACED), LARGEST_MANIFEST);
    const digest = sha256Of(manifest);
    await this.#moveBlobs(stage, parseManifest(manifest, join(stage, MANIFEST)));
    await this.#write(join(BLOBS, sha256Of(EMPTY_CONFIG)), EMPTY_CONFIG);
    await this.#write(join(BLOBS, digest), manifest);
    const old = before === undefined ? undefined : sha256Of(before);
    const index = await this.#index();
    const named = { digest, size: manifest.byteLength };
    if (!parsed(index, this.#root).some((one) => one.digest === digest && one.ref === bundle)) {
      const next = printIndex(index, { ref: bundle, manifest: named, replaced: old });
      if (next.byteLength > LARGEST_MANIFEST)
        throw misuse("--to", `--to ${this.#root}: its ${INDEX_FILE} is full; name another folder`);
      await this.#write(INDEX_FILE, next);
    }
    if (before !== undefined) await this.#removeBlobs(before);
    rmSync(stage, { recursive: true, force: true });
    return digest;
  }

  async #moveBlobs(stage: string, layers: BundleLayers): Promise<void> {
    try {
      for (const [title, { digest, size }] of layers) {
        const blob = join(this.#root, BLOBS, digest);
        const staged = join(stage, title);
        if (statSync(staged, { throwIfNoEntry: false }) !== undefined) renameSync(staged, blob);
        else if (statSync(blob, { throwIfNoEntry: false })?.size !== size)
          throw new MirrorError(
            "absent",
            staged,
            `${staged}: gone while it was put into the layout; remove ${stage} and export again`,
          );
      }
      await syncFolder(join(this.#root, BLOBS));
    } catch (error) {
      throw fileError(error, this.#root);
    }
  }

  /** Of a manifest that index.json names no more: what no other one there has. Where one is not ours, all stay. */
  async #removeBlobs(manifest: Uint8Array): Promise<void> {
    const kept = new Set<Sha256>([sha256Of(EMPTY_CONFIG)]);
    for (const { digest } of parsed(await this.#index(), this.#root)) {
      const layers = await this.#bundle(digest);
      if (layers === undefined) return;
      for (const one of [digest, ...[...layers.values()].map((layer) => layer.digest)]) kept.add(one);
    }
    const layers = parseManifest(manifest, REPLACED);
    for (const digest of [sha256Of(manifest), ...[...layers.values()].map((layer) => layer.digest)])
      if (!kept.has(digest)) await this.#folder.remove(join(BLOBS, digest));
  }

  /** The bundle that has this name now. @throws MirrorError misuse where it is none. */
  async #holderOf(
    bundle: string,
  ): Promise<{ readonly digest: Sha256; readonly bytes: Uint8Array } | undefined> {
    const held = parsed(await this.#index(), this.#root).find(({ ref }) => ref === bundle);
    if (held === undefined) return undefined;
    const bytes = await readSmallFile(join(this.#root, BLOBS, held.digest), LARGEST_MANIFEST);
    if (bytes !== undefined && (await this.#bundle(held.digest)) !== undefined)
      return { digest: held.digest, bytes };
    throw misuse(
      "--to",
      `--to ${this.#root}: has something else, or damaged, by the name ${bundle}; name another folder`,
    );
  }

  /** undefined where it is no bundle, or not whole. */
  async #bundle(digest: Sha256): Promise<BundleLayers | undefined> {
    const bytes = await readSmallFile(join(this.#root, BLOBS, digest), LARGEST_MANIFEST);
    if (bytes === undefined || sha256Of(bytes) !== digest) return undefined;
    try {
      return parseManifest(bytes, digest);
    } catch (thrown) {
      if (thrown instanceof MirrorError && thrown.class === "malformed") return undefined;
      throw thrown;
    }
  }

  #index(): Promise<Uint8Array | undefined> {
    return readSmallFile(join(this.#root, INDEX_FILE), LARGEST_MANIFEST);
  }

  async #write(name: string, bytes: Uint8Array): Promise<void> {
    const writer = await this.#folder.create(name);
    try {
      await writer.write(bytes);
      await writer.finish();
    } finally {
      await writer.discard();
    }
  }
}

const parsed = (index: Uint8Array | undefined, root: string) =>
  index === undefined ? [] : parseIndex(index, join(root, INDEX_FILE));

async function blobOf(path: string): Promise<Blob> {
  const stored = await openFile(path);
  if (stored === undefined) throw new MirrorError("absent", path, `${path}: has vanished; export again`);
  try {
    return { digest: await sha256OfObject(stored), size: stored.size };
  } finally {
    await stored.close();
  }
}
