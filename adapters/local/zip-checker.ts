import type { ModuleVersion } from "../../gomod/version.ts";
import { checkAndHashZip } from "../../gomod/zip-check.ts";
import { bytesSource, type ZipSource } from "../../gomod/zip-source.ts";
import { type Body, isSpool } from "../../mirror/body.ts";
import { sha256OfObject } from "../../mirror/object-sha256.ts";
import type { StoredObject, ZipChecker } from "../../mirror/ports.ts";
import type { ZipHasher } from "../../mirror/scrub/content-check.ts";

/** Checks and hashes in this thread; a large zip is read in windows, so that memory stays bounded. */
export const zipChecker: ZipChecker = {
  check: (body: Body, version: ModuleVersion) => checkAndHashZip(sourceOf(body), version),
  checkStored: (stored: StoredObject, version: ModuleVersion) => checkAndHashZip(stored, version),
};

/** The same for a scrub, in this thread. */
export const zipHasher: ZipHasher = {
  threads: 1,
  hash: async (stored: StoredObject, version: ModuleVersion) => ({
    sha256: await sha256OfObject(stored),
    h1: (await checkAndHashZip(stored, version)).h1,
  }),
};

function sourceOf(body: Body): ZipSource {
  return isSpool(body) ? body : bytesSource(body);
}
