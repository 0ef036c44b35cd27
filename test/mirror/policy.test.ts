import { describe, expect, test } from "vitest";
import type { z } from "zod";
import { moduleVersion } from "../../gomod/version.ts";
import { decide, type Facts, makePolicy, policyShape } from "../../mirror/policy.ts";
import type { Vulnerability } from "../../mirror/vulnerability.ts";

const NOW = Date.UTC(2026, 10, 23, 12);
const DAY = 86_400_000;
const HOUR = 3_600_000;

type Input = z.input<typeof policyShape>;
const policyOf = (input: Input) => makePolicy(policyShape.parse(input));

function facts(name: string, more: Partial<Facts> = {}): Facts {
  const [path = "", version = ""] = name.split("@");
  return {
    version: moduleVersion(path, version),
    vulnerabilities: [],
    sightings: [{ by: "first sight", at: NOW }],
    pinned: false,
    wasHeld: false,
    ...more,
  };
}

const seen = (ago: number, by = "first sight") => ({ by, at: NOW - ago });

function vulnerable(
  id: string,
  module: string,
  fixed: string,
  more: Partial<Vulnerability> = {},
): Vulnerability {
  const ranges = [{ type: "SEMVER", events: [{ introduced: "0" }, { fixed }] }];
  return {
    id,
    modified: "2026-01-01T00:00:00Z",
    summary: "a way in",
    affected: [{ package: { name: module, ecosystem: "Go" }, ranges }],
    ...more,
  };
}

const A = "example.com/a@v1.2.0";
const COOL: Input = { cooldown: { age: "7d" } };
const LISTS: Input = {
  rules: [
    { name: "one-good", allow: ["example.com/bad"], versions: "v1.2.0" },
    { name: "bad", deny: ["example.com/bad", "*.evil.example"], reason: "it phones home" },
    { name: "ours", allow: ["corp.example"] },
    { name: "young-corp", deny: ["corp.example/x"], reason: "never reached" },
  ],
  cooldown: { age: "7d" },
};
const HOLE = vulnerable("GO-2026-0001", "example.com/a", "1.3.0");
const retracted = { by: "v1.9.0", rationale: "it deletes\nfiles" };

describe("what the policy decides", () => {
  test.each<[string, Input, Facts, object]>([
    ["nothing is said: in", {}, facts(A), { kind: "allow" }],

    [
      "the first rule that names it decides: in",
      LISTS,
      facts("example.com/bad@v1.2.0"),
      { kind: "allow", rule: "one-good" },
    ],
    [
      "another version: the next rule",
      LISTS,
      facts("example.com/bad@v1.2.1"),
      { kind: "deny", rule: "bad", reason: "it phones home" },
    ],
    [
      "a pattern covers what is below it",
      LISTS,
      facts("example.com/bad/sub@v1.0.0"),
      { kind: "deny", rule: "bad" },
    ],
    ["but nothing beside it", { rules: LISTS.rules }, facts("example.com/badly@v1.0.0"), { kind: "allow" }],
    ["a glob", LISTS, facts("git.evil.example/x@v1.0.0"), { kind: "deny", rule: "bad" }],
    [
      "what is allowed is not asked for its age",
      LISTS,
      facts("corp.example/y@v1.0.0"),
      { kind: "allow", rule: "ours" },
    ],
    ["nor by a later rule", LISTS, facts("corp.example/x@v1.0.0"), { kind: "allow", rule: "ours" }],
    [
      "only what is allowed",
      {
        rules: [
          { name: "in", allow: ["a.example"] },
          { name: "rest", deny: ["*"], reason: "not on the list" },
        ],
      },
      facts(A),
      { kind: "deny", rule: "rest" },
    ],

    ["as large as allowed: in", { largestZip: 100 }, facts(A, { zipSize: 100 }), { kind: "allow" }],
    [
      "larger: out",
      { largestZip: 100 },
      facts(A, { zipSize: 101 }),
      {
        kind: "deny",
        rule: "largest-zip",
        reason: expect.stringContaining("101 bytes, more than the 100 allowed"),
      },
    ],
    ["size not known yet: in so far", { largestZip: 100 }, facts(A), { kind: "allow" }],

    [
      "affected: out",
      { vulnerabilities: {} },
      facts(A, { vulnerabilities: [HOLE] }),
      { kind: "deny", rule: "vulnerabilities", reason: expect.stringContaining("GO-2026-0001: a way in") },
    ],
    [
      "fixed: in",
      { vulnerabilities: {} },
      facts("example.com/a@v1.3.0", { vulnerabilities: [HOLE] }),
      { kind: "allow" },
    ],
    [
      "accepted: in",
      { vulnerabilities: { accepted: ["GO-2026-0001"] } },
      facts(A, { vulnerabilities: [HOLE] }),
      { kind: "allow" },
    ],
    [
      "one accepted, one not: out",
      { vulnerabilities: { accepted: ["GO-2026-0001"] } },
      facts(A, { vulnerabilities: [HOLE, vulnerable("GO-2026-0002", "example.com/a", "1.2.1")] }),
      { kind: "deny", reason: expect.stringContaining("GO-2026-0002") },
    ],
    [
      "withdrawn: in",
      { vulnerabilities: {} },
      facts(A, { vulnerabilities: [{ ...HOLE, withdrawn: "2026-02-01T00:00:00Z" }] }),
      { kind: "allow" },
    ],
    [
      "of another module: in",
      { vulnerabilities: {} },
      facts("example.com/b@v1.0.0", { vulnerabilities: [HOLE] }),
      { kind: "allow" },
    ],
    ["not asked for: in", {}, facts(A, { vulnerabilities: [HOLE] }), { kind: "allow" }],

    ["seen now: held for its age", COOL, facts(A), { kind: "hold", rule: "cooldown", until: NOW + 7 * DAY }],
    ["never seen: held", COOL, facts(A, { sightings: [] }), { kind: "hold", until: NOW + 7 * DAY }],
    [
      "an hour short: held for an hour",
      COOL,
      facts(A, { sightings: [seen(7 * DAY - HOUR)] }),
      { kind: "hold", until: NOW + HOUR },
    ],
    ["just as old: in", COOL, facts(A, { sightings: [seen(7 * DAY)] }), { kind: "allow", rule: "cooldown" }],
    [
      "the earliest sighting counts",
      COOL,
      facts(A, { sightings: [seen(0), seen(8 * DAY, "a head"), seen(DAY)] }),
      { kind: "allow", sighting: seen(8 * DAY, "a head") },
    ],
    [
      "held, and says by which",
      COOL,
      facts(A, { sightings: [seen(0), seen(DAY, "the feed")] }),
      { kind: "hold", reason: "younger than 7d: first seen 2026-11-22T12:00:00.000Z (the feed)" },
    ],
    [
      "minutes",
      { cooldown: { age: "90m" } },
      facts(A, { sightings: [seen(HOUR)] }),
      { kind: "hold", until: NOW + HOUR / 2 },
    ],

    [
      "pinned, and pins count: in",
      { cooldown: { age: "7d", exempt: "gosum" } },
      facts(A, { pinned: true }),
      { kind: "allow", rule: "cooldown.exempt" },
    ],
    ["pinned, and pins do not count: held", COOL, facts(A, { pinned: true }), { kind: "hold" }],
    [
      "pinned, but affected: out",
      { cooldown: { age: "7d", exempt: "gosum" }, vulnerabilities: {} },
      facts(A, { pinned: true, vulnerabilities: [HOLE] }),
      { kind: "deny", rule: "vulnerabilities" },
    ],
    [
      "pinned and retracted: in",
      { cooldown: { age: "7d", exempt: "gosum" } },
      facts(A, { pinned: true, wasHeld: true, retracted }),
      { kind: "allow" },
    ],

    [
      "young and retracted: out",
      COOL,
      facts(A, { retracted }),
      {
        kind: "deny",
        rule: "retracted",
        reason: "retracted by v1.9.0 while it was kept out for its age: it deletes files",
      },
    ],
    [
      "was held, is old enough, retracted meanwhile: out",
      COOL,
      facts(A, { sightings: [seen(9 * DAY)], wasHeld: true, retracted }),
      { kind: "deny", rule: "retracted" },
    ],
    [
      "was held, is old enough: in",
      COOL,
      facts(A, { sightings: [seen(9 * DAY)], wasHeld: true }),
      { kind: "allow" },
    ],
    [
      "old, never held, retracted long ago: in, as go has it",
      COOL,
      facts(A, { sightings: [seen(9 * DAY)], retracted }),
      { kind: "allow" },
    ],

    [
      "too young and denied: out, for waiting helps nothing",
      { ...COOL, vulnerabilities: {} },
      facts(A, { vulnerabilities: [HOLE] }),
      { kind: "deny", rule: "vulnerabilities" },
    ],
    [
      "a toolchain has what its Go version has",
      { vulnerabilities: {} },
      facts("golang.org/toolchain@v0.0.1-go1.21.3.linux-amd64", {
        vulnerabilities: [vulnerable("GO-2026-0003", "stdlib", "1.21.4")],
      }),
      { kind: "deny" },
    ],
    [
      "a fixed toolchain",
      { vulnerabilities: {} },
      facts("golang.org/toolchain@v0.0.1-go1.21.4.linux-amd64", {
        vulnerabilities: [vulnerable("GO-2026-0003", "stdlib", "1.21.4")],
      }),
      { kind: "allow" },
    ],
  ])("%s", (_, input, known, expected) => {
    expect(decide(policyOf(input), known, NOW)).toMatchObject(expected);
  });
});

describe("a policy that cannot be meant", () => {
  test.each<[string, unknown]>([
    ["neither allow nor deny", { rules: [{ name: "x" }] }],
    ["both", { rules: [{ name: "x", allow: ["a.b"], deny: ["a.b"], reason: "r" }] }],
    ["a denial without reason", { rules: [{ name: "x", deny: ["a.b"] }] }],
    ["a name that is ours", { rules: [{ name: "cooldown", allow: ["a.b"] }] }],
    [
      "a name twice",
      {
        rules: [
          { name: "x", allow: ["a.b"] },
          { name: "x", allow: ["c.d"] },
        ],
      },
    ],
    ["a malformed glob", { rules: [{ name: "x", allow: ["a[.b"] }] }],
    ["two globs in one", { rules: [{ name: "x", allow: ["a.b,c.d"] }] }],
    ["a malformed range", { rules: [{ name: "x", allow: ["a.b"], versions: "1.x" }] }],
    ["a reason of two lines", { rules: [{ name: "x", deny: ["a.b"], reason: "a\nb" }] }],
    ["an age without unit", { cooldown: { age: "7" } }],
    ["a vulnerability by another name", { vulnerabilities: { accepted: ["CVE-2026-1"] } }],
    ["an unknown field", { maxSize: 1 }],
    [
      "an anchor without time",
      { cooldown: { age: "7d", anchors: [{ database: "x", size: 1, time: "soon" }] } },
    ],
  ])("%s is refused", (_, input) => {
    expect(policyShape.safeParse(input).success).toBe(false);
  });

  test("two policies that say the same have one digest, others have others", () => {
    expect(policyOf(LISTS).digest).toBe(policyOf(structuredClone(LISTS)).digest);
    expect(policyOf({ ...LISTS, largestZip: 5 }).digest).not.toBe(policyOf(LISTS).digest);
  });
});
