import { type Body, isSpool, type Sha256, sha256Of } from "../body.ts";
import { MirrorError } from "../errors.ts";
import { sha256OfObject } from "../object-sha256.ts";
import type { StoredObject, Vault } from "../ports.ts";
import { openSnapshot, readHeader } from "../snapshot/open-snapshot.ts";
import { HEADER_FILE, type SnapshotName, snapshotKey, snapshotName } from "../snapshot/snapshot-name.ts";
import { type BundleSnapshot, objectNames, VULNDB_OBJECT, withVulndb } from "./bundle-ports.ts";
import { damaged } from "./check-file.ts";
import type { OpenedBundle } from "./opened-bundle.ts";

export type SnapshotVault = Pick<Vault, "get" | "open" | "create" | "remove" | "keys">;
/** Keeps content until it is stored. */
export type SpoolChunks = (
  chunks: AsyncIterable<Uint8Array>,
  limit: number,
  subject: string,
) => Promise<Body>;

/** Where a bundle's target snapshot waits until all of the bundle is published: nothing there is announced. */
const folderOf = ({ header }: OpenedBundle): string => `bundles/${header.name}/snapshot/`;

/**
 * The target snapshot of a bundle: its objects are copied from the first pack into the vault, each compared with the
 * signed list, and the snapshot is one of the name and hash that the bundle says.
 * @throws MirrorError mismatch or malformed where it is not.
 */
export async function targetSnapshot(
  bundle: OpenedBundle,
  vault: SnapshotVault,
  spool: SpoolChunks,
): Promise<OpenSnapshot> {
  for (const [name, file] of bundle.objects) {
    const key = `${folderOf(bundle)}${name}`;
    const stored = await bundle.source.open(bundle.packs[file.pack]?.name ?? "");
    if (stored === undefined && (await waits(vault, key, file.sha256))) continue;
    if (stored === undefined)
      throw new MirrorError(
        "absent",
        key,
        `${bundle.source.name}: the first pack is missing; give its volume too`,
      );
    try {
      const range = stored.stream({ start: file.offset, end: file.offset + file.size - 1 });
      await store(vault, key, await spool(range, file.size, file.path), file);
    } finally {
      await stored.close();
    }
  }
  const { to } = bundle.header;
  const waiting = waitingVault(bundle, vault);
  const snapshot = await openSnapshot(waiting, snapshotName(to.name));
  const isIt = snapshot?.header.hash === to.hash && snapshot.header.until === to.until;
  if (snapshot === undefined || !isIt) throw mismatch(bundle, "does not hold the snapshot that it leads to");
  const names = objectNames(snapshot.header);
  if (snapshot.header.vulndb !== undefined) names.push(VULNDB_OBJECT);
  if (names.length !== bundle.objects.size || !names.every((name) => bundle.objects.has(name)))
    throw mismatch(bundle, "holds other objects than its snapshot has");
  for (const [name, { sha256 }] of Object.entries(snapshot.header.files))
    if (bundle.objects.get(name)?.sha256 !== sha256) throw mismatch(bundle, `${name} is not its snapshot's`);
  return { ...withVulndb(snapshot, waiting), close: () => snapshot.close() };
}

/** A snapshot that holds something open. */
export type OpenSnapshot = BundleSnapshot & { close(): Promise<void> };

/** Announces the target snapshot in this mirror's own vault. A crash before the last object leaves it unannounced. */
export async function keepSnapshot(
  bundle: OpenedBundle,
  vault: SnapshotVault,
  spool: SpoolChunks,
): Promise<void> {
  const name = snapshotName(bundle.header.to.name);
  if ((await readHeader(vault, name)) !== undefined) return;
  const header = await waitingHeader(bundle, vault);
  const objects = [...bundle.objects].sort(
    ([a], [b]) => Number(a === HEADER_FILE) - Number(b === HEADER_FILE),
  );
  for (const [object, file] of objects) {
    const stored = await vault.open(`${folderOf(bundle)}${object}`);
    if (stored === undefined)
      throw new MirrorError("transient", object, `${object}: has vanished; import again`);
    try {
      const body = await spool(stored.stream(), file.size, file.path);
      const isArchive = object === VULNDB_OBJECT && header?.vulndb !== undefined;
      await store(vault, isArchive ? (header.vulndb as string) : snapshotKey(name, object), body, file);
    } finally {
      await stored.close();
    }
  }
}

/** Removes what waited of a bundle. */
export async function forgetWaiting(bundle: OpenedBundle, vault: SnapshotVault): Promise<void> {
  for await (const key of vault.keys(folderOf(bundle))) await vault.remove(key);
}

/** Whether an earlier run has copied it, from a volume that is not at hand any more. */
async function waits(vault: SnapshotVault, key: string, sha256: Sha256): Promise<boolean> {
  const stored = await vault.open(key);
  return stored !== undefined && (await sha256OfObject(stored).finally(() => stored.close())) === sha256;
}

/** @throws MirrorError mismatch where the content is not the signed list's. */
async function store(
  vault: SnapshotVault,
  key: string,
  body: Body,
  { path, sha256 }: { readonly path: string; readonly sha256: Sha256 },
): Promise<void> {
  try {
    const actual = isSpool(body) ? body.sha256 : sha256Of(body);
    if (actual !== sha256) throw damaged(path, `its SHA-256 is ${actual}, the signed list says ${sha256}`);
    if ((await vault.create(key, body, sha256)) === "created") return;
    const stored = await vault.open(key);
    const before = stored && (await sha256OfObject(stored).finally(() => stored.close()));
    if (before === sha256) return;
    // Of another bundle of that name, which was never announced.
    await vault.remove(key);
    await vault.create(key, body, sha256);
  } finally {
    if (isSpool(body)) await body.dispose();
  }
}

const waitingHeader = (bundle: OpenedBundle, vault: SnapshotVault) =>
  readHeader(waitingVault(bundle, vault), snapshotName(bundle.header.to.name));

/** The vault in which the snapshot stands where a snapshot does, and its vulnerability database where that does. */
function waitingVault(bundle: OpenedBundle, vault: SnapshotVault): Pick<Vault, "get" | "open"> {
  const folder = snapshotKey(bundle.header.to.name as SnapshotName, "");
  const at = (key: string) =>
    `${folderOf(bundle)}${key.startsWith(folder) ? key.slice(folder.length) : VULNDB_OBJECT}`;
  return {
    get: (key, limit) => vault.get(at(key), limit),
    open: (key): Promise<StoredObject | undefined> => vault.open(at(key)),
  };
}

function mismatch({ source }: OpenedBundle, what: string): MirrorError {
  return new MirrorError("mismatch", source.name, `${source.name}: ${what}; nothing of it was taken over`);
}
