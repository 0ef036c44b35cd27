import { expect, test, vi } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { advanceHead } from "../../functions/advance-head.ts";
import { ChecksumDatabase } from "../../mirror/checksum-database.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { rejectionOf } from "../contract/rejection.ts";
import { newKeys, PrivateDatabase } from "../mirror/private-database.ts";

const NAME = "sum.example.org";

test.each(["transient", "unauthorized", "absent", "withheld", "malformed"] as const)(
  "a head that cannot be had (%s) does not hold up the poll",
  async (errorClass) => {
    const ledger = new MemoryLedger();
    await ledger.addHead(NAME, { size: 1, note: new Uint8Array() } as Parameters<MemoryLedger["addHead"]>[1]);
    const error = new MirrorError(errorClass, NAME, `${NAME}: told by the test`);
    const advance = vi.fn(() => Promise.reject(error));
    await advanceHead({ ledger, vault: new MemoryVault(), database: { name: NAME, advance } });
    expect(advance).toHaveBeenCalledOnce();
  },
);

test("a database that forked stops the tick, and both signed heads are in the vault", async () => {
  const [ledger, tree, vault] = [new MemoryLedger(), new MemoryTree(), new MemoryVault()];
  const keys = newKeys(NAME);
  const over = (source: PrivateDatabase) => {
    const { verifier } = source;
    const parts = { verifier, source: source.source(), tree, ledger, now: Date.now, report: () => {} };
    return new ChecksumDatabase({ ...parts, owner: "test" });
  };
  const first = new PrivateDatabase(NAME, keys);
  first.add("a", "one history\n");
  await over(first).advance();
  const second = new PrivateDatabase(NAME, keys);
  second.add("b", "another history\n");
  second.grow(3);
  const error = await rejectionOf(advanceHead({ ledger, vault, database: over(second) }));
  expect(error.class).toBe("mismatch");
  const kept: string[] = [];
  for await (const key of vault.keys("evidence/mismatch/"))
    kept.push(Buffer.from((await vault.get(key, 1 << 16)) ?? "").toString());
  expect(kept).toHaveLength(1);
  for (const head of [first.head(), second.head()]) expect(kept[0]).toContain(Buffer.from(head).toString());
});

test("without a head so far nothing is asked", async () => {
  const advance = vi.fn(async () => {});
  const database = { name: NAME, advance };
  await advanceHead({ ledger: new MemoryLedger(), vault: new MemoryVault(), database });
  expect(advance).not.toHaveBeenCalled();
});
