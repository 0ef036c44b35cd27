import { z } from "zod";
import { type Sha256, sha256Of } from "../../mirror/body.ts";
import { BUNDLE_JSON, BUNDLE_NOTE, BUNDLE_README } from "../../mirror/bundle/bundle-json.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { parseJson } from "../../mirror/vulnerability.ts";

/** OCI image-spec v1.1, image-layout.md. */
export const LAYOUT_FILE = "oci-layout";
export const INDEX_FILE = "index.json";
export const BLOBS = "blobs/sha256";
/** What registries take of a manifest at most (distribution-spec, Pushing Manifests); more no index of ours has either. */
export const LARGEST_MANIFEST = 4 * 1024 * 1024;
/** A version and nothing else. */
export const LARGEST_LAYOUT_FILE = 4096;

const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
const BUNDLE_TYPE = "application/vnd.modferry.bundle.v1";
const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar";
const TITLE = "org.opencontainers.image.title";
const REF_NAME = "org.opencontainers.image.ref.name";
const CREATED = "org.opencontainers.image.created";

/** manifest.md, Guidance for an Empty Descriptor. */
export const EMPTY_CONFIG: Uint8Array = Buffer.from("{}");
const EMPTY_TYPE = "application/vnd.oci.empty.v1+json";

const FILE_TYPES: Readonly<Record<string, string>> = {
  [BUNDLE_README]: "text/plain",
  [BUNDLE_JSON]: "application/vnd.modferry.bundle.list.v1+json",
  [BUNDLE_NOTE]: "application/vnd.modferry.bundle.note.v1",
};
const PACK = /^pack-\d{4,6}\.tar$/;

const digest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, "not sha256: and a SHA-256")
  .transform((text) => text.slice("sha256:".length) as Sha256);
const annotations = z.record(z.string(), z.string());
/** descriptor.md. What more it may have (urls, data, platform) is left unread. */
const descriptor = z.object({
  mediaType: z.string(),
  digest,
  size: z.int().min(0),
  annotations: z.exactOptional(annotations),
});
const layoutShape = z.object({ imageLayoutVersion: z.literal("1.0.0") });
const indexShape = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.exactOptional(z.literal(INDEX_TYPE)),
  manifests: z.array(descriptor),
});
const manifestShape = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.exactOptional(z.literal(MANIFEST_TYPE)),
  artifactType: z.literal(BUNDLE_TYPE, "no bundle of modferry"),
  config: descriptor.extend({ mediaType: z.literal(EMPTY_TYPE) }),
  layers: z.array(descriptor),
});

/** A blob as a descriptor names it; its file lies in BLOBS under its digest. */
export interface Blob {
  readonly digest: Sha256;
  /** In bytes. */
  readonly size: number;
}

/** A manifest as index.json names it. */
export interface NamedManifest extends Blob {
  /** Where it may be a bundle; else an index, or another kind of manifest. */
  readonly isManifest: boolean;
  /** org.opencontainers.image.ref.name; attacker-controlled. */
  readonly ref: string | undefined;
}

/** The layers of a bundle's manifest by title, each a name that a bundle's file may have. */
export type BundleLayers = ReadonlyMap<string, Blob>;

/** @throws MirrorError malformed, here and below: one line, naming the field. */
export function checkLayoutFile(bytes: Uint8Array, subject: string): void {
  parseJson(layoutShape, bytes, subject);
}

export const LAYOUT_CONTENT: Uint8Array = Buffer.from('{"imageLayoutVersion":"1.0.0"}');

/** What index.json names, in its order, one digest perhaps under several names. */
export function parseIndex(bytes: Uint8Array, subject: string): NamedManifest[] {
  return parseJson(indexShape, bytes, subject).manifests.map(
    ({ mediaType, annotations: notes, ...blob }) => ({
      digest: blob.digest,
      size: blob.size,
      isManifest: mediaType === MANIFEST_TYPE,
      ref: notes?.[REF_NAME],
    }),
  );
}

/** A bundle's manifest: each layer titled as a file of a bundle, with that file's media type. Attacker-controlled. */
export function parseManifest(bytes: Uint8Array, subject: string): BundleLayers {
  const { config, layers } = parseJson(manifestShape, bytes, subject);
  if (config.digest !== sha256Of(EMPTY_CONFIG) || config.size !== EMPTY_CONFIG.byteLength)
    throw malformed(subject, "config: not the empty one");
  const named = new Map<string, Blob>();
  for (const [at, { mediaType, annotations: notes, digest: hash, size }] of layers.entries()) {
    const title = notes?.[TITLE] ?? "";
    const expected = typeOf(title);
    if (expected === undefined)
      throw malformed(subject, `layers.${at}: its title is ${shown(title)}, which no file of a bundle has`);
    if (named.has(title)) throw malformed(subject, `layers.${at}: a second ${title}`);
    if (mediaType !== expected)
      throw malformed(
        subject,
        `layers.${at}: ${title} is ${shown(mediaType)} instead of ${expected}; copy it as it is`,
      );
    named.set(title, { digest: hash, size });
  }
  return named;
}

const typeOf = (title: string): string | undefined =>
  PACK.test(title) ? LAYER_TYPE : Object.hasOwn(FILE_TYPES, title) ? FILE_TYPES[title] : undefined;

/** A bundle's manifest. @param created of the state that it leads to, in ms since the epoch. */
export function printManifest(layers: BundleLayers, created: number): Uint8Array {
  return printed({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    artifactType: BUNDLE_TYPE,
    config: described(EMPTY_TYPE, { digest: sha256Of(EMPTY_CONFIG), size: EMPTY_CONFIG.byteLength }),
    layers: [...layers].map(([title, blob]) => ({
      ...described(typeOf(title) ?? "", blob),
      annotations: { [TITLE]: title },
    })),
    annotations: { [CREATED]: new Date(created).toISOString() },
  });
}

/**
 * index.json with a bundle's manifest under a name: in the place of `replaced`, else at the end. All else of it stays as
 * it was, known to us or not.
 * @param before undefined where there is none yet.
 */
export function printIndex(
  before: Uint8Array | undefined,
  added?: { readonly ref: string; readonly manifest: Blob; readonly replaced: Sha256 | undefined },
): Uint8Array {
  const index: { manifests: { digest: string; annotations?: Record<string, string> }[] } =
    before === undefined
      ? { schemaVersion: 2, mediaType: INDEX_TYPE, manifests: [] }
      : JSON.parse(Buffer.from(before).toString());
  if (added === undefined) return printed(index);
  const { ref, manifest, replaced } = added;
  const entry = {
    ...described(MANIFEST_TYPE, manifest),
    artifactType: BUNDLE_TYPE,
    annotations: { [REF_NAME]: ref },
  };
  const isOld = (one: (typeof index.manifests)[number]) =>
    one.digest === `sha256:${replaced}` && one.annotations?.[REF_NAME] === ref;
  const at = index.manifests.findIndex(isOld);
  const kept = index.manifests.filter((one) => !isOld(one));
  return printed({ ...index, manifests: kept.toSpliced(at < 0 ? kept.length : at, 0, entry) });
}

const described = (mediaType: string, { digest: hash, size }: Blob) => ({
  mediaType,
  digest: `sha256:${hash}`,
  size,
});

const printed = (json: unknown): Uint8Array => Buffer.from(JSON.stringify(json));

const shown = (text: string): string => JSON.stringify(text.slice(0, 100));

function malformed(subject: string, what: string): MirrorError {
  return new MirrorError("malformed", subject, `${subject}: ${what}`);
}
