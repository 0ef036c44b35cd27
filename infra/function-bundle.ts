import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildSync } from "esbuild";

/** The functions of the pipeline and the endpoint; each is functions/<name>.ts. */
export type FunctionName = (typeof FUNCTION_NAMES)[number];
export const FUNCTION_NAMES = [
  "plan",
  "accept-request",
  "work",
  "reconcile",
  "serve",
  "snapshot",
  "collect",
  "scrub",
  "import",
] as const;

const project = join(import.meta.dirname, "..");

/**
 * Bundles a function with all it needs, the AWS SDK too, into dist/functions/<name>/index.mjs; with `files` beside it,
 * by name, into a folder of their own, since synths of several mirrors may run at once.
 * @returns that folder, for Code.fromAsset, whose hash covers the files too.
 */
export function bundleFunction(name: FunctionName, files: Readonly<Record<string, string>> = {}): string {
  const entries = Object.entries(files);
  const digest = createHash("sha256").update(JSON.stringify(entries)).digest("hex").slice(0, 16);
  const folder = join(project, "dist", "functions", entries.length === 0 ? name : `${name}-${digest}`);
  replaceFile(join(folder, "index.mjs"), codeOf(name), `${folder}.${process.pid}`);
  for (const [file, text] of entries)
    replaceFile(join(folder, file), Buffer.from(text), `${folder}.${process.pid}`);
  return folder;
}

const built = new Map<FunctionName, Uint8Array>();

/** Each is built once in a process: only what lies beside it differs between configurations. */
function codeOf(name: FunctionName): Uint8Array {
  const known = built.get(name);
  if (known !== undefined) return known;
  const { outputFiles } = buildSync({
    write: false,
    entryPoints: [join(project, "functions", `${name}.ts`)],
    outfile: "index.mjs",
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
    logLevel: "error",
    // CommonJS packages in the bundle call require().
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
  });
  const [made] = outputFiles;
  if (made === undefined) throw new Error(`${name}: esbuild made no bundle`);
  built.set(name, made.contents);
  return made.contents;
}

/** Whole or not at all, and not when it is there already: several synths at once share these files. */
function replaceFile(path: string, contents: Uint8Array, temporary: string): void {
  try {
    if (readFileSync(path).equals(contents)) return;
  } catch {
    mkdirSync(dirname(path), { recursive: true });
  }
  writeFileSync(temporary, contents);
  renameSync(temporary, path);
}
