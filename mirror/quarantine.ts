import { z } from "zod";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { sha256Of } from "./body.ts";
import { MirrorError } from "./errors.ts";
import type { MirrorParts } from "./parts.ts";
import type { StoredObject } from "./ports.ts";
import type { VersionRecord } from "./records.ts";
import { zipKey } from "./tree-keys.ts";

type QuarantineParts = Pick<MirrorParts, "tree" | "vault" | "zips">;

/** cmd/go's limit of a module zip is 500 MiB (x/mod/zip, MaxZipFile); a quarantined one is read whole. */
const LARGEST_ZIP = 500 * 1024 * 1024;
const LARGEST_NOTE = 4_096;

/** What a version was before it was taken out. A vault deletes nothing: a note that is `released` counts no more. */
const noteShape = z.strictObject({
  state: z.enum(["kept", "released"]),
  /** Whether lists named it. */
  listed: z.boolean(),
  /** Whether it was READY, with all of its files proven. */
  ready: z.boolean(),
});
export type QuarantineNote = z.output<typeof noteShape>;

const zipVaultKey = (version: ModuleVersion): string => `quarantine/${zipKey(version)}`;
const noteKey = (version: ModuleVersion): string => `quarantine/${zipKey(version)}.json`;

/** Notes what the version is now, before anything of it is taken out: until then its record says the same each time. */
export async function noteBefore(
  { vault }: Pick<QuarantineParts, "vault">,
  record: VersionRecord,
): Promise<void> {
  await writeNote(vault, record, { state: "kept", listed: record.listed, ready: record.state === "READY" });
}

export async function noteOf(
  { vault }: Pick<QuarantineParts, "vault">,
  version: ModuleVersion,
): Promise<QuarantineNote | undefined> {
  const key = noteKey(version);
  const bytes = await vault.get(key, LARGEST_NOTE);
  if (bytes === undefined) return undefined;
  try {
    return noteShape.parse(JSON.parse(Buffer.from(bytes).toString("utf8")));
  } catch (cause) {
    throw new MirrorError("malformed", key, `${key}: not a note of this mirror; remove it`, { cause });
  }
}

export async function markReleased(
  { vault }: Pick<QuarantineParts, "vault">,
  version: ModuleVersion,
  note: QuarantineNote,
): Promise<void> {
  await writeNote(vault, version, { ...note, state: "released" });
}

async function writeNote(
  vault: QuarantineParts["vault"],
  version: ModuleVersion,
  note: QuarantineNote,
): Promise<void> {
  await vault.put(noteKey(version), Buffer.from(`${JSON.stringify(note)}\n`));
}

/**
 * Moves a version's zip out of the tree, so that a copy of the tree cannot serve it either. A crash in between leaves it
 * in both; doing it again ends right. Nothing where the tree has none.
 */
export async function quarantine({ tree, vault }: QuarantineParts, version: ModuleVersion): Promise<void> {
  const key = zipKey(version);
  for (;;) {
    const stored = await tree.open(key);
    if (stored === undefined) return;
    let bytes: Uint8Array;
    try {
      bytes = await wholeOf(stored);
    } finally {
      await stored.close();
    }
    await vault.put(zipVaultKey(version), bytes);
    // `changed`: another one was stored meanwhile, which goes the same way.
    if ((await tree.remove(key, stored.etag)) === "removed") return;
  }
}

/** Once in memory, not twice: a zip may have 500 MB. */
async function wholeOf(stored: StoredObject): Promise<Uint8Array> {
  const bytes = Buffer.alloc(stored.size);
  let at = 0;
  for await (const chunk of stored.stream()) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

/** Brings a zip back into the tree. @returns false where there is none in quarantine with this `h1:` hash. */
export async function restore(
  { tree, vault, zips }: QuarantineParts,
  record: VersionRecord,
): Promise<boolean> {
  const bytes = await vault.get(zipVaultKey(record), LARGEST_ZIP);
  if (bytes === undefined || record.zipH1 === undefined) return false;
  const { h1 } = await zips.check(bytes, record);
  if (h1 !== record.zipH1) {
    const subject = formatModuleVersion(record);
    const message = `${subject}: the zip in quarantine is ${h1}, not the proven ${record.zipH1}; remove it from the vault, then it is fetched anew`;
    throw new MirrorError("mismatch", subject, message);
  }
  await tree.create(zipKey(record), bytes, sha256Of(bytes));
  return true;
}
