import type { ProcessOptions } from "../mirror/made-mirror.ts";
import { MadeUpstream } from "../mirror/made-upstream.ts";

/** What upstream has, in the order in which the index has seen it. */
export interface Release {
  readonly name: string;
  readonly requires: readonly string[];
}

const PSEUDO = "example.com/e@v0.0.0-20240102030405-0123456789ab";

/** There from the start. */
export const RELEASES: readonly Release[] = [
  { name: "example.com/d@v1.0.0", requires: [] },
  { name: "example.com/c@v1.0.0", requires: [] },
  { name: "example.com/c@v1.1.0", requires: ["example.com/d@v1.0.0"] },
  { name: "example.com/b@v1.0.0", requires: ["example.com/c@v1.0.0"] },
  { name: "example.com/a@v1.0.0", requires: ["example.com/b@v1.0.0", "example.com/c@v1.1.0"] },
  { name: "example.com/a@v1.1.0", requires: ["example.com/b@v1.0.0"] },
  { name: PSEUDO, requires: ["example.com/d@v1.0.0"] },
];

/** Released one after the other while a schedule runs; none of a module of which somebody wants `@latest`. */
export const LATER: readonly Release[] = [
  { name: "example.com/n1@v1.0.0", requires: ["example.com/d@v1.0.0"] },
  { name: "example.com/d@v1.1.0", requires: [] },
  { name: "example.com/n2@v1.0.0", requires: ["example.com/n1@v1.0.0", "example.com/d@v1.1.0"] },
  { name: "example.com/c@v1.2.0", requires: ["example.com/d@v1.1.0"] },
  { name: "example.com/n1@v1.1.0", requires: ["example.com/c@v1.2.0"] },
];

export function universe(later = 0): MadeUpstream {
  const upstream = new MadeUpstream();
  // Close below a full tile, so that heads fall on both sides of it.
  upstream.database.grow(246);
  for (const [at, { name, requires }] of RELEASES.entries()) {
    if (at === 2) upstream.database.grow(3);
    upstream.add(name, { requires: [...requires] });
  }
  for (const { name, requires } of LATER.slice(0, later)) upstream.add(name, { requires: [...requires] });
  return upstream;
}

const goMod = `module example.org/main

go 1.16

require (
	example.com/a v1.1.0
	example.com/c v1.1.0
)
`;

/** What people ask for. */
export const BODIES: readonly {
  readonly wishes?: string[];
  readonly exact?: string[];
  readonly files?: Record<string, string>;
}[] = [
  { wishes: ["example.com/a@v1.0.0", PSEUDO] },
  { files: { "go.mod": goMod } },
  { exact: ["example.com/b@v1.0.0"], wishes: ["example.com/a@latest"] },
];

/** What feeds bring; the first is polled too where there is a poll feed. */
export const SUBSCRIPTIONS = [
  { modules: ["example.com/d"], versions: "all" },
  { modules: ["example.com"], versions: "all", pseudoVersions: true },
] as const;

/** What an operator blocks. */
export const BLOCKS = [
  "example.com/d@v1.0.0",
  "example.com/b@v1.0.0",
  "example.com/a@v1.1.0",
  "example.com/c",
  "example.com/n*",
] as const;

/** Policies that a configuration may have; the first lets everything in. */
export const POLICIES: readonly ProcessOptions["policy"][] = [
  undefined,
  { cooldown: { age: "45m" } },
  { rules: [{ name: "no-d", deny: ["example.com/d"], reason: "not reviewed" }] },
  {
    rules: [
      { name: "no-new-c", deny: ["example.com/c"], versions: ">=v1.1.0", reason: "not reviewed" },
      { name: "b", allow: ["example.com/b"] },
    ],
    cooldown: { age: "20m" },
  },
];
