import type { TreeEntry } from "./tree-keys.ts";

/** Answers to these never change: a year, the longest that caches were ever told to honour (RFC 2616, 14.21). */
const IMMUTABLE = "public, max-age=31536000, immutable";
/** Lists move; clients and caches may lag this long, in seconds at most (docs/architecture.md: at most 60). */
const MOVING = "public, max-age=60";

const CONTENT_TYPES: Record<TreeEntry["kind"], string> = {
  info: "application/json",
  latest: "application/json",
  mod: "text/plain; charset=utf-8",
  zip: "application/zip",
  list: "text/plain; charset=utf-8",
  supported: "text/plain; charset=utf-8",
  treeHead: "text/plain; charset=utf-8",
  lookup: "text/plain; charset=utf-8",
  tile: "application/octet-stream",
};

/** Types as the GOPROXY and checksum database servers send them; go reads none of them. */
export function contentTypeOf(entry: TreeEntry): string {
  return CONTENT_TYPES[entry.kind];
}

/**
 * How long a served key may be cached: for good, or where it moves for a minute. A zip never changes, but may be taken
 * out: caches ask again after a minute, by its ETag, so that a block reaches their clients too.
 */
export function cacheControlOf({ kind }: TreeEntry): string {
  return kind === "list" || kind === "latest" || kind === "treeHead" || kind === "zip" ? MOVING : IMMUTABLE;
}
