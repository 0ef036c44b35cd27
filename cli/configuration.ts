import { readFile } from "node:fs/promises";
import { dirname, extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Configuration, defineMirror } from "../infra/configuration.ts";
import { MirrorError, misuse } from "../mirror/errors.ts";

/** What `import` takes; Node strips the types of a .ts by itself. */
const MODULES = [".ts", ".mts", ".js", ".mjs"];

/**
 * Reads the configuration that `cdk deploy` takes too: a module whose default export it is, or a JSON file.
 * @throws MirrorError misuse naming the file, or the field and what would be right.
 */
export async function loadConfiguration(file: string): Promise<Configuration> {
  const kind = extname(file);
  if (kind !== ".json" && !MODULES.includes(kind))
    throw misuse("--config", `--config ${file}: name a .ts, .mjs, .js or .json file`);
  try {
    const input: unknown =
      kind === ".json"
        ? JSON.parse(await readFile(file, "utf8"))
        : ((await import(pathToFileURL(resolve(file)).href)) as { default?: unknown }).default;
    if (typeof input !== "object" || input === null)
      throw misuse(
        "--config",
        `--config ${file}: has no default export; write export default defineMirror({…})`,
      );
    const configuration = defineMirror(input as Parameters<typeof defineMirror>[0]);
    const { egress } = configuration;
    if (egress.extraCa === undefined) return configuration;
    // Beside the configuration that names it, wherever the command is run.
    return { ...configuration, egress: { ...egress, extraCa: resolve(dirname(file), egress.extraCa) } };
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.subject === "--config") throw thrown;
    const reason = thrown instanceof Error ? (thrown.message.split("\n", 1)[0] ?? "") : String(thrown);
    throw misuse("--config", `--config ${file}: ${reason.replace(/^configuration: /, "")}`, thrown);
  }
}
