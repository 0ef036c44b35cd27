import { join } from "node:path";
import { heldDatabases } from "../adapters/local/held-databases.ts";
import { databasesIn } from "../mirror/databases-in.ts";
import { needsPerson } from "../mirror/figures.ts";
import { FEEDS } from "../mirror/orders.ts";
import { NAMED_STATES, readStatus, type StatusParts, VERSIONS_NAMED } from "../mirror/status.ts";
import { printStatus } from "../mirror/status-json.ts";
import type { CliEnvironment } from "./environment.ts";
import { type OpenMirror, openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";
import { statusLines } from "./status-lines.ts";

/**
 * `modferry status`: how far the mirror is, and what of it is not served and why. Another process may write it meanwhile.
 * @returns the exit status: 1 where something waits for a person: a conflict, or a database or upstream that is stopped.
 */
export async function status(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const mirror = await openMirror(options, environment, { mode: "read" });
  try {
    const { states = NAMED_STATES, limit = VERSIONS_NAMED } = options.named;
    const parts = mirror.deployed ? await deployedParts(mirror) : await statusParts(options, mirror.ledger);
    const read = await readStatus(parts, { states, limit });
    if (options.json) output.print(printStatus(read));
    else for (const line of statusLines(read, { states, limit })) output.print(oneLine(line));
    return needsPerson(read) ? 1 : 0;
  } finally {
    await mirror.close();
  }
}

async function deployedParts({ tree, ledger }: OpenMirror): Promise<StatusParts> {
  return { ledger, now: Date.now, databases: await databasesIn(tree), feeds: FEEDS };
}

/** What status and metrics of a folder mirror are read from. */
export async function statusParts(
  { mirror }: Pick<Options, "mirror">,
  ledger: StatusParts["ledger"],
): Promise<StatusParts> {
  return { ledger, now: Date.now, databases: await heldDatabases(join(mirror, "tree")), feeds: FEEDS };
}
