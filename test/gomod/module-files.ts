import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { decodeUtf8 } from "../../gomod/go-unicode.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import { createModuleZip } from "../../gomod/zip-create.ts";
import type { FileKind, ModuleFile } from "../../gomod/zip-rules.ts";
import { ask } from "./oracle.ts";

/** What Go says of a zip it made, or read. */
export interface GoZip {
  readonly error: string;
  readonly h1: string;
  readonly files: readonly string[];
}

export interface GoChecked {
  readonly valid: readonly string[];
  readonly omitted: readonly { readonly path: string; readonly problem: string }[];
  readonly invalid: readonly { readonly path: string; readonly problem: string }[];
  readonly sizeProblem: string;
  readonly error: string;
}

/** One file of a test's list. */
export interface ListedFile {
  readonly name: Buffer;
  readonly kind: FileKind;
  readonly data: Buffer;
}

export function listedFile(
  name: string | Buffer,
  data: string | Buffer = "",
  kind: FileKind = "file",
): ListedFile {
  return { name: Buffer.from(name as string), kind, data: Buffer.from(data as string) };
}

const PIECE_BYTES = 100_000;

export function moduleFile({ name, kind, data }: ListedFile): ModuleFile {
  const read = async function* () {
    for (let at = 0; at < data.length; at += PIECE_BYTES) yield data.subarray(at, at + PIECE_BYTES);
  };
  return { path: decodeUtf8(name), kind, size: data.length, read };
}

/** The same list as a question for the oracle. */
export function question(files: readonly ListedFile[]): string {
  return JSON.stringify(
    files.map(({ name, kind, data }) => ({
      Name: name.toString("base64"),
      Kind: kind,
      Len: data.length,
      Data: data.toString("base64"),
    })),
  );
}

/** The zip in memory, and what is said of it. */
export async function zipInMemory(module: ModuleVersion, files: readonly ModuleFile[]) {
  const pieces: Uint8Array[] = [];
  const created = await createModuleZip(module, files, (bytes) => void pieces.push(Uint8Array.from(bytes)));
  return { ...created, bytes: Buffer.concat(pieces) };
}

/** An archive of x/mod's testdata: `key=value` lines, then files (golang.org/x/tools/txtar). */
export interface Archive {
  readonly name: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly files: readonly ListedFile[];
}

/** x/mod/zip/testdata/FOLDER, out of the module that the oracle is built with. */
export function zipTestdata(folder: string): Archive[] {
  const found = ask<[string, string][]>([["zipTestdata", folder]])[0] ?? [];
  return found.map(([name, base64]) => {
    const [comment = "", ...parts] = Buffer.from(base64, "base64")
      .toString("latin1")
      .split(/^-- (.+) --\n/m);
    const lines = comment.split("\n").map((line) => line.replace(/#.*/, "").trim());
    const settings = lines.filter(Boolean).map((line) => line.split(/\s*=\s*(.*)/s, 2) as [string, string]);
    const files: ListedFile[] = [];
    for (let at = 0; at < parts.length; at += 2) {
      files.push(
        listedFile(Buffer.from(parts[at] ?? "", "latin1"), Buffer.from(parts[at + 1] ?? "", "latin1")),
      );
    }
    return { name, settings: Object.fromEntries(settings), files };
  });
}

/** Names that break a rule, or would if another were there; few enough that they meet. */
const names = [
  ..."a A b é É ß ſ s k \u212a go.mod GO.MOD Go.Mod vendor Vendor modules.txt LICENSE .git .hg .svn .hg_archival.txt".split(
    " ",
  ),
  ..."con CON.txt aux.go nul com1 a'b a:b a. ..a .a a..b ~1 x~1.go é.go \u{10400} \u{10428} ﬁ İ i ı a\u0301 日本".split(
    " ",
  ),
  "a b",
  "a\nb",
  "a\\b",
  " ",
  "a*b",
];
const badUtf8 = [
  Buffer.from("a\xff", "latin1"),
  Buffer.from("\xc0\x80", "latin1"),
  Buffer.from("\xed\xa0\x80", "latin1"),
];

/** One element of a path, hostile more often than not. */
export const element: fc.Arbitrary<Buffer> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .constantFrom(..."a b c vendor go.mod d.go modules.txt".split(" "))
      .map((text) => Buffer.from(text)),
  },
  { weight: 6, arbitrary: fc.constantFrom(...names).map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.constantFrom(...badUtf8) },
  {
    weight: 1,
    arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 5 }).map((text) => Buffer.from(text)),
  },
);

export const path: fc.Arbitrary<Buffer> = fc
  .array(element, { minLength: 1, maxLength: 4 })
  .map((elements) =>
    Buffer.concat(elements.flatMap((each, at) => (at === 0 ? [each] : [Buffer.from("/"), each]))),
  );

/** What a go.mod says of its language, also wrongly. */
export const goMod: fc.Arbitrary<string> = fc.constantFrom(
  "module example.com/m\n",
  "module example.com/m\n\ngo 1.23.5\n",
  "module example.com/m\n\ngo 1.24\n",
  "module example.com/m\n\ngo 1.24rc1\n",
  "module example.com/m\n\ngo 1.30.1\n",
  "go 2\n",
  "module example.com/m\ngo 1.024\n",
  "module example.com/m\ngo v1.25\n",
  "module example.com/m\ngo 1.25 // why\nunknown word\n",
  "module (\n",
  "",
);

export const content: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 5, arbitrary: fc.string({ maxLength: 40 }).map((text) => Buffer.from(text)) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 0, max: 9000 }).map((size) => Buffer.alloc(size, "package a\n")),
  },
);

/** Files and links of a folder as they can lie on a disk: no name is a file and a folder, none holds `/` or NUL. */
export function writeTree(root: string, files: readonly ListedFile[]): void {
  mkdirSync(root, { recursive: true });
  for (const { name, kind, data } of files) {
    const place = Buffer.concat([Buffer.from(`${root}/`), name]);
    if (name.includes(0)) continue;
    try {
      mkdirSync(Buffer.from(dirname(place.toString("latin1")), "latin1"), { recursive: true });
      if (kind === "file") writeFileSync(place, data, { flag: "wx" });
      if (kind === "symlink") symlinkSync(Buffer.from("go.mod"), place);
      if (kind === "directory") mkdirSync(place);
    } catch (error) {
      const { code = "" } = error as { code?: string };
      // ENOENT: below a link that leads nowhere; ELOOP: or to itself.
      if (!["EEXIST", "ENOTDIR", "EISDIR", "ENAMETOOLONG", "ENOENT", "ELOOP"].includes(code)) throw error;
    }
  }
}

/** A file of text below `root`. */
export function writeText(root: string, name: string, text: string): void {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  writeFileSync(join(root, name), text);
}
