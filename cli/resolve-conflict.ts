import { WriterBusy } from "../adapters/local/writer-lock.ts";
import { coverage } from "../adapters/upstream/sources.ts";
import { FormatError } from "../gomod/format-error.ts";
import { formatModuleVersion, type ModuleVersion, parseModuleVersion } from "../gomod/version.ts";
import { misuse } from "../mirror/errors.ts";
import type { State } from "../mirror/records.ts";
import { type Resolution, resolveConflict as resolveNow } from "../mirror/resolve-conflict.ts";
import { chosenSumdbs } from "./chosen-sumdbs.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { leftToWriter } from "./left-to-writer.ts";
import { type OpenMirror, openMirror } from "./open-mirror.ts";
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
  const name = formatModuleVersion(version);
  const say = (state: State, deployed: boolean): number => {
    if (options.json)
      output.print(jsonLine({ event: "resolved-conflict", version: name, resolution, state, by, reason }));
    else
      output.error(
        state === "READY"
          ? `${name}: what is held is kept, and served again`
          : `${name}: ${resolution === "keep" ? "what is held is kept; the rest" : "what upstream has"} is fetched by ${deployed ? "its functions" : "the next sync"}`,
      );
    return 0;
  };
  let mirror: OpenMirror;
  try {
    mirror = await openMirror(options, environment, { mode: "write", existing: true });
  } catch (thrown) {
    if (!(thrown instanceof WriterBusy)) throw thrown;
    const order = { verb: "resolve-conflict", name, resolution, by, reason } as const;
    const done = await leftToWriter(options, environment, order);
    if (done === undefined) return await resolveConflict(options, environment, output);
    return say(done.state as State, false);
  }
  try {
    const { tree, vault, ledger, queue } = mirror;
    const provable = (path: ModuleVersion["path"]) => covering(path).size > 0;
    const parts = { tree, vault, ledger, queue, now: Date.now, report: () => {}, provable };
    return say(await resolveNow(parts, version, resolution, { by, reason }), mirror.deployed);
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
