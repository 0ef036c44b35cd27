import { type MadeIndex, microStamp } from "../../mirror/made-index.ts";
import { LATER, RELEASES } from "../universe.ts";

/** What people ask for: one root each, so that what it needs is known by hand. */
export const BODIES: readonly { readonly wishes: readonly string[]; readonly exact: readonly string[] }[] = [
  { wishes: ["example.com/a@v1.0.0"], exact: [] },
  { wishes: ["example.com/a@v1.1.0"], exact: [] },
  { wishes: ["example.com/b@v1.0.0"], exact: [] },
  { wishes: ["example.com/d@v1.0.0"], exact: ["example.com/c@v1.0.0"] },
  // Whole without what it needs, where another request has listed it.
  { wishes: ["example.com/d@v1.1.0"], exact: ["example.com/c@v1.1.0"] },
  { wishes: ["example.com/c@v1.1.0"], exact: [] },
  { wishes: ["example.com/n1@v1.1.0"], exact: [] },
  { wishes: ["example.com/n2@v1.0.0"], exact: [] },
  { wishes: [RELEASES.at(-1)?.name ?? ""], exact: [] },
];

/** Under which names: one has a folder. */
export const NAMES = ["one", "two", "team/three"] as const;

/** What a configuration may be subscribed to. */
export const SUBSCRIPTIONS: readonly (readonly {
  readonly modules: string[];
  readonly versions: string;
}[])[] = [
  [],
  [{ modules: ["example.com/d"], versions: "all" }],
  [{ modules: ["example.com/c"], versions: ">=v1.1.0" }],
];

/** Modules of all whose versions a subscription wants all that are named so, by the number of the set. */
export const WANTED_BY: readonly ((name: string) => boolean)[] = [
  () => false,
  (name) => name.startsWith("example.com/d@"),
  (name) => name === "example.com/c@v1.1.0" || name === "example.com/c@v1.2.0",
];

export function seeAll(index: MadeIndex, now: number): void {
  for (const [at, { name }] of [...RELEASES, ...LATER].entries())
    index.see(name, microStamp(now - (90 - at) * 60_000));
}
