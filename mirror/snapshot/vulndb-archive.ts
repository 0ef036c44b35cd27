import { z } from "zod";
import { type Sha256, sha256Of } from "../body.ts";
import { MirrorError } from "../errors.ts";
import type { Tree, Vault } from "../ports.ts";
import type { TreeKey } from "../tree-keys.ts";
import { LARGEST_VULNDB_INDEX, mirroredModified } from "../vulndb.ts";
import { parseVulndbKey, VULNDB_FOLDER } from "../vulndb-keys.ts";
import { LARGEST_SPOOL, type SpoolBody } from "./spooled-runs.ts";
import { disposeOf, storeBody } from "./stored-body.ts";
import { PackedLines } from "./tile-paths.ts";

/** A state of the mirrored vulnerability database that a snapshot names. */
export interface ArchivedVulndb {
  /** In the vault; its name holds the beginning of its content's SHA-256. */
  readonly vulndb: string;
  /** The database's own time, verbatim. */
  readonly vulndbModified: string;
}

/** A JSON file of the vulnerability database, as a snapshot keeps it. */
export interface ArchivedFile {
  readonly key: TreeKey;
  readonly bytes: Uint8Array;
}

/** Uncompressed: the public database has some 20 MB. */
export const LARGEST_ARCHIVE = 512 * 1024 * 1024;

const lineShape = z.strictObject({ file: z.string().max(100), text: z.string().max(LARGEST_VULNDB_INDEX) });

/** A sync that replaces it meanwhile takes seconds, and is seldom. */
const TRIES = 3;

/**
 * Keeps the vulnerability database as the tree has it now in the vault, unless `known` is just that: one line of NDJSON
 * for each of its JSON files, `{"file":"ID/GO-2026-0001.json","text":"…"}`, by its name's bytes.
 * @returns undefined where none is mirrored.
 */
export async function archiveVulndb(
  parts: { readonly tree: Pick<Tree, "keys" | "get">; readonly vault: Vault; readonly spool: SpoolBody },
  known: Partial<ArchivedVulndb> | undefined,
): Promise<ArchivedVulndb | undefined> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const modified = await mirroredModified(parts.tree);
    if (modified === undefined) return undefined;
    if (known?.vulndb !== undefined && known.vulndbModified === modified)
      return { vulndb: known.vulndb, vulndbModified: modified };
    const packed = new PackedLines();
    const body = await parts.spool(packed.chunks(filesOf(parts.tree)), LARGEST_SPOOL, "vulndb");
    try {
      if ((await mirroredModified(parts.tree)) !== modified) continue;
      const vulndb = archiveKey(modified, packed.sha256());
      await storeBody(parts.vault, vulndb, body);
      return { vulndb, vulndbModified: modified };
    } finally {
      await disposeOf(body);
    }
  }
  throw new MirrorError("transient", "vulndb", "vulnerability database: just being replaced; try again");
}

function archiveKey(modified: string, sha256: Sha256): string {
  return `vulndb/${modified.slice(0, 19).replace(/[^0-9T]/g, "")}Z-${sha256.slice(0, 16)}.ndjson.zst`;
}

/** The packed forms are made from these again, byte for byte (mirror/vulndb.ts). */
async function* filesOf(tree: Pick<Tree, "keys" | "get">): AsyncGenerator<string> {
  for await (const { key } of tree.keys(VULNDB_FOLDER)) {
    if (!key.startsWith(VULNDB_FOLDER)) return;
    const known = key.endsWith(".json") ? parseVulndbKey(key) : undefined;
    const found = known && (await tree.get(known, LARGEST_VULNDB_INDEX));
    if (found === undefined) continue;
    const text = new TextDecoder("utf-8", { fatal: true }).decode(found.bytes);
    if (sha256Of(Buffer.from(text)) !== sha256Of(found.bytes))
      throw new MirrorError(
        "malformed",
        key,
        `${key}: not plain UTF-8; mirror the vulnerability database again`,
      );
    yield JSON.stringify({ file: key.slice(VULNDB_FOLDER.length), text });
  }
}

/**
 * Reads a line of an archive. Attacker-controlled.
 * @param subject the archive's name, for messages.
 * @throws MirrorError malformed where it is none.
 */
export function parseArchiveLine(line: string, subject: string): ArchivedFile {
  try {
    const { file, text } = lineShape.parse(JSON.parse(line));
    const key = parseVulndbKey(`${VULNDB_FOLDER}${file}`);
    if (key === undefined || !key.endsWith(".json")) throw new Error("it names no file of the database");
    return { key, bytes: Buffer.from(text) };
  } catch (cause) {
    const why = (cause as Error).message.split("\n", 1)[0];
    throw new MirrorError(
      "malformed",
      subject,
      `${subject}: no archive of a vulnerability database: ${why}`,
      {
        cause,
      },
    );
  }
}
