import { MirrorError } from "../../mirror/errors.ts";
import { fileError } from "./file-error.ts";
import { readPlainFile } from "./plain-file.ts";

/** What systems leave on every medium. */
const OF_SYSTEMS = new Set(["lost+found", "System Volume Information", "$RECYCLE.BIN"]);

export const isOfSystems = (name: string): boolean => OF_SYSTEMS.has(name);

/** A whole file. @returns undefined where there is none. @throws MirrorError malformed where it is larger than `limit`. */
export async function readSmallFile(path: string, limit: number): Promise<Uint8Array | undefined> {
  try {
    return await readPlainFile(path, ({ size }) => {
      if (size > limit) throw new MirrorError("malformed", path, `${path}: larger than ${limit} bytes`);
    });
  } catch (error) {
    throw fileError(error, path);
  }
}
