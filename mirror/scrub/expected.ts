import type { ModulePath } from "../../gomod/module-path.ts";
import type { Ledger } from "../ports.ts";
import type { State } from "../records.ts";
import { lookupKey } from "../tree-keys.ts";
import type { ScrubRecord } from "./module-check.ts";
import { type LineRuns, SortedLines } from "./sorted-lines.ts";
import { isIn, moduleOrder, type Shard } from "./tree-order.ts";

/** Sorts behind all keys of a module that it stands after. */
export const LAST = "~";

/** All records of one module. */
export interface ModuleRecords {
  readonly order: string;
  readonly path: ModulePath;
  readonly records: readonly ScrubRecord[];
}

/** What the tree must have by the ledger, in the tree's order. */
export interface Expected {
  readonly modules: Cursor<ModuleRecords>;
  /** Keys. */
  readonly lookups: Cursor<string>;
}

/** What the tree must have by the ledger, behind the cursor: records by module, and lookups by key. */
export async function expectedOf(
  { ledger, runs }: { readonly ledger: Pick<Ledger, "records">; readonly runs: LineRuns },
  shard: Shard,
  cursor: string,
): Promise<Expected> {
  const modules = new SortedLines(runs);
  const lookups = new SortedLines(runs);
  for await (const record of ledger.records()) {
    const order = moduleOrder(record.path);
    if (!isIn(shard, order)) continue;
    const { path, version, state, held, listed, modSize, zipSize, infoSha256 } = record;
    const fields = [path, version, state, held, listed ? 1 : 0, modSize, zipSize, infoSha256];
    if (`${order}${LAST}` > cursor) await modules.add(`${order}\t${JSON.stringify(fields)}`);
    if (held === "nothing") continue;
    for (const database of Object.keys(record.sumdbRecords ?? {})) {
      const key = lookupKey(database, record);
      if (key > cursor) await lookups.add(key);
    }
  }
  return { modules: new Cursor(modulesOf(modules.sorted())), lookups: new Cursor(lookups.sorted()) };
}

/** Lines of one module come one behind the other. */
async function* modulesOf(lines: AsyncIterable<string>): AsyncGenerator<ModuleRecords> {
  let module: { order: string; path: ModulePath; records: ScrubRecord[] } | undefined;
  for await (const line of lines) {
    const tab = line.indexOf("\t");
    const order = line.slice(0, tab);
    const [path, version, state, held, listed, modSize, zipSize, infoSha256] = JSON.parse(
      line.slice(tab + 1),
    );
    if (module !== undefined && module.order !== order) yield module;
    if (module?.order !== order) module = { order, path, records: [] };
    module.records.push({
      path,
      version,
      state: state as State,
      held,
      listed: listed === 1,
      ...(modSize === null ? {} : { modSize }),
      ...(zipSize === null ? {} : { zipSize }),
      ...(infoSha256 === null || infoSha256 === undefined ? {} : { infoSha256 }),
    });
  }
  if (module !== undefined) yield module;
}

/** One look ahead. */
export class Cursor<T> {
  readonly #source: AsyncIterator<T>;
  #next: T | undefined;
  #ended = false;

  constructor(source: AsyncIterable<T>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async peek(): Promise<T | undefined> {
    if (this.#next === undefined && !this.#ended) {
      const { done, value } = await this.#source.next();
      if (done === true) this.#ended = true;
      else this.#next = value;
    }
    return this.#next;
  }

  take(): void {
    this.#next = undefined;
  }
}
