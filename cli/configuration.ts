import { readFile } from "node:fs/promises";
import { dirname, extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { whyUnread } from "../adapters/local/file-error.ts";
import { type Configuration, defineMirror } from "../infra/configuration.ts";
import { MirrorError, misuse } from "../mirror/errors.ts";
import { oneLine } from "./output.ts";

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
        ? await readJson(file)
        : ((await import(pathToFileURL(resolve(file)).href)) as { default?: unknown }).default;
    if (typeof input !== "object" || input === null)
      throw misuse(
        "--config",
        kind === ".json"
          ? `--config ${file}: holds no JSON object, {…}`
          : `--config ${file}: has no default export; write export default defineMirror({…})`,
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

/** With or without the byte order mark that editors on Windows write. */
async function readJson(file: string): Promise<unknown> {
  const text = await readFile(file, "utf8").catch((thrown: unknown) => {
    throw misuse("--config", `--config ${file}: ${whyUnread(thrown)}`, thrown);
  });
  try {
    return JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const what = text.trim() === "" ? "it is empty" : oneLine(why);
    throw misuse("--config", `--config ${file}: no JSON: ${what}`, cause);
  }
}
