import type { Deadline } from "./deadline.ts";
import type { Tree } from "./ports.ts";
import { requireTime } from "./time-is-up.ts";

/** A tree in which nothing is begun when there is no time to end it. Its methods throw TimeIsUp then. */
export function timedTree(tree: Tree, deadline: Deadline): Tree {
  const timed = <A extends [string, ...unknown[]], R>(act: (...args: A) => R): ((...args: A) => R) => {
    return (...args) => {
      requireTime(deadline, args[0]);
      return act(...args);
    };
  };
  const { checksum } = tree;
  return {
    create: timed(async (...args: Parameters<Tree["create"]>) => await tree.create(...args)),
    replace: timed(async (...args: Parameters<Tree["replace"]>) => await tree.replace(...args)),
    remove: timed(async (...args: Parameters<Tree["remove"]>) => await tree.remove(...args)),
    get: timed(async (...args: Parameters<Tree["get"]>) => await tree.get(...args)),
    open: timed(async (...args: Parameters<Tree["open"]>) => await tree.open(...args)),
    keys: (after) => tree.keys(after),
    link: (key, seconds) => tree.link(key, seconds),
    ...(checksum === undefined ? {} : { checksum: (key) => checksum.call(tree, key) }),
  };
}
