import { describe, expect, test } from "vitest";
import { SeededUpstream } from "../../../adapters/upstream/seeded-upstream.ts";
import { acceptRequest } from "../../../mirror/accept.ts";
import { handIn } from "../../../mirror/inbox.ts";
import { noDeadline } from "../../../mirror/parts.ts";
import { settle } from "../../../mirror/settle.ts";
import { work } from "../../../mirror/work.ts";
import { MadeMirror, processOf, requestBody } from "../../mirror/made-mirror.ts";
import { type FileKind, MadeUpstream } from "../../mirror/made-upstream.ts";

const NAMES = ["example.com/a@v1.0.0", "example.com/b@v1.0.0"];

/** A mirror whose upstream and seed have the same two modules, until a test changes one. */
function seededMirror(unproven?: string) {
  const upstream = new MadeUpstream();
  const seed = new MadeUpstream();
  for (const name of NAMES) {
    upstream.add(name);
    seed.add(name);
  }
  const refused: string[] = [];
  const mirror = new MadeMirror(upstream);
  const { tree, vault, ledger, queue } = mirror;
  const options = unproven === undefined ? {} : { unproven };
  const own = processOf({ tree, vault, ledger, queue, upstream }, upstream, mirror.clock, options);
  const seeded = new SeededUpstream(upstream, seed, own, ({ subject, error }) => {
    refused.push(`${subject}: ${error.message}`);
  });
  const parts = { ...own, upstream: seeded };
  const sync = async () => {
    const recorded = NAMES.map((name) => `${name.replace("@", "/@v/")}.zip`);
    const request = await handIn(parts, "test", requestBody({ recorded }));
    await acceptRequest(parts, request);
    await queue.drain((order) => work(parts, order, noDeadline), { concurrency: 4 });
    return await settle(parts, request);
  };
  const files = (from: MadeUpstream) => {
    return (["mod", "info", "zip"] as FileKind[]).reduce((sum, kind) => sum + from.count(kind), 0);
  };
  return { upstream, seed, refused, mirror, seeded, sync, files };
}

describe("a seeded mirror", () => {
  test("takes no file from upstream that the seed has as the checksum database has it", async () => {
    const { upstream, seed, refused, seeded, sync, files, mirror } = seededMirror();
    expect(await sync()).toEqual([]);
    expect([files(upstream), files(seed)]).toEqual([0, 6]);
    expect(seeded.counts).toEqual({ seed: 6, upstream: 0 });
    // The fetch and the seed's own check share a proof.
    expect(upstream.count("lookup")).toBe(2);
    expect(refused).toEqual([]);
    expect(await mirror.keys()).toContain("example.com/a/@v/v1.0.0.zip");
    expect(await sync()).toEqual([]);
    expect([files(upstream), files(seed)]).toEqual([0, 6]);
  });

  test.each<[string, FileKind, (seed: MadeUpstream) => Uint8Array, string]>([
    ["another go.mod", "mod", () => Buffer.from("module example.com/a\n\ngo 1.2\n"), "go.mod is h1:"],
    ["another zip", "zip", (seed) => zipOf(seed, "example.com/b@v1.0.0"), "example.com/a@v1.0.0"],
    ["a zip cut short", "zip", (seed) => zipOf(seed, NAMES[0] ?? "").subarray(0, -9), "example.com/a@v1.0.0"],
    [
      "an .info of another version",
      "info",
      () => Buffer.from('{"Version":"v1.9.9"}'),
      "example.com/a@v1.0.0.info",
    ],
  ])("takes %s from upstream, names it, and holds what is right", async (_what, kind, wrong, said) => {
    const { upstream, seed, refused, seeded, sync } = seededMirror();
    seed.wrong.set(`${kind} ${NAMES[0]}`, wrong(seed));
    expect(await sync()).toEqual([]);
    expect(seeded.counts).toEqual({ seed: 5, upstream: 1 });
    expect(upstream.count(kind)).toBe(1);
    expect(refused).toEqual([expect.stringContaining(said)]);
  });

  test("takes all of a module that no database covers from upstream", async () => {
    const { upstream, seed, sync, files } = seededMirror("example.com/b");
    expect(await sync()).toEqual([]);
    expect([files(upstream), files(seed)]).toEqual([3, 3]);
  });

  test("takes from upstream what the seed has only a part of, without a word", async () => {
    const { upstream, seed, refused, sync, files } = seededMirror();
    seed.made.delete("example.com/b@v1.0.0");
    expect(await sync()).toEqual([]);
    expect([files(upstream), files(seed)]).toEqual([3, 6]);
    expect(refused).toEqual([]);
  });
});

function zipOf(upstream: MadeUpstream, name: string): Uint8Array {
  const made = upstream.made.get(name);
  if (made === undefined) throw new Error(`${name} was not made`);
  return made.zip;
}
