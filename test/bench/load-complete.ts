import { mkdir } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { parseVersionList } from "../../gomod/list-file.ts";
import { completeUntil } from "../../mirror/complete-until.ts";
import { OPEN_STATES } from "../../mirror/figures.ts";
import { INDEX_FEED } from "../../mirror/orders.ts";
import type { Ledger, Tree } from "../../mirror/ports.ts";
import { LARGEST_LIST } from "../../mirror/publish.ts";
import { parseTreeKey } from "../../mirror/tree-keys.ts";
import { goClient } from "../go-client.ts";

/** How many of the mirror's versions the go command downloads and proves; at random. */
const SAMPLE = 200;

/**
 * That a mirror has all of the index that it was loaded with: each version is in its module's list, the ledger has that
 * many records and none is at work, and the feed is complete to its end.
 * @returns names of all that is listed. @throws Error that says what is missing.
 */
export async function requireComplete(
  { tree, ledger }: { readonly tree: Tree; readonly ledger: Ledger },
  versions: number,
  lastStamp: string,
): Promise<string[]> {
  const listed: string[] = [];
  for await (const { key } of tree.keys()) {
    const entry = parseTreeKey(key);
    if (entry?.kind !== "list") continue;
    const list = await tree.get(entry.key, LARGEST_LIST);
    if (list === undefined) throw new Error(`${key}: gone`);
    for (const version of parseVersionList(list.bytes).versions) listed.push(`${entry.path}@${version}`);
  }
  if (listed.length !== versions) throw new Error(`${listed.length} of ${versions} versions are listed`);
  for (const state of OPEN_STATES) {
    const { count } = await ledger.countState(state);
    if (count > 0) throw new Error(`${count} versions are ${state}`);
  }
  const complete = await completeUntil(ledger, INDEX_FEED, Date.now());
  if (complete === undefined || complete.open > 0 || complete.until < lastStamp)
    throw new Error(`the feed is complete until ${JSON.stringify(complete)}, its last stamp is ${lastStamp}`);
  return listed;
}

/**
 * The go command downloads some of them from the folder alone, offline, and proves each by the database in it.
 * @returns how many. @throws Error with what go says.
 */
export async function requireUsable(folder: string, names: readonly string[], vkey: string): Promise<number> {
  const client = await goClient({ goproxy: pathToFileURL(folder).href, gosumdb: vkey });
  try {
    const step = Math.max(1, Math.floor(names.length / SAMPLE));
    const some = names.filter((_, at) => at % step === 0).slice(0, SAMPLE);
    const cwd = `${client.home}/empty`;
    await mkdir(cwd);
    const { code, stdout, stderr } = await client.run(["mod", "download", "-json", ...some], { cwd });
    if (code !== 0) throw new Error(`go mod download: ${(stderr || stdout).slice(-1_000)}`);
    return some.length;
  } finally {
    await client.dispose();
  }
}
