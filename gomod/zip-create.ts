import { type H1, hash1 } from "./dirhash.ts";
import { FormatError } from "./format-error.ts";
import { quote } from "./go-quote.ts";
import { isPrintable } from "./go-unicode.ts";
import { comparePaths } from "./module-path.ts";
import { formatModuleVersion, type ModuleVersion } from "./version.ts";
import { MAX_ENTRIES } from "./zip-directory.ts";
import { type CheckedFiles, checkFiles, type FileProblem, type ModuleFile } from "./zip-rules.ts";
import { type WriteBytes, ZipWriter } from "./zip-write.ts";

/** What was written. */
export interface CreatedZip {
  readonly h1: H1;
  /** Of the zip, in bytes. */
  readonly size: number;
  readonly files: number;
  /** Sum of the files, in bytes. */
  readonly uncompressed: number;
  /** What the files' list held that is in no module zip. */
  readonly omitted: readonly FileProblem[];
}

/** As many invalid files are named in an error. */
const SHOWN_PROBLEMS = 20;

/**
 * Makes the module zip of these files (x/mod/zip, Create): the same content and h1 as Go's, its entries sorted by path.
 * Each file is read once, but the root go.mod twice. What is written before an error is no zip.
 * @throws FormatError naming each invalid file on a line of its own, and where a file has other than its declared
 * bytes. Beyond Go's rules also for more than MAX_ENTRIES files, which no mirror would take, and above 500 MiB packed.
 */
export async function createModuleZip(
  module: ModuleVersion,
  files: readonly ModuleFile[],
  write: WriteBytes,
): Promise<CreatedZip> {
  const subject = formatModuleVersion(module);
  const checked = await checkFiles(files);
  refuseInvalid(subject, checked);
  const sorted = [...checked.valid].sort((a, b) => comparePaths(a.path, b.path));
  const zip = new ZipWriter(write);
  const hashed: { name: string; sha256: string }[] = [];
  let uncompressed = 0;
  for (const file of sorted) {
    const name = `${subject}/${file.path}`;
    hashed.push({ name, sha256: await zip.add(name, file.size, file.read()) });
    uncompressed += file.size;
  }
  const size = await zip.finish();
  return { h1: hash1(hashed), size, files: sorted.length, uncompressed, omitted: checked.omitted };
}

function refuseInvalid(subject: string, { valid, invalid, sizeProblem }: CheckedFiles): void {
  if (sizeProblem !== undefined) throw new FormatError(subject, `${subject}: ${sizeProblem}`);
  if (invalid.length > 0) {
    const lines = invalid.slice(0, SHOWN_PROBLEMS).map(({ path, problem }) => `${shown(path)}: ${problem}`);
    if (invalid.length > SHOWN_PROBLEMS) lines.push(`${invalid.length - SHOWN_PROBLEMS} more invalid files`);
    throw new FormatError(subject, lines.join("\n"));
  }
  if (valid.length > MAX_ENTRIES) {
    throw new FormatError(
      subject,
      `${subject}: ${valid.length} files, more than ${MAX_ENTRIES} in one module`,
    );
  }
}

/** As x/mod prints it (FileErrorList, bare), but quoted where a character of it is not to be shown: one line each. */
function shown(path: string): string {
  for (const character of path) if (!isPrintable(character.codePointAt(0) ?? 0)) return quote(path);
  return path;
}
