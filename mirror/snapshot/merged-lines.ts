import type { ModuleVersion } from "../../gomod/version.ts";
import type { VersionRecord } from "../records.ts";
import type { ChangedVersion } from "./changed-versions.ts";
import { compareEntries, entryOf, printEntry, versionOfLine } from "./snapshot-entry.ts";

/** The records do not come in the order of a snapshot's entries, as DynamoDB's do not: they are to be sorted first. */
export class OutOfOrder extends Error {}

const LINES_PER_BATCH = 500;

/** The entries of records as lines. @throws OutOfOrder unless the records come by path, then version, by bytes. */
export async function* linesOfRecords(
  records: AsyncIterable<VersionRecord>,
): AsyncGenerator<readonly string[]> {
  yield* linesInAnyOrder(inOrder(records));
}

async function* inOrder(records: AsyncIterable<VersionRecord>): AsyncGenerator<VersionRecord> {
  let last: ModuleVersion | undefined;
  for await (const record of records) {
    if (last !== undefined && compareEntries(last, record) >= 0) throw new OutOfOrder();
    last = record;
    yield record;
  }
}

/** As linesOfRecords, in the order in which they come. */
export async function* linesInAnyOrder(
  records: AsyncIterable<VersionRecord>,
): AsyncGenerator<readonly string[]> {
  let lines: string[] = [];
  for await (const record of records) {
    const entry = entryOf(record);
    if (entry === undefined) continue;
    lines.push(printEntry(entry));
    if (lines.length < LINES_PER_BATCH) continue;
    yield lines;
    lines = [];
  }
  if (lines.length > 0) yield lines;
}

/**
 * Sorted lines with what has changed since, which takes the place of what they have of it. A version is listed where it
 * is now, and was so before the closed moment: all that it needs is then among the lines or the changes, whereas what
 * came into a list while the journal was being read may need what came after its page was read.
 */
export async function* mergedLines(
  base: AsyncIterable<readonly string[]>,
  changes: AsyncIterable<readonly ChangedVersion[]>,
): AsyncGenerator<readonly string[]> {
  const changed = changes[Symbol.asyncIterator]();
  let page: readonly ChangedVersion[] = [];
  let at = 0;
  /** The next change; reads its page where it is not there yet. */
  const peek = async (): Promise<ChangedVersion | undefined> => {
    while (at === page.length) {
      const next = await changed.next();
      if (next.done === true) return undefined;
      page = next.value;
      at = 0;
    }
    return page[at];
  };
  try {
    let change = await peek();
    for await (const lines of base) {
      const last = lines.at(-1);
      if (
        change === undefined ||
        last === undefined ||
        compareEntries(change.version, versionOfLine(last)) > 0
      ) {
        yield lines;
        continue;
      }
      const out: string[] = [];
      for (const line of lines) {
        let order = change === undefined ? 1 : compareEntries(change.version, versionOfLine(line));
        while (change !== undefined && order < 0) {
          push(out, change, undefined);
          at++;
          change = await peek();
          order = change === undefined ? 1 : compareEntries(change.version, versionOfLine(line));
        }
        if (change === undefined || order > 0) out.push(line);
        else {
          push(out, change, line);
          at++;
          change = await peek();
        }
      }
      yield out;
    }
    for (; change !== undefined; change = await peek()) {
      const out: string[] = [];
      for (; at < page.length; at++) push(out, page[at] as ChangedVersion, undefined);
      yield out;
    }
  } finally {
    await changed.return?.(undefined);
  }
}

function push(out: string[], { record, wasListed }: ChangedVersion, line: string | undefined): void {
  const entry = record && entryOf(record);
  if (entry === undefined) return;
  const listed = entry.listed && (wasListed || line?.includes(',"listed":true,') === true);
  out.push(printEntry({ ...entry, listed }));
}
