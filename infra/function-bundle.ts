import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildSync } from "esbuild";

/** The functions of the pipeline and the endpoint; each is functions/<name>.ts. */
export type FunctionName = "plan" | "accept-request" | "work" | "reconcile" | "serve";
export const FUNCTION_NAMES: readonly FunctionName[] = [
  "plan",
  "accept-request",
  "work",
  "reconcile",
  "serve",
];

const project = join(import.meta.dirname, "..");

/**
 * Bundles a function with all it needs, the AWS SDK too, into dist/functions/<name>/index.mjs.
 * @returns that folder, for Code.fromAsset.
 */
export function bundleFunction(name: FunctionName): string {
  const folder = join(project, "dist", "functions", name);
  const { outputFiles } = buildSync({
    write: false,
    entryPoints: [join(project, "functions", `${name}.ts`)],
    outfile: join(folder, "index.mjs"),
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
  if (made !== undefined) replaceFile(made.path, made.contents, `${folder}.${process.pid}`);
  return folder;
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
