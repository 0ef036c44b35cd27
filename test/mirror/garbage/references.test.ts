import fc from "fast-check";
import { expect, test } from "vitest";
import { formatModuleVersion, parseModuleVersion } from "../../../gomod/version.ts";
import { dropRequest } from "../../../mirror/garbage/drops.ts";
import { readReferences } from "../../../mirror/garbage/references.ts";
import { garbageSettings, garbageShape } from "../../../mirror/garbage/settings.ts";
import { Subscriptions } from "../../../mirror/subscription.ts";
import { add, addAll, closedByHand, type Extents, needsByHand } from "../../property/garbage/referred.ts";
import { MadeMirror, MINUTE } from "../made-mirror.ts";
import { closureByHand, MadeUpstream } from "../made-upstream.ts";

const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const PATHS = 6;
const VERSIONS = 3;
const NAMES = ["one", "two", "three/four"];

const nameOf = (path: number, version: number) => `example.com/m${path}@v1.${version}.0`;

/** Modules that require some of those before them. */
const universe = fc.array(fc.array(fc.tuple(fc.nat(PATHS - 1), fc.nat(VERSIONS - 1)), { maxLength: 3 }), {
  minLength: PATHS * VERSIONS,
  maxLength: PATHS * VERSIONS,
});

type Event =
  | { readonly kind: "request"; readonly name: number; readonly path: number; readonly version: number }
  | { readonly kind: "drop"; readonly name: number }
  | { readonly kind: "wait"; readonly days: number };
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("request" as const),
      name: fc.nat(2),
      path: fc.nat(PATHS - 1),
      version: fc.nat(VERSIONS - 1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), name: fc.nat(2) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), days: fc.constantFrom(1, 50, 95) }),
  },
);

function upstreamOf(requires: readonly (readonly (readonly [number, number])[])[]): MadeUpstream {
  const made = new MadeUpstream();
  made.database.grow(3);
  requires.forEach((of, at) => {
    const path = Math.floor(at / VERSIONS);
    const lower = new Map(of.filter(([other]) => other < path).map(([other, version]) => [other, version]));
    made.add(nameOf(path, at % VERSIONS), {
      requires: [...lower].map(([other, version]) => nameOf(other, version)),
    });
  });
  return made;
}

test("what is marked is the arithmetic of sets: what current requests and subscriptions need, closed by what lists name", async () => {
  await fc.assert(
    fc.asyncProperty(
      universe,
      fc.array(event, { minLength: 1, maxLength: 14, size: "max" }),
      fc.option(fc.nat(PATHS - 1), { nil: undefined }),
      async (requires, events, subscribed) => {
        const upstream = upstreamOf(requires);
        const mirror = new MadeMirror(upstream);
        /** By name: the newest request, until it is dropped. */
        const current = new Map<string, { readonly at: number; readonly wish: string }>();
        for (const entry of events) {
          mirror.clock.ms += HOUR;
          if (entry.kind === "wait") mirror.clock.ms += entry.days * DAY;
          else if (entry.kind === "request") {
            const wish = nameOf(entry.path, entry.version);
            await mirror.request({ wishes: [wish] }, NAMES[entry.name]);
            current.set(NAMES[entry.name] as string, { at: mirror.clock.ms, wish });
          } else if (current.has(NAMES[entry.name] as string)) {
            await dropRequest(mirror.parts, NAMES[entry.name] as string, "op@host");
            current.delete(NAMES[entry.name] as string);
          }
        }
        const subscription = { modules: [`example.com/m${subscribed}`], versions: "all" };
        const { marks } = await readReferences(
          { ...mirror.parts, provable: () => true },
          {
            settings: garbageSettings(garbageShape.parse({}), undefined),
            subscriptions: new Subscriptions(subscribed === undefined ? [] : [subscription as never]),
            kept: async function* () {},
          },
        );

        const needed: Extents = new Map();
        for (const { at, wish } of current.values())
          if (at + 90 * DAY > mirror.clock.ms)
            addAll(needed, needsByHand(upstream.made, { wishes: [wish], exact: [] }));
        const listed = new Set<string>();
        for await (const record of mirror.ledger.records()) {
          const name = formatModuleVersion(record);
          if (record.listed) listed.add(name);
          if (record.wanted !== "whole" || !name.startsWith(`example.com/m${subscribed}@`)) continue;
          add(needed, name, "whole");
          addAll(needed, closureByHand(upstream.made, name));
        }
        const expected = closedByHand(upstream.made, needed, listed);
        for (const name of upstream.made.keys())
          expect(`${name} ${marks.of(parseModuleVersion(name))}`).toBe(
            `${name} ${expected.get(name) ?? "nothing"}`,
          );
      },
    ),
    { numRuns: 60 },
  );
}, 120_000);
