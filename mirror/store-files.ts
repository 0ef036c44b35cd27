import { type H1, h1OfGoMod } from "../gomod/dirhash.ts";
import { type Info, parseInfo, printInfo } from "../gomod/info.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { type Body, isSpool, type Sha256, sha256Of, sha256Stream, sizeOf } from "./body.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import type { MirrorParts } from "./parts.ts";
import type { StoredObject, TreeObject } from "./ports.ts";
import { infoKey, listKey, modKey, type TreeKey, zipKey } from "./tree-keys.ts";

/** cmd/go's limit of a go.mod file (cmd/go/internal/modfetch/codehost, MaxGoMod). */
export const LARGEST_GO_MOD = 16 * 1024 * 1024;
/** An `.info` of ours is far below this. */
export const LARGEST_INFO = 64 * 1024;

type StoreParts = Pick<MirrorParts, "tree" | "zips">;

/** A version's files as they were proven. */
export interface ProvenFiles {
  readonly mod?: { readonly bytes: Uint8Array; readonly h1: H1 | undefined };
  readonly zip?: { readonly body: Body; readonly h1: H1 };
  readonly info?: Info;
}

/** What the tree holds of a file now. */
interface Stored {
  readonly sha256: Sha256;
  readonly size: number;
}

export interface StoredFiles {
  readonly mod?: Stored;
  readonly zip?: Stored;
  readonly info?: { readonly sha256: Sha256; readonly time: string | undefined };
}

/** Stores one of the files, or says that it is there. */
type Create = (object: TreeObject) => Promise<"created" | "exists">;

/**
 * Stores a version's files in the order of publishing: `.mod`, zip, `.info`, each create-only; all of them in one call where
 * the tree has one for it. What is there already is compared, and stays.
 * @throws MirrorError `mismatch` where the tree's own file is not what is proven.
 */
export async function storeFiles(
  parts: StoreParts,
  version: ModuleVersion,
  files: ProvenFiles,
): Promise<StoredFiles> {
  const objects = objectsOf(version, files);
  // Of a module that is held whole, with them comes the list that it then needs (mirror/publish.ts, ensureList).
  const list: TreeObject[] = files.zip === undefined ? [] : [emptyList(version.path)];
  const together = await parts.tree.createAll?.([...objects, ...list]);
  const create: Create = async ({ key, body, sha256 }) =>
    together?.[objects.findIndex((object) => object.key === key)] ??
    (await parts.tree.create(key, body, sha256));
  const [mod, zip, info] = [modKey(version), zipKey(version), infoKey(version)].map((key) =>
    objects.find((object) => object.key === key),
  );
  const storedMod = mod && (await storeMod(parts, version, mod, files.mod?.h1, create));
  const storedZip = zip && (await storeZip(parts, version, zip, files.zip?.h1, create));
  const storedInfo = info && (await storeInfo(parts, version, info, files.info?.time, create));
  return {
    ...(storedMod && { mod: storedMod }),
    ...(storedZip && { zip: storedZip }),
    ...(storedInfo && { info: storedInfo }),
  };
}

function emptyList(path: ModulePath): TreeObject {
  const body = new Uint8Array();
  return { key: listKey(path), body, sha256: sha256Of(body) };
}

function objectsOf(version: ModuleVersion, { mod, zip, info }: ProvenFiles): TreeObject[] {
  const objects: TreeObject[] = [];
  const add = (key: TreeKey, body: Body) =>
    objects.push({ key, body, sha256: isSpool(body) ? body.sha256 : sha256Of(body) });
  if (mod !== undefined) add(modKey(version), mod.bytes);
  if (zip !== undefined) add(zipKey(version), zip.body);
  if (info !== undefined) add(infoKey(version), new TextEncoder().encode(printInfo(info)));
  return objects;
}

async function storeMod(
  { tree }: StoreParts,
  version: ModuleVersion,
  object: TreeObject,
  h1: H1 | undefined,
  create: Create,
): Promise<Stored> {
  const { key, body, sha256 } = object;
  if ((await create(object)) === "exists") {
    const stored = await tree.get(key, LARGEST_GO_MOD);
    if (stored === undefined) throw vanished(key);
    if (h1OfGoMod(stored.bytes) !== h1) throw damaged(version, key);
  }
  return { sha256, size: sizeOf(body) };
}

/** Two upstreams may compress differently: where a zip is there with the same h1, it stays, and its SHA-256 counts. */
async function storeZip(
  parts: StoreParts,
  version: ModuleVersion,
  object: TreeObject,
  h1: H1 | undefined,
  create: Create,
): Promise<Stored> {
  const { key, body, sha256 } = object;
  if ((await create(object)) === "created") return { sha256, size: sizeOf(body) };
  const stored = await parts.tree.open(key);
  if (stored === undefined) throw vanished(key);
  try {
    const present = await checkStoredZip(parts, stored, version).catch((thrown: unknown) => {
      // Cut short, or no zip at all: upstream's is proven, so it is the tree's that is wrong.
      throw asMirrorError(thrown, key).class === "malformed" ? damaged(version, key) : thrown;
    });
    if (present.h1 !== h1) throw damaged(version, key);
    return { sha256: present.sha256, size: stored.size };
  } finally {
    await stored.close();
  }
}

async function checkStoredZip(
  parts: Pick<StoreParts, "zips">,
  stored: StoredObject,
  version: ModuleVersion,
): Promise<{ h1: H1; sha256: Sha256 }> {
  const running = sha256Stream();
  for await (const chunk of stored.stream()) running.update(chunk);
  const checked = await parts.zips.checkStored(stored, version);
  return { h1: checked.h1, sha256: running.digest() };
}

/** The first one stays: Time and Origin may differ between upstreams, the version cannot. */
async function storeInfo(
  { tree }: StoreParts,
  version: ModuleVersion,
  object: TreeObject,
  time: string | undefined,
  create: Create,
): Promise<{ sha256: Sha256; time: string | undefined }> {
  const { key, sha256 } = object;
  if ((await create(object)) === "created") return { sha256, time };
  const stored = await tree.get(key, LARGEST_INFO);
  if (stored === undefined) throw vanished(key);
  return { sha256: sha256Of(stored.bytes), time: parseInfoOf(version, stored.bytes).time };
}

/** @throws MirrorError `malformed`, with the bytes as evidence. */
export function parseInfoOf(version: ModuleVersion, bytes: Uint8Array): Info {
  try {
    return parseInfo(bytes, version.version);
  } catch (cause) {
    const subject = formatModuleVersion(version);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MirrorError("malformed", subject, `${subject}: .info: ${reason}`, { cause, evidence: bytes });
  }
}

function vanished(key: TreeKey): MirrorError {
  return new MirrorError("transient", key, `${key}: was there and is gone; try again`);
}

function damaged(version: ModuleVersion, key: TreeKey): MirrorError {
  const subject = formatModuleVersion(version);
  return new MirrorError(
    "mismatch",
    subject,
    `${subject}: the tree's ${key} is not what is proven; run \`modferry verify\`, remove that file and sync again`,
  );
}
