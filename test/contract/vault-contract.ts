import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Body, isSpool, sha256Of } from "../../mirror/body.ts";
import type { Vault } from "../../mirror/ports.ts";
import { rejectionOf } from "./rejection.ts";

/** What a suite runs on: made once per suite, empty. */
export interface VaultFixture {
  readonly vault: Vault;
  /** Another handle on the same storage, as a second process has it. */
  readonly other?: Vault;
  /** A spool of these bytes; without it, spooled bodies are not tested. */
  spool?(bytes: Uint8Array): Promise<Body>;
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

    test("create stores what is not there, refuses damage, and never replaces", async () => {
      const [first, second] = [bytesOf("first"), bytesOf("second")];
      expect((await rejectionOf(vault.create("create/a", first, sha256Of(second)))).class).toBe("transient");
      expect(await vault.get("create/a", LIMIT)).toBeUndefined();
      expect(await vault.create("create/a", first, sha256Of(first))).toBe("created");
      expect(await (fixture.other ?? vault).create("create/a", second, sha256Of(second))).toBe("exists");
      expect(await (fixture.other ?? vault).get("create/a", LIMIT)).toEqual(Buffer.from(first));
      await vault.put("create/a", second);
      expect(await vault.get("create/a", LIMIT)).toEqual(Buffer.from(second));
    });

    test("of creates at once one wins, with its own bytes", async () => {
      const bodies = Array.from({ length: 12 }, (_, writer) => bytesOf(`${writer};`.repeat(5_000)));
      const answers = await Promise.all(
        bodies.map((body, n) =>
          (n % 2 ? vault : (fixture.other ?? vault)).create("create/race", body, sha256Of(body)),
        ),
      );
      expect(answers.filter((answer) => answer === "created")).toHaveLength(1);
      const winner = bodies[answers.indexOf("created")] as Uint8Array;
      expect(await vault.get("create/race", LIMIT)).toEqual(Buffer.from(winner));
    });

    test("a spooled body is created as one in memory is, and damage on the way refused", async (context) => {
      if (fixture.spool === undefined) return context.skip();
      const bytes = Buffer.alloc(9 * 1024 * 1024, "modferry ");
      const body = await fixture.spool(bytes);
      if (!isSpool(body)) throw new Error("not spooled");
      expect((await rejectionOf(vault.create("spooled/a", body, sha256Of(bytesOf("x"))))).class).toBe(
        "transient",
      );
      expect(await vault.create("spooled/a", body, body.sha256)).toBe("created");
      expect(await vault.create("spooled/a", body, body.sha256)).toBe("exists");
      await body.dispose();
      expect(sha256Of((await vault.get("spooled/a", bytes.byteLength)) ?? new Uint8Array())).toBe(
        body.sha256,
      );
    });

    test("an opened object is read in parts and as a stream, and knows its size", async () => {
      const bytes = Buffer.from(Array.from({ length: 700_000 }, (_, at) => at % 251));
      await vault.create("open/a", bytes, sha256Of(bytes));
      const object = await (fixture.other ?? vault).open("open/a");
      if (object === undefined) throw new Error("not there");
      expect(object.size).toBe(bytes.byteLength);
      expect(Buffer.from(await object.read(300_000, 5))).toEqual(bytes.subarray(300_000, 300_005));
      expect((await object.read(699_990, 100)).byteLength).toBe(10);
      const streamed: Uint8Array[] = [];
      for await (const chunk of object.stream({ start: 10, end: 600_000 })) streamed.push(chunk);
      expect(Buffer.concat(streamed).equals(bytes.subarray(10, 600_001))).toBe(true);
      await object.close();
      await object.close();
      expect(await vault.open("open/nothing")).toBeUndefined();
      expect(await vault.open("nothing/open/at-all")).toBeUndefined();
    });

    test("what is removed is gone for everyone, and removing it again, or nothing, is no error", async () => {
      await vault.put("remove/a", bytesOf("a"));
      await vault.put("remove/b", bytesOf("b"));
      await vault.remove("remove/a");
      await vault.remove("remove/a");
      await vault.remove("remove/never");
      await vault.remove("nothing/at/all");
      expect(await (fixture.other ?? vault).get("remove/a", LIMIT)).toBeUndefined();
      expect(await (fixture.other ?? vault).open("remove/a")).toBeUndefined();
      expect(await keysBelow("remove/")).toEqual(["remove/b"]);
      const again = bytesOf("again");
      expect(await vault.create("remove/a", again, sha256Of(again))).toBe("created");
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
