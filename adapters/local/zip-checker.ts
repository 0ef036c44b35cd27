import type { ModuleVersion } from "../../gomod/version.ts";
import { checkAndHashZip } from "../../gomod/zip-check.ts";
import { bytesSource, type ZipSource } from "../../gomod/zip-source.ts";
import { type Body, isSpool } from "../../mirror/body.ts";
import type { StoredObject, ZipChecker } from "../../mirror/ports.ts";

/** Checks and hashes in this thread; a large zip is read in windows, so that memory stays bounded. */
export const zipChecker: ZipChecker = {
  check: (body: Body, version: ModuleVersion) => checkAndHashZip(sourceOf(body), version),
  checkStored: (stored: StoredObject, version: ModuleVersion) => checkAndHashZip(stored, version),
};

function sourceOf(body: Body): ZipSource {
  return isSpool(body) ? body : bytesSource(body);
}
