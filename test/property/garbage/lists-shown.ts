import { parseVersionList } from "../../../gomod/list-file.ts";
import { parseTreeKey, type TreeKey } from "../../../mirror/tree-keys.ts";
import { closureByHand, type Made } from "../../mirror/made-upstream.ts";
import type { WatchingReader } from "../../mirror/watching-reader.ts";

/** A client or a cache may go on with a list for so long after it was changed: its Cache-Control, in ms. */
const SHOWN = 60_000;

/** What lists that clients may still go by have named. */
export class ListsShown {
  readonly #made: ReadonlyMap<string, Made>;
  readonly #now: () => number;
  /** Versions that went off a list, and when. */
  readonly #gone = new Map<string, number>();

  constructor(made: ReadonlyMap<string, Made>, now: () => number) {
    this.#made = made;
    this.#now = now;
  }

  /** Looks at each change of a list of this tree. */
  watch(tree: WatchingReader): WatchingReader {
    return new Proxy(tree, {
      get: (target, method) => {
        const value: unknown = Reflect.get(target, method, target);
        if (typeof value !== "function") return value;
        if (method !== "replace") return value.bind(target);
        return async (key: TreeKey, bytes: Uint8Array, previous: string | undefined) => {
          const before = await target.get(key, 1 << 24);
          const result = await target.replace(key, bytes, previous);
          const entry = parseTreeKey(key);
          if (result === "replaced" && entry?.kind === "list" && before !== undefined) {
            const left = new Set(parseVersionList(bytes).versions);
            for (const version of parseVersionList(before.bytes).versions) {
              const name = `${entry.path}@${version}`;
              if (left.has(version)) this.#gone.delete(name);
              else this.#gone.set(name, this.#now());
            }
          }
          return result;
        };
      },
    });
  }

  /** Whoever still goes by a list that named something which needs this file. */
  stillShown(name: string, file: "info" | "mod" | "zip"): string[] {
    const problems: string[] = [];
    for (const [root, at] of this.#gone) {
      if (at + SHOWN < this.#now()) continue;
      const extent = closureByHand(this.#made, root).get(name);
      if (extent === "whole" || (extent === "mod" && file === "mod"))
        problems.push(`3: ${name} .${file} was deleted while a cached list may name ${root}, which needs it`);
    }
    return problems;
  }
}
