import { type H1, h1OfGoMod } from "../gomod/dirhash.ts";
import { FormatError } from "../gomod/format-error.ts";
import { parseGoMod } from "../gomod/go-mod.ts";
import { quote } from "../gomod/go-quote.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { MirrorError } from "./errors.ts";

/** The go.mod of a checked zip; `goMod` is undefined where the module has none, as those from before modules. */
interface ZipContent {
  readonly goMod: Uint8Array | undefined;
}

/**
 * Looks whether a `.mod` that no checksum database proves is the module's, for what is stored stays for good. It must be
 * what go takes of a dependency (cmd/go/internal/modload, rawGoModSummary and goModSummary): it parses by the lax rules
 * and has a module line. That names the module itself, or, in a fork that is used by `replace`, another one: then the zip
 * has to hold the same go.mod. Where the zip is here and has a go.mod, it is that one, byte for byte, as cmd/go makes
 * both of the same commit (modfetch, codeRepo.GoMod and Zip); to a zip without one cmd/go makes up a go.mod that names
 * the module itself (modfetch.LegacyGoMod).
 * @param goMod attacker-controlled.
 * @param zip the version's zip, already checked; a function that gets it, where it is not wanted.
 * @throws MirrorError malformed with the file as evidence; what getting the zip throws.
 */
export async function checkUnprovenGoMod(
  version: ModuleVersion,
  goMod: Uint8Array,
  zip: ZipContent | (() => Promise<ZipContent>),
): Promise<void> {
  const declared = declaredPath(version, goMod);
  const isOwn = declared === version.path;
  if (typeof zip === "function" && isOwn) return;
  const content = typeof zip === "function" ? await zip() : zip;
  if (content.goMod === undefined) {
    if (isOwn) return;
    throw malformed(
      version,
      goMod,
      `declares its path as ${quote(declared)}, and the zip has no go.mod that does`,
    );
  }
  if (Buffer.from(content.goMod).equals(goMod)) return;
  const what = isOwn ? "" : `declares its path as ${quote(declared)}, and `;
  throw malformed(version, goMod, `${what}is not the go.mod that is in the zip`);
}

/** @throws MirrorError malformed where it is none that go would read. */
function declaredPath(version: ModuleVersion, goMod: Uint8Array): string {
  let path: string | undefined;
  try {
    path = parseGoMod("go.mod", goMod, "lax").module?.path;
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw malformed(version, goMod, `does not parse: ${firstLine(cause.message)}`, cause);
  }
  if (path === undefined || path === "") throw malformed(version, goMod, "has no module line");
  return path;
}

/**
 * Holds the go.mod of a zip that no checksum database proves against the `.mod` that is held already: of the two, what
 * was seen first stays.
 * @throws MirrorError mismatch, with the zip's go.mod as evidence.
 */
export function checkUnprovenZip(
  version: ModuleVersion,
  { goMod }: ZipContent,
  heldModH1: H1 | undefined,
): void {
  if (goMod === undefined || heldModH1 === undefined) return;
  const h1 = h1OfGoMod(goMod);
  if (h1 === heldModH1) return;
  const subject = formatModuleVersion(version);
  const message = `${subject}: the go.mod in the zip is ${h1}, but the .mod that is held is ${heldModH1}; not served`;
  throw new MirrorError("mismatch", subject, message, { evidence: goMod });
}

function malformed(
  version: ModuleVersion,
  evidence: Uint8Array,
  problem: string,
  cause?: unknown,
): MirrorError {
  const subject = formatModuleVersion(version);
  const message = `${subject}: .mod: ${problem}; no checksum database proves it, so it is not taken`;
  return new MirrorError("malformed", subject, message, { cause, evidence });
}

const firstLine = (text: string): string => text.split("\n", 1)[0] ?? "";
