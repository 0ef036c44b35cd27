import { FormatError } from "../../gomod/format-error.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import { formatModuleVersion } from "../../gomod/version.ts";
import { readZipDirectory, STORED, type ZipEntry } from "../../gomod/zip-directory.ts";
import { inflateEntry } from "../../gomod/zip-inflate.ts";
import type { ZipSource } from "../../gomod/zip-source.ts";
import { LICENCE_FILE, licencesIn } from "./licence-text.ts";

/** The longest licence text has some 35 KB; x/mod/zip allows a LICENSE of 16 MB. */
const LARGEST_TEXT = 1024 * 1024;
const MOST_FILES = 10;
/** A local header, before a name and an extra of its own lengths (APPNOTE, 4.3.7). */
const LOCAL_BYTES = 30;

/** A file in a zip that tells of a licence. */
export interface FoundLicence {
  /** Below the module's root. */
  readonly file: string;
  readonly licences: readonly string[];
}

/** The licences that a module zip has at its root. Attacker-controlled: what cannot be read is `unreadable`. */
export async function licencesOfZip(
  source: ZipSource,
  version: ModuleVersion,
): Promise<readonly FoundLicence[]> {
  const prefix = `${formatModuleVersion(version)}/`;
  try {
    const { entries } = await readZipDirectory(source);
    const found: FoundLicence[] = [];
    for (const entry of entries) {
      const file = entry.name.startsWith(prefix) ? entry.name.slice(prefix.length) : "/";
      if (file.includes("/") || entry.isDirectory || !LICENCE_FILE.test(file)) continue;
      found.push({ file, licences: await licencesOfEntry(source, entry) });
      if (found.length === MOST_FILES) break;
    }
    return found;
  } catch (thrown) {
    if (thrown instanceof FormatError) return [{ file: "", licences: ["unreadable"] }];
    throw thrown;
  }
}

async function licencesOfEntry(source: ZipSource, entry: ZipEntry): Promise<readonly string[]> {
  if (entry.size > LARGEST_TEXT || entry.compressedSize > LARGEST_TEXT) return ["unreadable"];
  const header = Buffer.from(await bytesAt(source, entry.headerOffset, LOCAL_BYTES));
  const start = entry.headerOffset + LOCAL_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28);
  const data = await bytesAt(source, start, entry.compressedSize);
  const content = entry.method === STORED ? data : inflateEntry(entry, data);
  return licencesIn(Buffer.from(content).toString("utf8"));
}

async function bytesAt(source: ZipSource, offset: number, length: number): Promise<Uint8Array> {
  if (offset < 0 || offset + length > source.size)
    throw new FormatError("zip", "zip: an entry lies outside the file");
  return await source.read(offset, length);
}
