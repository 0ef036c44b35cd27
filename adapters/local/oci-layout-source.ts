import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Sha256, sha256Of } from "../../mirror/body.ts";
import { BUNDLE_JSON, BUNDLE_NOTE } from "../../mirror/bundle/bundle-json.ts";
import type { BundleSource } from "../../mirror/bundle/bundle-ports.ts";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import { sha256OfObject } from "../../mirror/object-sha256.ts";
import type { StoredObject } from "../../mirror/ports.ts";
import { openFile } from "./bundle-target.ts";
import { codeOf, fileError } from "./file-error.ts";
import {
  BLOBS,
  type Blob,
  type BundleLayers,
  checkLayoutFile,
  EMPTY_CONFIG,
  INDEX_FILE,
  LARGEST_LAYOUT_FILE,
  LARGEST_MANIFEST,
  LAYOUT_FILE,
  type NamedManifest,
  parseIndex,
  parseManifest,
} from "./oci-layout.ts";
import { isOfSystems, readSmallFile } from "./oci-layout-files.ts";

/** What its writers leave in a layout, empty. */
const INGEST = "ingest";
const REMEDY =
  "copy the bundles alone into another layout, as `skopeo copy oci:DIR:NAME oci:OTHER:NAME` does";

/** A bundle in a layout. */
interface LayoutBundle {
  /** The SHA-256 of bundle.json and of its note, as for volumes of a bundle. */
  readonly content: string;
  readonly source: BundleSource;
}

/**
 * The bundles of an OCI image layout. Attacker-controlled: a layout has bundles and nothing else, every blob is there
 * with the size that its manifest says, and manifests, lists and notes have their digests. Those of packs are for openBundle
 * to compare with what is signed; an import then checks each byte.
 * @throws MirrorError malformed, mismatch or absent of the first thing that is otherwise.
 */
export async function layoutBundles(root: string): Promise<LayoutBundle[]> {
  checkLayoutFile(await required(root, LAYOUT_FILE, LARGEST_LAYOUT_FILE), join(root, LAYOUT_FILE));
  const index = parseIndex(await required(root, INDEX_FILE, LARGEST_MANIFEST), join(root, INDEX_FILE));
  const manifests = new Map(index.map((named) => [named.digest, named]));
  if (manifests.size === 0) throw misuse(root, `${root}: no bundle in this OCI image layout`);
  const known = new Set<Sha256>();
  const found: LayoutBundle[] = [];
  for (const named of manifests.values()) {
    const layers = await layersOf(root, named);
    for (const { digest } of [named, ...layers.values()]) known.add(digest);
    const source = new LayoutSource(root, nameOf(named), layers);
    for (const [title, blob] of layers) {
      if (sizeOf(root, blob) !== blob.size)
        throw wrong(`${source.name}/${title}`, `its blob ${blob.digest} is missing, or of another size`);
      if (title.startsWith("pack-")) continue;
      if ((await hashOf(join(root, BLOBS, blob.digest))) !== blob.digest)
        throw wrong(`${source.name}/${title}`, "its SHA-256 is not its digest; it was damaged or exchanged");
    }
    const content = [BUNDLE_JSON, BUNDLE_NOTE].map((title) => layers.get(title)?.digest ?? "").join(" ");
    found.push({ content, source });
  }
  known.add(sha256Of(EMPTY_CONFIG));
  refuseOthers(root, known);
  return found;
}

async function layersOf(root: string, named: NamedManifest): Promise<BundleLayers> {
  const subject = `${root}:${nameOf(named)}`;
  if (!named.isManifest) throw wrong(subject, `no bundle of modferry; ${REMEDY}`);
  const layers = parseManifest(await blobOf(root, named), subject);
  await blobOf(root, { digest: sha256Of(EMPTY_CONFIG), size: EMPTY_CONFIG.byteLength });
  return layers;
}

async function blobOf(root: string, { digest, size }: Blob): Promise<Uint8Array> {
  const bytes = await required(root, `${BLOBS}/${digest}`, LARGEST_MANIFEST);
  if (bytes.byteLength === size && sha256Of(bytes) === digest) return bytes;
  throw wrong(root, `${BLOBS}/${digest} has another SHA-256; it was damaged or exchanged`);
}

/** For messages: its name where that is one, else its digest. */
function nameOf({ ref, digest }: NamedManifest): string {
  return ref !== undefined && /^[0-9A-Za-z._-]{1,128}$/.test(ref) ? ref : `sha256:${digest.slice(0, 16)}`;
}

async function required(root: string, name: string, limit: number): Promise<Uint8Array> {
  const bytes = await readSmallFile(join(root, name), limit);
  if (bytes !== undefined) return bytes;
  throw new MirrorError("absent", root, `${root}: ${name} is missing`);
}

/** undefined where it is no plain file. */
function sizeOf(root: string, { digest }: Blob): number | undefined {
  const stat = lstatSync(join(root, BLOBS, digest), { throwIfNoEntry: false });
  return stat?.isFile() === true ? stat.size : undefined;
}

async function hashOf(path: string): Promise<Sha256> {
  const stored = await openFile(path);
  if (stored === undefined) throw new MirrorError("absent", path, `${path}: has vanished`);
  try {
    return await sha256OfObject(stored);
  } finally {
    await stored.close();
  }
}

/** As of a bundle in a folder: what lies there besides is nobody's, or has been brought along. */
function refuseOthers(root: string, known: ReadonlySet<string>): void {
  const own: Readonly<Record<string, ReadonlySet<string>>> = {
    "": new Set([LAYOUT_FILE, INDEX_FILE, "blobs"]),
    blobs: new Set(["sha256"]),
    [BLOBS]: known,
  };
  for (const [folder, names] of Object.entries(own))
    for (const name of namesIn(join(root, folder))) {
      if (names.has(name) || name.startsWith(".") || isOfSystems(name)) continue;
      if (folder === "" && name === INGEST && namesIn(join(root, name)).length === 0) continue;
      const other = join(root, folder, name);
      throw wrong(root, `${other} is no part of a bundle; remove it and ask who put it there, or ${REMEDY}`);
    }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (codeOf(error) === "ENOTDIR") return [folder];
    throw fileError(error, folder);
  }
}

class LayoutSource implements BundleSource {
  readonly name: string;
  readonly others: readonly string[];
  readonly #root: string;
  readonly #layers: BundleLayers;

  constructor(root: string, name: string, layers: BundleLayers) {
    this.#root = root;
    this.#layers = layers;
    this.name = `${root}:${name}`;
    this.others = [...layers.keys()]
      .filter((title) => title.startsWith("pack-"))
      .map((title) => `${this.name}/${title}`);
  }

  async open(name: string): Promise<StoredObject | undefined> {
    const path = this.path(name);
    return path === undefined ? undefined : await openFile(path);
  }

  async *copies(name: string): AsyncGenerator<StoredObject> {
    const stored = await this.open(name);
    if (stored !== undefined) yield stored;
  }

  path(name: string): string | undefined {
    const blob = this.#layers.get(name);
    return blob === undefined ? undefined : join(this.#root, BLOBS, blob.digest);
  }

  digest(name: string): Sha256 | undefined {
    return this.#layers.get(name)?.digest;
  }
}

function wrong(subject: string, what: string): MirrorError {
  return new MirrorError("mismatch", subject, `${subject}: ${what}`);
}
