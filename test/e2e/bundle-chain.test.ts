import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithGo } from "../go-command.ts";
import { type BundleWorld, bundleWorld, filesOf } from "./bundle-world.ts";
import { allSucceed, expectSuccess } from "./mirror-world.ts";
import { modferry } from "./modferry-command.ts";

const TIMEOUT = 900_000;

describeWithGo("a chain of two hops", () => {
  let outside: BundleWorld;
  beforeAll(async () => {
    outside = await bundleWorld();
  }, TIMEOUT);
  afterAll(() => outside?.close());

  const run = async (...args: readonly string[]): Promise<string> => {
    const done = await modferry(args);
    expectSuccess(done, args.join(" "));
    return done.stdout.trim();
  };

  /** A receipt of what a mirror stands at, read with the key that it was signed with. */
  const receiptOf = async (folder: string, mirror: string, key: string, vkey: string): Promise<string> => {
    const receipt = join(folder, "receipt");
    await run("receipt", "--mirror", mirror, "--key", key, "--to", receipt);
    return await run("receipt", receipt, "--trust", vkey);
  };

  test(
    "an island exports on, signed by itself: the second one's tree is the outside's after a full bundle and two increments, and go builds there with its earlier head kept",
    async () => {
      const folder = await outside.world.folder();
      const [first, second, discs] = ["first", "second", "discs"].map((name) => join(folder, name)) as [
        string,
        string,
        string,
      ];
      await mkdir(discs);
      const keyOf = async (name: string) => {
        const key = join(folder, `${name}-key`);
        return { key, vkey: await run("keygen", `${name}.example`, "--to", key) };
      };
      const [a, b] = [await keyOf("first"), await keyOf("second")];
      const importInto = (trust: string, bundle: string) =>
        modferry([
          ...["import", bundle, "--mirror", second, "--trust", trust],
          ...["--sumdb", outside.world.upstream.vkey, "--to", join(folder, "needs.json")],
        ]);
      const client = await outside.world.client(`file://${join(second, "tree")}`);
      const modern = await client.copyProject("modern");
      for (let at = 0; at < 3; at++) {
        expectSuccess(await outside.import(first, outside.bundles[at] as string), `first hop, ${at}`);
        const since = at === 0 ? ["--full"] : ["--since", outside.snapshots[at - 1] as string];
        const bundle = await run("export", ...since, "--mirror", first, "--to", discs, "--key", a.key);
        // Whoever trusts the outside alone does not trust the island.
        const refused = await importInto(outside.vkey, bundle);
        if (at === 0)
          expect([refused.code, refused.stderr]).toEqual([
            1,
            expect.stringContaining("by none of the trusted keys (outside.example)"),
          ]);
        expectSuccess(await importInto(a.vkey, bundle), `second hop, ${at}`);
        expect(await filesOf(join(second, "tree")), `after hop ${at}`).toEqual(outside.trees[at]);
        expectSuccess(
          await modferry(["verify", "--mirror", second, "--sumdb", outside.world.upstream.vkey]),
          "verify",
        );
        // What the go command knows of the database's head stays from hop to hop.
        await client.clearModCache();
        await allSucceed(client, modern, ["build ./...", "mod download all"]);
        expect(await receiptOf(folder, first, a.key, a.vkey)).toBe(outside.snapshots[at]);
        expect(await receiptOf(folder, second, b.key, b.vkey)).toBe(outside.snapshots[at]);
      }
      // The outside's own bundle, relayed: whoever trusts both goes on with either.
      expectSuccess(await importInto(outside.vkey, outside.bundles[3] as string), "relayed");
      expect(await filesOf(join(second, "tree"))).toEqual(outside.trees[3]);
    },
    TIMEOUT,
  );
});
