import { zipChecker } from "../adapters/local/zip-checker.ts";
import { ZipThreads } from "../adapters/local/zip-threads.ts";
import { coverage } from "../adapters/upstream/sources.ts";
import { acceptInbox } from "../mirror/inbox-scan.ts";
import { rebuildLedger } from "../mirror/recovery/rebuild-ledger.ts";
import { ALL_TICKS } from "../mirror/tick-hold.ts";
import { chosenSumdbs } from "./chosen-sumdbs.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/**
 * `modferry rebuild-ledger`: takes into the ledger, be it new or an old copy, what the tree holds and it does not know.
 * @returns the exit status: 1 where something could not be taken in as it was.
 */
export async function rebuildLedgerVerb(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const { sumdbs, noSumdb } = await chosenSumdbs(options, environment);
  const mirror = await openMirror(
    options,
    environment,
    { mode: "write", lostLedger: true, holds: ALL_TICKS },
    output,
  );
  const hasher = new ZipThreads();
  try {
    const { tree, vault, ledger, queue } = mirror;
    const covers = coverage(sumdbs, noSumdb);
    const verifiers = sumdbs.map(({ verifier }) => verifier);
    const result = await rebuildLedger({
      tree,
      vault,
      ledger,
      queue,
      zips: zipChecker,
      hasher,
      verifiers,
      covering: (path) => {
        const numbers = covers(path);
        return verifiers.filter((_, at) => numbers.has(at)).map(({ name }) => name);
      },
      now: Date.now,
      report: () => {},
      found: ({ subject, message }) => {
        if (options.json) output.print(jsonLine({ event: "finding", subject, message }));
        else output.print(oneLine(message.startsWith(subject) ? message : `${subject}: ${message}`));
      },
      progress: ({ modules, rebuilt }) => output.status?.(`${modules} modules, ${rebuilt} versions taken in`),
    });
    const { modules, rebuilt, known, heads, findings, decisions } = result;
    const { blocks, stops, drops } = decisions;
    // On a desk the next sync does.
    const inbox = mirror.deployed ? await acceptInbox({ vault, ledger, queue, now: Date.now }) : undefined;
    const counts = {
      modules,
      rebuilt,
      known,
      heads,
      blocks: blocks.length,
      stops: stops.length,
      drops,
      findings,
      ...(inbox && { requests: inbox.accepted }),
    };
    if (options.json) output.print(jsonLine({ event: "rebuilt", ...counts }));
    else
      output.error(
        `modferry: ${inbox === undefined ? "" : `${inbox.accepted} requests accepted anew; `}${rebuilt} versions of ${modules} modules taken in, ${known} were known; ${heads} heads, ` +
          `${blocks.length} blocks, ${stops.length} stopped databases; ${findings} findings. ` +
          "Next: `modferry scrub --deep`, and `modferry snapshot take --full`",
      );
    return findings === 0 ? 0 : 1;
  } finally {
    await hasher.close();
    await mirror.close();
  }
}
