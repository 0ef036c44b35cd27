import { h1OfGoMod } from "../../gomod/dirhash.ts";
import { FormatError } from "../../gomod/format-error.ts";
import { checkAndHashZip } from "../../gomod/zip-check.ts";
import type { ZipSource } from "../../gomod/zip-source.ts";
import type { Sha256 } from "../body.ts";
import { MirrorError } from "../errors.ts";
import type { CheckedFile } from "./bundle-ports.ts";
import { tarHeader, tarPadding } from "./tar-format.ts";

/**
 * Checks one file of a pack: the header before it and the padding behind it are those that we would write, its SHA-256
 * is the list's, and of a `.mod` or a zip the h1 is the snapshot's. Attacker-controlled.
 * @param around the header's bytes, and those behind the content.
 * @throws MirrorError mismatch naming the file.
 */
export async function checkPackFile(
  { file, check }: CheckedFile,
  time: number,
  around: { readonly before: Uint8Array; readonly behind: Uint8Array },
  sha256: Sha256,
  content: ZipSource,
): Promise<void> {
  if (sha256 !== file.sha256)
    throw damaged(file.path, `its SHA-256 is ${sha256}, the signed list says ${file.sha256}`);
  if (
    Buffer.compare(around.before, tarHeader(file.path, file.size, time)) !== 0 ||
    Buffer.compare(around.behind, tarPadding(file.size)) !== 0
  )
    throw damaged(file.path, "the tar header before it, or the padding behind it, is not what was written");
  if (check.kind === "bytes") return;
  const h1 =
    check.kind === "mod" ? h1OfGoMod(await content.read(0, content.size)) : await h1OfZip(check, content);
  if (h1 !== check.h1) throw damaged(file.path, `has ${h1}, its snapshot says ${check.h1}`);
}

async function h1OfZip(
  check: Extract<CheckedFile["check"], { kind: "zip" }>,
  content: ZipSource,
): Promise<string> {
  try {
    return (await checkAndHashZip(content, check.version)).h1;
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new MirrorError("mismatch", cause.message, cause.message, { cause });
  }
}

export function damaged(path: string, what: string): MirrorError {
  return new MirrorError(
    "mismatch",
    path,
    `${path}: ${what}; the bundle is damaged, nothing of it was taken over`,
  );
}
