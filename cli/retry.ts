import { WriterBusy } from "../adapters/local/writer-lock.ts";
import { coverage } from "../adapters/upstream/sources.ts";
import { misuse } from "../mirror/errors.ts";
import { type Retried, retry as retryWaiting } from "../mirror/retry.ts";
import { chosenSumdbs } from "./chosen-sumdbs.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { leftToWriter } from "./left-to-writer.ts";
import { type OpenMirror, openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** `modferry retry`: what waits after a failure is due now; the next sync tries it again. */
export async function retry(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const [pattern, surplus] = options.arguments;
  if (surplus !== undefined)
    throw misuse(surplus, `${surplus}: \`modferry retry\` takes one pattern; separate several with commas`);
  const { sumdbs, noSumdb } = await chosenSumdbs(options, environment);
  const covering = coverage(sumdbs, noSumdb);
  const knowsCoverage = options.config !== undefined || options.sumdbNamed || options.noSumdb !== undefined;
  const say = (retried: Retried, deployed: boolean): number => {
    const { versions, requests, conflicts } = retried;
    if (options.json) output.print(jsonLine({ event: "retried", ...retried }));
    else
      output.error(
        `${versions} versions and ${requests} requests are due now; ${deployed ? "its functions try them" : "`modferry sync` tries them"}`,
      );
    if (conflicts > 0 && !options.json)
      output.error(
        `${conflicts} conflicts that no checksum database can settle are left as they are; \`modferry resolve-conflict\` settles them one by one`,
      );
    return 0;
  };
  let mirror: OpenMirror;
  try {
    mirror = await openMirror(options, environment, { mode: "write", existing: true });
  } catch (thrown) {
    if (!(thrown instanceof WriterBusy)) throw thrown;
    const order = { verb: "retry", name: pattern ?? "all", knowsCoverage } as const;
    const done = await leftToWriter(options, environment, order);
    return done === undefined
      ? await retry(options, environment, output)
      : say(done as unknown as Retried, false);
  }
  try {
    const provable = (path: Parameters<typeof covering>[0]) => covering(path).size > 0;
    return say(
      await retryWaiting({ ledger: mirror.ledger, now: Date.now, provable, knowsCoverage }, pattern),
      mirror.deployed,
    );
  } finally {
    await mirror.close();
  }
}
