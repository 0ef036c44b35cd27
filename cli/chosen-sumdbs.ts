import { engineOf } from "../adapters/configuration/engine.ts";
import { sumdbEntries } from "../adapters/configuration/sumdb-shape.ts";
import type { Verifier } from "../sumdb/note.ts";
import { loadConfiguration } from "./configuration.ts";
import type { CliEnvironment } from "./environment.ts";
import type { Options } from "./options.ts";

/** A checksum database, and the module paths that it covers, as GONOSUMDB has them. */
interface ChosenSumdb {
  readonly verifier: Verifier;
  readonly modules: string | undefined;
}

/** Which checksum databases cover what, by the configuration or the flags; no upstream, and no token, is needed to know. */
export async function chosenSumdbs(
  options: Options,
  environment: CliEnvironment,
): Promise<{ readonly sumdbs: readonly ChosenSumdb[]; readonly noSumdb: string }> {
  if (options.config === undefined)
    return { sumdbs: options.sumdbs, noSumdb: options.noSumdb ?? (await environment.gonosumdb()) };
  const engine = engineOf(await loadConfiguration(options.config));
  return { sumdbs: sumdbEntries(engine.sumdb), noSumdb: engine.noSumdb.join(",") };
}
