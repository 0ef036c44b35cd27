import { openFolderMirror } from "../adapters/local/folder-mirror.ts";
import { MemoryQueue } from "../adapters/local/memory-queue.ts";
import { coverage } from "../adapters/upstream/sources.ts";
import { FormatError } from "../gomod/format-error.ts";
import { formatModuleVersion, type ModuleVersion, parseModuleVersion } from "../gomod/version.ts";
import { misuse } from "../mirror/errors.ts";
import { type Resolution, resolveConflict as resolveNow } from "../mirror/resolve-conflict.ts";
import { chosenSumdbs } from "./chosen-sumdbs.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { reasonOf, whoever } from "./operator.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/** `modferry resolve-conflict`: a person settles a CONFLICT that no checksum database can. */
export async function resolveConflict(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const version = oneVersion(options);
  const resolution = resolutionOf(options);
  const by = whoever(options);
  const reason = reasonOf(options, "who audits the mirror is");
  const { sumdbs, noSumdb } = await chosenSumdbs(options, environment);
  const covering = coverage(sumdbs, noSumdb);
  const mirror = await openFolderMirror(options.mirror, { mode: "write", existing: true });
  try {
    const { tree, vault, ledger } = mirror;
    const provable = (path: ModuleVersion["path"]) => covering(path).size > 0;
    // What is queued is in the ledger too: the next sync does it.
    const stores = { tree, vault, ledger, queue: new MemoryQueue() };
    const parts = { ...stores, now: Date.now, report: () => {}, provable };
    const state = await resolveNow(parts, version, resolution, { by, reason });
    const name = formatModuleVersion(version);
    if (options.json)
      output.print(jsonLine({ event: "resolved-conflict", version: name, resolution, state, by, reason }));
    else
      output.error(
        state === "READY"
          ? `${name}: what is held is kept, and served again`
          : `${name}: ${resolution === "keep" ? "what is held is kept; the rest" : "what upstream has"} is fetched by the next sync`,
      );
    return 0;
  } finally {
    await mirror.close();
  }
}

function resolutionOf({ resolution: { keep, take } }: Options): Resolution {
  if (keep !== take) return keep ? "keep" : "take";
  throw misuse(
    "--keep",
    "--keep or --take: give one; --keep stays with what is held, --take takes what upstream has where nothing was ever held",
  );
}

function oneVersion({ arguments: [name, surplus] }: Options): ModuleVersion {
  if (name === undefined)
    throw misuse(
      "module@version",
      "no version: give one, such as: modferry resolve-conflict example.com/a@v1.2.3 --keep --reason …",
    );
  if (surplus !== undefined)
    throw misuse(surplus, `${surplus}: \`modferry resolve-conflict\` takes one module@version`);
  try {
    return parseModuleVersion(name);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw misuse(name, oneLine(cause.message), cause);
  }
}
