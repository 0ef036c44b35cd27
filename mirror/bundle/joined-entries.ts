import { formatModuleVersion } from "../../gomod/version.ts";
import { MirrorError } from "../errors.ts";
import { compareEntries, type SnapshotEntry } from "../snapshot/snapshot-entry.ts";
import type { BundleSnapshot } from "./bundle-ports.ts";

/**
 * The entries of both snapshots side by side, in their order: either or both of each version. Streamed.
 * @throws MirrorError malformed where one of them is not in order, or names a version twice.
 */
export async function* joined(
  from: BundleSnapshot | undefined,
  to: BundleSnapshot,
): AsyncGenerator<readonly [SnapshotEntry | undefined, SnapshotEntry | undefined]> {
  const olds = inOrder(from);
  const news = inOrder(to);
  try {
    let old = await next(olds);
    let now = await next(news);
    while (old !== undefined || now !== undefined) {
      const order = old === undefined ? 1 : now === undefined ? -1 : compareEntries(old, now);
      yield [order <= 0 ? old : undefined, order >= 0 ? now : undefined];
      if (order <= 0) old = await next(olds);
      if (order >= 0) now = await next(news);
    }
  } finally {
    await olds.return(undefined);
    await news.return(undefined);
  }
}

async function next(entries: AsyncGenerator<SnapshotEntry>): Promise<SnapshotEntry | undefined> {
  const { value, done } = await entries.next();
  return done === true ? undefined : value;
}

async function* inOrder(snapshot: BundleSnapshot | undefined): AsyncGenerator<SnapshotEntry> {
  if (snapshot === undefined) return;
  let last: SnapshotEntry | undefined;
  for await (const entry of snapshot.entries()) {
    if (last !== undefined && compareEntries(last, entry) >= 0) {
      const { name } = snapshot.header;
      throw new MirrorError(
        "malformed",
        name,
        `snapshot ${name}: ${formatModuleVersion(entry)} is out of order`,
      );
    }
    last = entry;
    yield entry;
  }
}
