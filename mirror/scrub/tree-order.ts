import { escapePath, type ModulePath } from "../../gomod/module-path.ts";

/**
 * How a module's keys begin, and only its: modules sorted by it come in the order in which a sorted listing of the tree
 * has their files. No element of a path begins with `@`, so no other module's keys lie between (module paths sort
 * otherwise: `a-b/@v` is before `a/@v`, and `a!b` is how `aB` is stored).
 */
export function moduleOrder(path: ModulePath): string {
  return `${escapePath(path)}/@`;
}

/** A part of a mirror that one process looks after: number `index` (from 1) of `of`. */
export interface Shard {
  readonly index: number;
  readonly of: number;
}

export const WHOLE: Shard = { index: 1, of: 1 };

/** More shards than that are no help: a listing of the whole tree is what each begins with. */
export const MOST_SHARDS = 1_000;

/** `2/8`: the second of eight; undefined where it is no such thing. */
export function parseShard(text: string): Shard | undefined {
  const [index = 0, of = 0] = /^\d{1,4}\/\d{1,4}$/.test(text) ? text.split("/").map(Number) : [];
  return index >= 1 && index <= of && of <= MOST_SHARDS ? { index, of } : undefined;
}

/** Whether a module belongs to the shard: each does to exactly one, whatever is added or removed. */
export function isIn(shard: Shard, order: string): boolean {
  return shard.of === 1 || spread(order) % shard.of === shard.index - 1;
}

/** The stored checksums of so many parts are read in turn, one a day: of each file once a month. */
export const SLICES = 30;

/** The slice of a day, from the time in ms since the epoch. */
export function sliceOf(now: number): number {
  return Math.floor(now / 86_400_000) % SLICES;
}

/** Whether a module's checksums are read in this slice; independent of its shard. */
export function isInSlice(slice: number, order: string): boolean {
  return spread(`slice ${order}`) % SLICES === slice;
}

/** FNV-1a of 32 bits (Fowler, Noll, Vo), mixed once more since its low bits alone are uneven for like names. */
function spread(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
