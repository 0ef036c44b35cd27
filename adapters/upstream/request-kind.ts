import { FULL_TILE_SIZE } from "../../sumdb/tile.ts";

/** What is asked of an upstream: the files of a module, and those of a checksum database. */
export type RequestKind = "list" | "latest" | "info" | "mod" | "zip" | "treeHead" | "lookup" | "tile";

/**
 * Most bytes of each reply. zip and mod are cmd/go's (modfetch/codehost: MaxZipFile, MaxGoMod). cmd/go bounds none of
 * the others: an info has some hundred bytes, as has a lookup, whose note x/mod refuses above 1 MB (note.Open: 1e6,
 * tlog.ParseTree likewise); the longest lists known have some ten thousand versions, well below 1 MiB.
 */
export const LARGEST_REPLY: Readonly<Record<RequestKind, number>> = {
  list: 16 << 20,
  latest: 1 << 20,
  info: 1 << 20,
  mod: 16 << 20,
  zip: 500 * 2 ** 20,
  treeHead: 1 << 20,
  lookup: 1 << 20,
  tile: FULL_TILE_SIZE,
};

/** Requests sent so far by kind, tries included; `retry` of them were repeats. Redirects come on top. */
export type RequestCounts = Record<RequestKind | "probe" | "retry" | "redirect", number>;

export function noRequests(): RequestCounts {
  return {
    list: 0,
    latest: 0,
    info: 0,
    mod: 0,
    zip: 0,
    treeHead: 0,
    lookup: 0,
    tile: 0,
    probe: 0,
    retry: 0,
    redirect: 0,
  };
}
