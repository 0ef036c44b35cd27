import { chmod, rm } from "node:fs/promises";
import { build } from "esbuild";
import { bundleFunction, FUNCTION_NAMES } from "./infra/function-bundle.ts";

/**
 * `npm run build`: the command line as one file, dist/modferry.mjs, which runs on Node 24 with nothing beside it; and
 * the function bundles, which `cdk synth` makes too.
 */
await rm("dist", { recursive: true, force: true });
await build({
  entryPoints: ["cli/modferry.ts"],
  outfile: "dist/modferry.mjs",
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  legalComments: "none",
  logLevel: "error",
  banner: {
    js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
  },
});
await chmod("dist/modferry.mjs", 0o755);
for (const name of FUNCTION_NAMES) bundleFunction(name);
console.log("dist/modferry.mjs, dist/functions/*/index.mjs");
