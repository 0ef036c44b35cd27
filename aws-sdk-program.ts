import { brotliCompressSync } from "node:zlib";
import { type BuildOptions, build, type Plugin } from "esbuild";

/** Packages that only a mirror in AWS, or a key in KMS, has a use for. */
const SDK = /^@(aws-sdk|smithy)\//;

/** What the single file has of the SDK: a program of its own, packed as text, which is read when it is first needed. */
export interface AwsSdkProgram {
  readonly plugin: Plugin;
  /** Files that it is made of, for their licences. */
  readonly inputs: readonly string[];
}

/**
 * Node reads a program as a whole at each start, also what is imported lazily: the SDK's megabyte and a half would cost
 * each run a fifth of its start. A text costs next to nothing. Classes of ours stay in the one program, since two of
 * one name would be two.
 * @param options of the program that uses it.
 */
export async function awsSdkProgram(options: BuildOptions): Promise<AwsSdkProgram> {
  const names = await importedNames(options);
  const packages = [...names].map(([path, imported], at) => ({ path, imported: [...imported], at }));
  const imports = packages.map(
    ({ path, imported, at }) =>
      `import { ${imported.map((name) => `${name} as ${name}${at}`).join(", ")} } from ${JSON.stringify(path)};`,
  );
  const exports = packages.map(
    ({ path, imported, at }) =>
      `${JSON.stringify(path)}: { ${imported.map((name) => `${name}: ${name}${at}`).join(", ")} },`,
  );
  const { outputFiles, metafile } = await build({
    stdin: {
      contents: `${imports.join("\n")}\nexport const packages = {\n${exports.join("\n")}\n};\n`,
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "none",
    write: false,
    metafile: true,
    logLevel: "error",
  });
  const text = brotliCompressSync(outputFiles[0]?.contents ?? Buffer.of()).toString("base64");
  return { plugin: pluginOf(names, text), inputs: Object.keys(metafile.inputs) };
}

/** As the bundler sees it: types are gone, and what nothing uses. */
async function importedNames(options: BuildOptions): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const external = ["@aws-sdk/*", "@smithy/*"];
  const { outputFiles = [] } = await build({
    ...options,
    external,
    minify: false,
    minifySyntax: false,
    minifyWhitespace: false,
    metafile: false,
    write: false,
  });
  const names = new Map<string, Set<string>>();
  for (const [, list = "", path = ""] of (outputFiles[0]?.text ?? "").matchAll(
    /^import \{([^}]*)\} from "([^"]+)";$/gm,
  )) {
    if (!SDK.test(path)) continue;
    const known = names.get(path) ?? new Set();
    for (const name of list.split(",")) if (name.trim() !== "") known.add(name.trim().split(" ", 1)[0] ?? "");
    names.set(path, known);
  }
  if (names.size === 0) throw new Error("aws-sdk-program: no import of the SDK was found");
  return names;
}

function pluginOf(names: ReadonlyMap<string, ReadonlySet<string>>, text: string): Plugin {
  return {
    name: "aws-sdk-program",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: SDK }, ({ path }) => ({ path, namespace: "aws-sdk" }));
      onResolve({ filter: /^aws-sdk-program$/ }, ({ path }) => ({ path, namespace: "aws-sdk" }));
      onLoad({ filter: /.*/, namespace: "aws-sdk" }, ({ path }) => ({
        contents:
          path === "aws-sdk-program"
            ? programModule(text)
            : `import { packages } from "aws-sdk-program";
               export const { ${[...(names.get(path) ?? [])].join(", ")} } = packages[${JSON.stringify(path)}];`,
        resolveDir: import.meta.dirname,
      }));
    },
  };
}

/** `require` is the bundle's own. */
function programModule(text: string): string {
  return `import { compileFunction } from "node:vm";
    import { brotliDecompressSync } from "node:zlib";
    const text = brotliDecompressSync(Buffer.from(${JSON.stringify(text)}, "base64")).toString();
    const program = { exports: {} };
    compileFunction(text, ["module", "exports", "require"], { filename: "modferry-aws-sdk.cjs" })(
      program, program.exports, require);
    export const { packages } = program.exports;`;
}
