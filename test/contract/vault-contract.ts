import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Vault } from "../../mirror/ports.ts";
import { rejectionOf } from "./rejection.ts";

/** What a suite runs on: made once per suite, empty. */
export interface VaultFixture {
  readonly vault: Vault;
  /** Another handle on the same storage, as a second process has it. */
  readonly other?: Vault;
  dispose?(): Promise<void>;
}

const LIMIT = 1 << 20;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Holds a Vault to every sentence of its port. */
export function vaultContract(name: string, makeVault: () => Promise<VaultFixture>): void {
  describe(`${name} keeps the Vault port's promises`, () => {
    let fixture: VaultFixture;
    let vault: Vault;
    beforeAll(async () => {
      fixture = await makeVault();
      vault = fixture.vault;
    });
    afterAll(() => fixture.dispose?.());
    const keysBelow = async (prefix: string) => {
      const keys: string[] = [];
      for await (const key of vault.keys(prefix)) keys.push(key);
      return keys;
    };

    test("what was put is read back; what was not is undefined", async () => {
      await vault.put("inbox/requests/team/20260101T000000000Z.json", bytesOf("{}"));
      expect(await vault.get("inbox/requests/team/20260101T000000000Z.json", LIMIT)).toEqual(
        Buffer.from("{}"),
      );
      expect(await vault.get("inbox/requests/team/20260101T000000001Z.json", LIMIT)).toBeUndefined();
      expect(await vault.get("nothing/here", LIMIT)).toBeUndefined();
    });

    test("an empty object is not an absent one", async () => {
      await vault.put("empty/object", new Uint8Array());
      expect((await vault.get("empty/object", LIMIT))?.byteLength).toBe(0);
    });

    test("put overwrites, with something shorter too", async () => {
      await vault.put("overwrite/a", bytesOf("a long first text"));
      await vault.put("overwrite/a", bytesOf("short"));
      expect(await (fixture.other ?? vault).get("overwrite/a", LIMIT)).toEqual(Buffer.from("short"));
    });

    test("get answers up to its limit and throws malformed above it", async () => {
      await vault.put("limit/a", bytesOf("12345678"));
      expect((await vault.get("limit/a", 8))?.byteLength).toBe(8);
      expect((await rejectionOf(vault.get("limit/a", 7))).class).toBe("malformed");
    });

    test("keys gives what lies below a prefix, sorted by bytes across folders", async () => {
      const wanted = ["sort/a-b", "sort/a.json", "sort/a/a", "sort/a/b/c", "sort/a0", "sort/B", "sort/a~"];
      await Promise.all([...wanted, "sorted/x", "sor/t"].map((key) => vault.put(key, bytesOf(key))));
      const byBytes = [...wanted].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(await keysBelow("sort/")).toEqual(byBytes);
      expect(await keysBelow("sort/a/")).toEqual(["sort/a/a", "sort/a/b/c"]);
      expect(await keysBelow("sort/nothing/")).toEqual([]);
    });

    test("of puts at once one stays, and a reader sees one of them whole or nothing", async () => {
      const bodies = Array.from({ length: 16 }, (_, writer) => `${writer};`.repeat(20_000));
      let writing = true;
      const seen = new Set<string>();
      const reader = async () => {
        while (writing) {
          const found = await (fixture.other ?? vault).get("race/a", LIMIT);
          if (found) seen.add(new TextDecoder().decode(found));
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      };
      const reading = reader();
      await Promise.all(bodies.map((body) => vault.put("race/a", bytesOf(body))));
      writing = false;
      await reading;
      seen.add(new TextDecoder().decode(await vault.get("race/a", LIMIT)));
      for (const text of seen) expect(bodies.indexOf(text)).not.toBe(-1);
    });
  });
}
