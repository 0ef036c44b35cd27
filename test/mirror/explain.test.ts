import { beforeEach, describe, expect, test } from "vitest";
import { parseModuleVersion } from "../../gomod/version.ts";
import { block } from "../../mirror/block.ts";
import { explain, explanationJson } from "../../mirror/explain.ts";
import { MadeMirror, MINUTE } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const A = "example.com/a@v1.0.0";
const DAY = 24 * 60 * MINUTE;

describe("explain says", () => {
  let upstream: MadeUpstream;
  beforeEach(() => {
    upstream = new MadeUpstream();
    upstream.add("example.com/dep@v1.0.0");
    upstream.add(A, { requires: ["example.com/dep@v1.0.0"] });
    upstream.database.grow(5);
  });
  const because = async (mirror: MadeMirror, name = A) =>
    (await explain(mirror.parts, parseModuleVersion(name))).because;

  test("which rule keeps a version out, which of its sightings counted, and until when", async () => {
    const time = "2026-11-22T09:00:00Z";
    const policy = { cooldown: { age: "2d", anchors: [{ database: "sum.example.org", size: 4, time }] } };
    const mirror = new MadeMirror(upstream, { policy });
    const request = await mirror.request({ wishes: [A] });
    const explained = await explain(mirror.parts, parseModuleVersion(A));
    expect(explained.because).toEqual([
      "HELD: its go.mod is held, all of it is wanted; due 2026-11-24T09:00:00Z",
      "its record was last decided by cooldown",
      expect.stringMatching(
        /^last: denied: younger than 2d: first seen 2026-11-22T09:00:00.000Z \(record 1 of sum.example.org, below its head of 4 records\)$/,
      ),
      expect.stringMatching(
        /^not listed: of what it needs one is missing: example\.com\/dep@v1\.0\.0: HELD: younger/,
      ),
      expect.stringMatching(/^the policy keeps it out, by cooldown: younger than 2d/),
      "what counts for its age: record 1 of sum.example.org, below its head of 4 records, 2026-11-22T09:00:00Z",
      "changes at: 2026-11-24T09:00:00Z (in 23.5 h)",
    ]);
    expect(explained.counted?.by).toMatch(/^record 1/);
    expect(explained.sightings.map(({ by }) => by)).toContain("this mirror's first sight");
    expect(explained.requests).toEqual([`${request.name}/${request.time}`]);
    const json = JSON.parse(JSON.stringify(explanationJson(explained)));
    expect(json).toMatchObject({
      event: "explained",
      version: A,
      known: true,
      state: "HELD",
      due: "2026-11-24T09:00:00Z",
      decision: { kind: "hold", rule: "cooldown", until: "2026-11-24T09:00:00Z" },
      counted: { at: "2026-11-22T09:00:00Z" },
    });
  });

  test("that a denial has no end of its own, and by which rule it stands", async () => {
    const policy = { rules: [{ name: "no-a", deny: ["example.com/a"], reason: "licence" }] };
    const mirror = new MadeMirror(upstream, { policy });
    await mirror.request({ wishes: [A] });
    expect(await because(mirror)).toEqual([
      "DENIED: its go.mod is held, all of it is wanted",
      "its record was last decided by no-a",
      "last: denied: licence",
      "not listed: it is not held whole itself",
      "the policy keeps it out, by no-a: licence",
      "changes when: no-a does not name it any more",
    ]);
  });

  test("what would be of a version that nobody has asked for", async () => {
    const mirror = new MadeMirror(upstream, { policy: { cooldown: { age: "2d" } } });
    const lines = await because(mirror);
    expect(lines[0]).toBe("nobody has asked this mirror for it");
    expect(lines).toContainEqual(expect.stringMatching(/^changes at: 2026-11-25T/));
  });

  test("who took a version out, when and why, and what brings it back", async () => {
    const mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: [A] });
    await block(mirror.parts, "example.com/a", "compromised account", "ann@desk");
    const lines = await because(mirror);
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^taken out by hand by ann@desk at 2026-11-23T09:30:\d\dZ \(block example.com\/a\): compromised account$/,
      ),
    );
    expect(lines).toContain("changes by: modferry unblock example.com/a");
  });

  test("what is served, and that the policy is about who comes in", async () => {
    const mirror = new MadeMirror(upstream);
    await mirror.request({ wishes: [A] });
    expect(await because(mirror)).toEqual([
      "READY: it is held whole, all of it is wanted",
      "listed: @v/list names it",
      "without a policy whatever is asked for comes in",
    ]);
    const policed = new MadeMirror(upstream, { policy: { cooldown: { age: "2d" } } }, mirror);
    expect(await because(policed)).toContain("it is here already: the policy decides about what comes in");
  });

  test("what failed, how often, and when it is tried next", async () => {
    const mirror = new MadeMirror(upstream);
    upstream.made.delete(A);
    await mirror.request({ exact: [A] });
    const lines = await because(mirror);
    expect(lines[0]).toMatch(/^GONE: nothing of it is held, all of it is wanted; due 2026-/);
    expect(lines[1]).toMatch(/^last: absent: .*404.* \(1 attempts\)$/);
  });

  test("it, and changes nothing by asking", async () => {
    const mirror = new MadeMirror(upstream, { policy: { cooldown: { age: "2d" } } });
    await mirror.request({ wishes: [A] });
    const before = await mirror.ledger.read([parseModuleVersion(A)]);
    const keys = await mirror.keys();
    mirror.clock.ms += 3 * DAY;
    expect(await because(mirror)).toContainEqual(
      expect.stringMatching(/^the policy lets it in, by cooldown/),
    );
    expect(await mirror.ledger.read([parseModuleVersion(A)])).toEqual(before);
    expect(await mirror.keys()).toEqual(keys);
  });
});
