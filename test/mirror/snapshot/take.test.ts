import { describe, expect, test } from "vitest";
import { MemoryLedger } from "../../../adapters/local/memory-ledger.ts";
import { moduleVersion } from "../../../gomod/version.ts";
import { MirrorError } from "../../../mirror/errors.ts";
import type { LedgerItem } from "../../../mirror/ledger-entries.ts";
import type { VersionRecord } from "../../../mirror/records.ts";
import {
  expireOlder,
  expireSnapshot,
  listSnapshots,
  removeSnapshot,
} from "../../../mirror/snapshot/catalog.ts";
import { openSnapshot } from "../../../mirror/snapshot/open-snapshot.ts";
import { pinSnapshot, unpinSnapshot } from "../../../mirror/snapshot/pin.ts";
import { snapshotKey } from "../../../mirror/snapshot/snapshot-name.ts";
import { takeSnapshot } from "../../../mirror/snapshot/take.ts";
import { TICK_LEASE } from "../../../mirror/tick-lease.ts";
import { rejectionOf } from "../../contract/rejection.ts";
import { entriesOf, memorySpool, namesOf, SnapshotWorld, START, wholeRecord } from "./snapshot-world.ts";

const A = "example.com/a@v1.0.0";
const B = "example.com/b@v1.0.0";
const C = "example.com/c@v1.0.0";
const versionOf = (name: string) => moduleVersion(...(name.split("@") as [string, string]));
const DAY = 86_400_000;

describe("nothing changed", () => {
  test("nothing is taken of a mirror that holds nothing", async () => {
    const world = new SnapshotWorld();
    expect(await world.take()).toEqual({ outcome: "unchanged" });
    expect(await world.keys()).toEqual([]);
  });

  test("nothing is taken twice of the same, also long afterwards", async () => {
    const world = new SnapshotWorld();
    await world.hold(A);
    const { header } = await world.taken();
    for (const later of [0, 1_000, DAY, 90 * DAY]) {
      world.now += later;
      expect(await world.take()).toEqual({ outcome: "unchanged", name: header.name });
    }
    expect(await world.keys()).toHaveLength(3);
  });

  test("a block, or a newer head of a database, is a change", async () => {
    const world = new SnapshotWorld();
    await world.hold(A);
    const note = Buffer.from("go.sum database tree\n7\nAAAA\n\n— sum.example.com AAAA\n");
    await world.ledger.addHead("sum.example.com", { size: 7, hash: Buffer.alloc(32), note });
    const first = await world.taken();
    expect(first.header.heads).toEqual({ "sum.example.com": note.toString() });
    world.now += DAY;
    const value = { reason: "bad", by: "me", at: START };
    await world.ledger.writeItem({ kind: "block", name: "example.com/z", revision: 0, value });
    const second = await world.taken();
    expect(second.header.blocks).toEqual([{ name: "example.com/z", ...value }]);
    expect(second.header.previous).toBe(first.header.name);
    const newer = Buffer.from(note.toString().replace("7", "8"));
    await world.ledger.addHead("sum.example.com", { size: 8, hash: Buffer.alloc(32), note: newer });
    world.now += DAY;
    expect((await world.taken()).header.heads).toEqual({ "sum.example.com": newer.toString() });
  });
});

describe("the closed moment", () => {
  test("what is listed after it is held in the snapshot, and listed by the next", async () => {
    const world = new SnapshotWorld();
    await world.hold(A);
    world.now += DAY;
    await world.hold(B);
    world.now += 60_000;
    // A first one says what its records say: all of it was read, and the journal after it.
    const { header } = await world.taken({ closedAfter: 120_000 });
    expect(header.until).toBe(world.now - 120_000);
    world.now += 60_000;
    await world.hold(C);
    const second = await world.taken({ closedAfter: 120_000 });
    expect((await entriesOf(second)).map(({ path, held, listed }) => [path, held, listed])).toEqual([
      ["example.com/a", "whole", true],
      ["example.com/b", "whole", true],
      ["example.com/c", "whole", false],
    ]);
    world.now += 180_000;
    const third = await world.taken({ closedAfter: 120_000 });
    expect((await third.module(versionOf(C).path)).map(({ listed }) => listed)).toEqual([true]);
  });

  test("what came into a list while the journal was read is not in the list: what it needs may have been missed", async () => {
    const world = new SnapshotWorld();
    await world.hold(A);
    await world.taken();
    world.now += DAY;
    await world.write({ ...wholeRecord(versionOf(B)), listed: false }, "held");
    const journal = world.ledger.journal.bind(world.ledger);
    // C is held and then B, which needs it, listed, both after the journal was read and before the records are.
    world.ledger.journal = async function* (from, to) {
      yield* journal(from, to);
      await world.write({ ...wholeRecord(versionOf(C)), listed: false }, "held");
      await world.write(wholeRecord(versionOf(B)), "listed");
    };
    const second = await world.taken();
    world.ledger.journal = journal;
    expect((await entriesOf(second)).map(({ path, listed }) => [path, listed])).toEqual([
      ["example.com/a", true],
      ["example.com/b", false],
    ]);
    world.now += 1_000;
    expect((await entriesOf(await world.taken())).map(({ path, listed }) => [path, listed])).toEqual([
      ["example.com/a", true],
      ["example.com/b", true],
      ["example.com/c", false],
    ]);
  });

  test("a line whose writer stamped it long before it wrote it is still seen by the next", async () => {
    const world = new SnapshotWorld();
    await world.hold(A);
    world.now += DAY;
    await world.taken();
    await world.write({ ...wholeRecord(versionOf(B)), listed: false }, "held", world.now - 290_000);
    world.now += 1_000;
    expect(namesOf(await entriesOf(await world.taken()))).toEqual([A, B]);
  });

  test("a clock that is set back names no snapshot before the last", async () => {
    const world = new SnapshotWorld();
    await world.hold(A);
    const first = await world.taken();
    world.now -= DAY;
    await world.hold(B);
    const second = await world.taken();
    expect(second.header.name > first.header.name).toBe(true);
    expect(namesOf(await entriesOf(second))).toEqual([A, B]);
  });
});

test("what is held and listed while all records are read is in the first snapshot with all that it needs", async () => {
  const world = new SnapshotWorld();
  await world.hold(B);
  world.now += DAY;
  const records = world.ledger.records.bind(world.ledger);
  world.ledger.records = async function* () {
    // Behind the scan's place A is held, which C needs, and C before it.
    yield* records();
    await world.hold(A, C);
    yield* (await world.ledger.read([versionOf(C)])).filter((one) => one !== undefined);
  };
  expect((await entriesOf(await world.taken())).map(({ path, listed }) => [path, listed])).toEqual([
    ["example.com/a", true],
    ["example.com/b", true],
    ["example.com/c", true],
  ]);
});

describe("a ledger whose records come in no order", () => {
  class Shuffled extends MemoryLedger {
    override async *records() {
      const all: VersionRecord[] = [];
      for await (const record of super.records()) all.push(record);
      yield* all.sort((a, b) => (a.zipSha256 ?? "").localeCompare(b.zipSha256 ?? ""));
    }
  }

  test("gives the same snapshot as one that sorts them", async () => {
    const names = Array.from({ length: 700 }, (_, n) => `example.com/m${n % 40}@v1.${n}.0`);
    const [sorted, world] = [new SnapshotWorld(), new SnapshotWorld()];
    await sorted.hold(...[...names].sort());
    const shuffled = new SnapshotWorld();
    const ledger = new Shuffled();
    Object.assign(shuffled, { ledger });
    await shuffled.hold(...names);
    await world.hold(...names);
    expect((await shuffled.taken()).header).toEqual((await sorted.taken()).header);
    expect((await world.taken()).header.hash).toBe((await openLast(shuffled)).header.hash);
  });
});

async function openLast(world: SnapshotWorld) {
  const name = (await listSnapshots(world.parts)).at(-1)?.name;
  if (name === undefined) throw new Error("none");
  return await world.open(name);
}

describe("several at once", () => {
  test("one takes, the others are told that it is busy, and nothing is announced twice", async () => {
    const world = new SnapshotWorld();
    await world.hold(A, B);
    const outcomes = await Promise.all(["one", "two", "three"].map((owner) => world.take({ owner })));
    expect(outcomes.map(({ outcome }) => outcome).sort()).toEqual(["busy", "busy", "taken"]);
    expect((await world.keys()).filter((key) => key.endsWith("snapshot.json"))).toHaveLength(1);
  });

  test("one that was overtaken, its lease having run out, announces nothing", async () => {
    const world = new SnapshotWorld();
    await world.hold(A);
    let other: Promise<unknown> | undefined;
    const slow = takeSnapshot(
      {
        ...world.parts,
        spool: async (chunks, limit, subject) => {
          const body = await memorySpool(chunks, limit, subject);
          if (other === undefined && subject === "entries.zst") {
            world.now += TICK_LEASE + 1;
            await world.hold(B);
            other = world.take({ owner: "other" });
            await other;
          }
          return body;
        },
      },
      { owner: "slow", closedAfter: 0 },
    );
    expect((await rejectionOf(slow)).class).toBe("transient");
    expect(await other).toMatchObject({ outcome: "taken" });
    expect((await world.keys()).filter((key) => key.endsWith("snapshot.json"))).toHaveLength(1);
    expect(namesOf(await entriesOf(await openLast(world)))).toEqual([A, B]);
  });
});

describe("a crash", () => {
  for (const applied of [false, true]) {
    test(`at any call, whose effect is ${applied ? "there" : "not there"}, announces nothing that is not whole, and the next is complete`, async () => {
      let dieAt = Number.POSITIVE_INFINITY;
      let calls = 0;
      let announced = 0;
      for (let at = 0; ; at++) {
        const world = new SnapshotWorld(() => {
          if (calls++ !== dieAt) return undefined;
          return { applied, sees: new Error("died") };
        });
        await world.hold(A, B);
        await world.taken();
        world.now += DAY;
        await world.hold(C);
        [calls, dieAt] = [0, at];
        const died = await world.take().then(
          () => false,
          () => true,
        );
        dieAt = Number.POSITIVE_INFINITY;
        const total = calls;
        for (const { name, state } of await listSnapshots(world.parts)) {
          if (state !== "kept") continue;
          const snapshot = await world.open(name);
          expect([at, namesOf(await entriesOf(snapshot)).length]).toEqual([
            at,
            snapshot.header.counts.versions,
          ]);
          if (snapshot.header.counts.versions === 3) announced++;
        }
        world.now += TICK_LEASE;
        const next = await world.take();
        expect([at, next.outcome === "busy"]).toEqual([at, false]);
        expect([at, namesOf(await entriesOf(await openLast(world)))]).toEqual([at, [A, B, C]]);
        expect([at, (await openLast(world)).header.hash]).toMatchObject([at, expect.any(String)]);
        if (!died && at >= total) break;
        expect(at).toBeLessThan(100);
      }
      expect(announced).toBeGreaterThan(0);
    });
  }
});

describe("damage", () => {
  test("a previous one that is damaged is not built upon, and all records are read", async () => {
    for (const file of ["entries.zst", "index.json.zst", "snapshot.json"]) {
      const world = new SnapshotWorld();
      await world.hold(A, B);
      const { header } = await world.taken();
      const key = snapshotKey(header.name, file);
      const bytes = Buffer.from((await world.vault.get(key, 1 << 20)) ?? []);
      bytes[bytes.byteLength >> 1] = (bytes[bytes.byteLength >> 1] ?? 0) ^ 1;
      await world.vault.put(key, bytes);
      world.now += DAY;
      await world.hold(C);
      const second = await world.taken();
      expect(namesOf(await entriesOf(second))).toEqual([A, B, C]);
    }
  });

  test("objects that a dead try has left otherwise are not announced with other hashes", async () => {
    const world = new SnapshotWorld();
    await world.hold(A);
    const { header } = await world.taken();
    await world.vault.remove(snapshotKey(header.name, "snapshot.json"));
    await world.vault.put(snapshotKey(header.name, "entries.zst"), Buffer.from("left otherwise"));
    expect((await rejectionOf(world.take())).class).toBe("transient");
    world.now += 1_000;
    expect(namesOf(await entriesOf(await world.taken()))).toEqual([A]);
  });
});

describe("expiry and pins", () => {
  async function three() {
    const world = new SnapshotWorld();
    const names = [];
    for (const name of [A, B, C]) {
      await world.hold(name);
      names.push((await world.taken()).header.name);
      world.now += 3 * DAY;
    }
    return { world, names: names as [(typeof names)[0], (typeof names)[0], (typeof names)[0]] };
  }
  const statesOf = async (world: SnapshotWorld) =>
    (await listSnapshots(world.parts)).map(({ state }) => state);

  test("those older than the window expire, but for pinned ones and the newest", async () => {
    const { world, names } = await three();
    const [first, second] = names;
    await pinSnapshot(world.ledger, { snapshot: first, reason: "release 1", by: "me", at: world.now });
    expect(await expireOlder(world.parts, 4 * DAY, world.now)).toEqual([second]);
    expect(await statesOf(world)).toEqual(["kept", "expired", "kept"]);
    expect(await expireOlder(world.parts, 4 * DAY, world.now + 900 * DAY)).toEqual([]);
    expect(await unpinSnapshot(world.ledger, first)).toBe(true);
    expect(await unpinSnapshot(world.ledger, first)).toBe(false);
    expect(await expireOlder(world.parts, 4 * DAY, world.now)).toEqual([first]);
  });

  test("a lease keeps its snapshot until it runs out or is given back", async () => {
    const { world, names } = await three();
    const [first, second] = names;
    const lease = { holder: "bundle", reason: "a bundle in the making", by: "me", at: world.now };
    await pinSnapshot(world.ledger, { ...lease, snapshot: first, until: world.now + DAY });
    await pinSnapshot(world.ledger, { ...lease, snapshot: second, until: world.now + DAY });
    await pinSnapshot(world.ledger, { ...lease, snapshot: first, until: world.now + 2 * DAY });
    expect((await rejectionOf(expireSnapshot(world.parts, first, world.now))).class).toBe("misuse");
    expect(await unpinSnapshot(world.ledger, second, "bundle")).toBe(true);
    expect(await expireSnapshot(world.parts, second, world.now)).toBe(true);
    expect(await expireSnapshot(world.parts, second, world.now)).toBe(false);
    expect((await rejectionOf(expireSnapshot(world.parts, first, world.now + DAY))).class).toBe("misuse");
    expect(await expireSnapshot(world.parts, first, world.now + 2 * DAY)).toBe(true);
  });

  test("the newest never expires, nor what is none; an expired one is not pinned", async () => {
    const { world, names } = await three();
    const [first, , third] = names;
    expect((await rejectionOf(expireSnapshot(world.parts, third, world.now))).class).toBe("misuse");
    const none = `${third.slice(0, -4)}0000` as typeof third;
    expect((await rejectionOf(expireSnapshot(world.parts, none, world.now))).class).toBe("misuse");
    await expireSnapshot(world.parts, first, world.now);
    const pin = { snapshot: first, reason: "too late", by: "me", at: world.now };
    expect((await rejectionOf(pinSnapshot(world.ledger, pin))).class).toBe("misuse");
  });

  test("of a pin and an expiry at once, the snapshot is either pinned and kept, or expired and not pinned", async () => {
    for (let round = 0; round < 40; round++) {
      let turns = round;
      const { world, names } = await three();
      const [first] = names;
      const delayed = new MemoryLedger(async () => {
        for (; turns > 0; turns--) await Promise.resolve();
      });
      void delayed;
      const wait = async () => {
        for (let turn = 0; turn < round; turn++) await Promise.resolve();
      };
      const pin = { snapshot: first, reason: "a release", by: "me", at: world.now };
      await Promise.allSettled([
        wait().then(() => pinSnapshot(world.ledger, pin)),
        expireSnapshot(world.parts, first, world.now),
      ]);
      const [entry] = await listSnapshots(world.parts);
      const pinned = (await world.ledger.readItem("pin", first)) !== undefined;
      expect([round, pinned && entry?.state === "expired"]).toEqual([round, false]);
    }
  });

  test.each(["a ledger that does not answer", "the mark of an expiry that takes it off again"])(
    "what is pinned stays so although it is pinned once more and that fails, for %s",
    async (why) => {
      const { world, names } = await three();
      const [first] = names;
      const pin = { snapshot: first, reason: "a release", by: "me", at: world.now };
      await pinSnapshot(world.ledger, pin);
      let looks = 0;
      const ledger = {
        readItem: async (kind: LedgerItem["kind"], name: string) => {
          const item = await world.ledger.readItem(kind, name);
          if (kind !== "snapshot" || ++looks < 2) return item;
          if (why.startsWith("a ledger")) throw new MirrorError("transient", name, `${name}: no answer`);
          return { kind, name, revision: 1, value: { at: world.now } };
        },
        writeItem: (item: LedgerItem) => world.ledger.writeItem(item),
        deleteItem: (item: LedgerItem) => world.ledger.deleteItem(item),
      };
      await rejectionOf(pinSnapshot(ledger, { ...pin, by: "you" }));
      expect(looks).toBe(2);
      expect((await rejectionOf(expireSnapshot(world.parts, first, world.now))).message).toContain("pinned");
    },
  );

  test("the objects of an expired one are removed, header first, and it stays expired", async () => {
    const { world, names } = await three();
    const [first, second] = names;
    await expireSnapshot(world.parts, first, world.now);
    const order: string[] = [];
    const vault = {
      keys: (prefix: string) => world.vault.keys(prefix),
      remove: async (key: string) => {
        order.push(key);
        await world.vault.remove(key);
      },
    };
    await removeSnapshot(vault, first);
    expect(order[0]).toBe(snapshotKey(first, "snapshot.json"));
    expect(await openSnapshot(world.vault, first)).toBeUndefined();
    expect(await world.keys(`snapshots/${first}/`)).toEqual([]);
    expect(await world.keys(`snapshots/${second}/`)).toHaveLength(3);
    expect(await statesOf(world)).toEqual(["expired", "kept", "kept"]);
  });
});

test("a failure of the stores is thrown as it is, and leaves no lease behind", async () => {
  let broken = true;
  const world = new SnapshotWorld(({ method }) =>
    broken && method === "vault.create"
      ? { applied: false, sees: new MirrorError("transient", "x", "the disk is full") }
      : undefined,
  );
  await world.hold(A);
  expect((await rejectionOf(world.take())).message).toBe("the disk is full");
  broken = false;
  expect(await world.take({ owner: "another" })).toMatchObject({ outcome: "taken" });
});
