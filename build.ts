import { chmod, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type BuildOptions, build } from "esbuild";
import { awsSdkProgram } from "./aws-sdk-program.ts";
import { bundleFunction, FUNCTION_NAMES } from "./infra/function-bundle.ts";

/**
 * `npm run build`: the command line as one file, dist/modferry.mjs, which runs on Node 24 with nothing beside it; and
 * the function bundles, which `cdk synth` makes too.
 */
await rm("dist", { recursive: true, force: true });
// The threads of an import, which run without any file: a program of their own, as a text within the other.
const thread = await build({
  entryPoints: ["adapters/local/pack-thread.ts"],
  bundle: true,
  platform: "node",
  target: "node24",
  format: "cjs",
  minify: true,
  legalComments: "none",
  write: false,
  logLevel: "error",
});
const program: BuildOptions = {
  entryPoints: ["cli/modferry.ts"],
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  // Whole licences stand in a file of their own.
  legalComments: "none",
  define: { PACK_THREAD_PROGRAM: JSON.stringify(thread.outputFiles[0]?.text) },
  logLevel: "error",
  banner: {
    js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
  },
};
const sdk = await awsSdkProgram(program);
const { metafile } = await build({
  ...program,
  outfile: "dist/modferry.mjs",
  // A quarter less to read at each start; names stay as they are, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  plugins: [sdk.plugin],
  metafile: true,
});
await chmod("dist/modferry.mjs", 0o755);
await writeFile(
  "dist/THIRD_PARTY_LICENSES",
  await licencesOf([...sdk.inputs, ...Object.keys(metafile.inputs)]),
);
for (const name of FUNCTION_NAMES) bundleFunction(name);
console.log("dist/modferry.mjs, dist/THIRD_PARTY_LICENSES, dist/functions/*/index.mjs");

/** The licences of all packages of which something is in the bundle, as these packages have them. */
async function licencesOf(inputs: readonly string[]): Promise<string> {
  const folders = inputs.flatMap(
    (input) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? [],
  );
  const texts = await Promise.all([...new Set(folders)].sort().map(licenceOf));
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

async function licenceOf(folder: string): Promise<string> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice)/i.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  return [`${name} ${version} (${license})\n`, ...texts].join("\n");
}
