import { beforeEach, describe, expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { type ModuleVersion, moduleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import { ChecksumDatabase } from "../../mirror/checksum-database.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { evidenceKey, liftStop, reviveStopped } from "../../mirror/fork-stop.ts";
import type { TreeKey } from "../../mirror/tree-keys.ts";
import { rejectionOf } from "../contract/rejection.ts";
import { MadeMirror, processOf } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";
import { newKeys, PrivateDatabase } from "./private-database.ts";

const NAME = "sum.example.org";
const OTHER = "sum.example.net";
const keys = newKeys(NAME);

/** An upstream whose database may show another history from one answer to the next. */
class ForkingUpstream extends MadeUpstream {
  override database = new PrivateDatabase(NAME, keys);
  shown = this.database;

  override sumdb() {
    return {
      latest: async () => this.shown.head(),
      lookup: async (version: ModuleVersion) => this.shown.lookup(version),
      tile: async (tile: Parameters<PrivateDatabase["tile"]>[0]) => this.shown.tile(tile),
    };
  }
}

const A = "example.com/a@v1.0.0";
const B = "example.com/b@v1.0.0";
const C = "example.com/c@v1.0.0";
const OF_OTHER = "example.net/o@v1.0.0";
const OF_NONE = "internal.example/n@v1.0.0";
const versionOf = (name: string) => moduleVersion(...(name.split("@") as [string, string]));

interface World {
  readonly upstream: ForkingUpstream;
  readonly fork: PrivateDatabase;
  readonly other: PrivateDatabase;
  readonly mirror: MadeMirror;
}

/** 300 records are common to both histories, which A, B and C follow in both, but in one of them after another record. */
function forkingWorld(ledger?: MemoryLedger): World {
  const upstream = new ForkingUpstream();
  const fork = new PrivateDatabase(NAME, keys);
  const other = new PrivateDatabase(OTHER);
  const lines = (name: string) => {
    const { version, zipH1, modH1 } = upstream.made.get(name) ?? expect.fail(name);
    return `${version.path} ${version.version} ${zipH1}\n${version.path} ${version.version}/go.mod ${modH1}\n`;
  };
  upstream.database.grow(300);
  fork.grow(300);
  other.grow(300);
  for (const name of [A, B, C]) {
    upstream.add(name, {}, false);
    upstream.database.add(name, lines(name));
    upstream.database.grow(20);
    if (name === A) fork.add("example.com/hidden@v1.0.0", "another history\n");
    fork.add(name, lines(name));
    fork.grow(20);
  }
  upstream.add(OF_OTHER, {}, false);
  other.add(OF_OTHER, lines(OF_OTHER));
  upstream.add(OF_NONE, {}, false);
  const mirror = new MadeMirror(
    upstream,
    { further: [other] },
    ledger && Object.assign(new MadeMirror(upstream), { ledger }),
  );
  cover(mirror.parts);
  return { upstream, fork, other, mirror };
}

/** The forking database covers example.com, another one example.net, and none the rest. */
function cover(parts: MadeMirror["parts"]): void {
  const [own, other] = parts.databases;
  const of = (path: string) =>
    path.startsWith("example.com/") ? own : path.startsWith("example.net/") ? other : undefined;
  Object.assign(parts, {
    databasesFor: (path: string) => [of(path)].filter((database) => database !== undefined),
  });
}

/** Every key with its content's hash. */
async function contents(mirror: MadeMirror, prefix = ""): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const key of await mirror.keys()) {
    if (!key.startsWith(prefix)) continue;
    found[key] = sha256Of((await mirror.tree.get(key as TreeKey, 1 << 24))?.bytes ?? expect.fail(key));
  }
  return found;
}

async function keysOf(vault: MemoryVault, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of vault.keys(prefix)) keys.push(key);
  return keys;
}

const stateOf = async (mirror: MadeMirror, name: string) => (await mirror.ledger.read([versionOf(name)]))[0];

describe("a checksum database that forks", () => {
  let world: World;
  beforeEach(async () => {
    world = forkingWorld();
    // Its head is that of 321 records; B's and C's lie beyond it.
    world.upstream.database.lookupHead = 321;
    await world.mirror.request({ wishes: [A] });
    expect(await stateOf(world.mirror, A)).toMatchObject({ state: "READY" });
    world.upstream.database.lookupHead = undefined;
  });

  const ways: [string, (world: World) => Promise<unknown>][] = [
    ["a newer head", ({ mirror }) => mirror.parts.database.advance()],
    ["a head that came with a record beyond ours", ({ mirror }) => mirror.parts.database.prove(versionOf(B))],
    [
      "a head of our head's size, that came with a record",
      ({ mirror, fork }) => {
        fork.lookupHead = 321;
        return mirror.parts.database.prove(versionOf(A));
      },
    ],
    [
      "an older head than ours, that came with a record",
      ({ mirror, fork }) => {
        fork.lookupHead = 310;
        return mirror.parts.database.prove(versionOf(A));
      },
    ],
  ];

  test.each(ways)("is stopped at %s, with both notes and the proof kept", async (_, way) => {
    const { upstream, fork, mirror } = world;
    const before = await contents(mirror);
    upstream.shown = fork;
    const error = await rejectionOf(way(world));
    expect(error).toMatchObject({ class: "stopped", subject: NAME });
    const stop = (await mirror.ledger.readStop(NAME)) ?? expect.fail("not stopped");
    expect(error.message).toContain(evidenceKey(stop));
    const report = (await mirror.vault.get(evidenceKey(stop), 1 << 20)) ?? expect.fail("no evidence");
    expect(sha256Of(report)).toBe(stop.evidence);
    const notes = Buffer.from(report).toString().replaceAll("\n\t", "\n");
    expect(notes).toContain(Buffer.from(upstream.database.head(321)).toString());
    expect(notes).toContain(Buffer.from(fork.head(fork.lookupHead ?? fork.size)).toString());
    expect(mirror.events.filter(({ event }) => event === "forked")).toHaveLength(1);
    expect(await contents(mirror)).toEqual(before);
  });

  test("nothing of it is published any more, all else goes on, and an operator lets it go on", async () => {
    const { upstream, fork, mirror } = world;
    const served = await contents(mirror, `sumdb/${NAME}/`);
    upstream.shown = fork;
    await mirror.request({ wishes: [B, OF_OTHER, OF_NONE] });
    const waiting = await stateOf(mirror, B);
    expect(waiting).toMatchObject({ state: "FAILED", held: "nothing", lastError: { class: "stopped" } });
    for (const name of [OF_OTHER, OF_NONE]) expect((await stateOf(mirror, name))?.state).toBe("READY");
    const stop = (await mirror.ledger.readStop(NAME)) ?? expect.fail("not stopped");

    // Its honest history again, days of retries, another process, a request: it stays stopped.
    upstream.shown = upstream.database;
    const [asked, files] = [upstream.count("zip"), upstream.count("mod")];
    await mirror.pass(180);
    await mirror.request({ wishes: [A, B] });
    const later = new MadeMirror(upstream, { further: [world.other] }, mirror);
    cover(later.parts);
    await later.request({ wishes: [B] });
    expect(await rejectionOf(later.parts.database.advance())).toMatchObject({ class: "stopped" });
    expect(await stateOf(mirror, B)).toMatchObject({ state: "FAILED", lastError: { class: "stopped" } });
    expect((await stateOf(mirror, A))?.state).toBe("READY");
    expect(upstream.count("zip") + upstream.count("mod"), "nothing is fetched in vain").toBe(asked + files);
    expect(await contents(mirror, `sumdb/${NAME}/`)).toEqual(served);

    const evidence = await keysOf(mirror.vault, "evidence/fork/");
    expect(await liftStop(mirror.parts, NAME, "somebody@desk")).toEqual(stop);
    expect(await mirror.ledger.readStop(NAME)).toBeUndefined();
    expect(await reviveStopped(mirror.parts)).toBe(1);
    await mirror.pass(1);
    expect((await stateOf(mirror, B))?.state).toBe("READY");
    expect(await keysOf(mirror.vault, "evidence/fork/")).toEqual(evidence);
    const [decision = "", ...more] = await keysOf(mirror.vault, "decisions/clear-fork/");
    expect(more).toEqual([]);
    const written = JSON.parse(Buffer.from((await mirror.vault.get(decision, 1e4)) ?? "").toString());
    expect(written).toMatchObject({ database: NAME, evidence: stop.evidence, by: "somebody@desk" });

    // Lifting forgets nothing: the other history is refused once more.
    upstream.shown = fork;
    expect(await rejectionOf(later.parts.database.advance())).toMatchObject({ class: "stopped" });
    await expect(liftStop(mirror.parts, OTHER, "x")).rejects.toMatchObject({ class: "misuse" });
  });

  test("without anybody's help, what waits is tried within the hour after the stop is lifted", async () => {
    const { upstream, fork, mirror } = world;
    upstream.shown = fork;
    await mirror.request({ wishes: [B] });
    // For days, beyond what makes other failures BROKEN.
    for (let day = 0; day < 14; day++) {
      mirror.clock.ms += 86_400_000;
      await mirror.pass(2);
    }
    expect((await stateOf(mirror, B))?.state).toBe("FAILED");
    upstream.shown = upstream.database;
    await liftStop(mirror.parts, NAME, "somebody");
    await mirror.pass(61);
    expect((await stateOf(mirror, B))?.state).toBe("READY");
  });

  test("a worker that proved a record before the stop does not publish it after", async () => {
    const { upstream, fork, mirror } = world;
    const proven = await mirror.parts.database.prove(versionOf(B));
    const before = await contents(mirror);
    const another = new MadeMirror(upstream, { further: [world.other], owner: "another" }, mirror);
    upstream.shown = fork;
    await rejectionOf(another.parts.database.advance());
    const error = await rejectionOf(mirror.parts.database.publish(versionOf(B), proven));
    expect(error.class).toBe("stopped");
    expect(await contents(mirror)).toEqual(before);
  });

  test("a worker whose head is published already adds no lookup to it after the stop", async () => {
    const { mirror } = world;
    const { database } = mirror.parts;
    await database.publish(versionOf(B), await database.prove(versionOf(B)));
    const proven = await database.prove(versionOf(C));
    const before = await contents(mirror);
    await mirror.ledger.writeStop({ database: NAME, at: 1, evidence: sha256Of(Buffer.of(1)) });
    expect(await rejectionOf(database.publish(versionOf(C), proven))).toMatchObject({ class: "stopped" });
    expect(await contents(mirror)).toEqual(before);
  });

  test("a stop that comes while a worker stores a head's tiles keeps that head from being published", async () => {
    const { mirror } = world;
    const { database } = mirror.parts;
    const proven = await database.prove(versionOf(B));
    const create = mirror.tree.create.bind(mirror.tree);
    mirror.tree.create = async (key, body, sha256) => {
      await mirror.ledger.writeStop({ database: NAME, at: 1, evidence: sha256Of(Buffer.of(1)) });
      return await create(key, body, sha256);
    };
    const served = await mirror.text(`sumdb/${NAME}/latest`);
    expect(await rejectionOf(database.publish(versionOf(B), proven))).toMatchObject({ class: "stopped" });
    expect((await mirror.ledger.readHead(NAME))?.size).toBe(321);
    expect(await mirror.text(`sumdb/${NAME}/latest`)).toBe(served);
    expect((await mirror.keys()).filter((key) => key.endsWith(B))).toEqual([]);
  });

  test("two workers that find forks at once stop it once and keep the evidence of both", async () => {
    const { upstream, fork, mirror } = world;
    const other = new PrivateDatabase(NAME, keys);
    other.grow(400);
    const workers = ["one", "two"].map((owner, at) => {
      const shown = at === 0 ? fork : other;
      const ports = {
        ...mirror,
        upstream: Object.assign(Object.create(upstream), { sumdb: () => shown.source() }),
      };
      return processOf(ports, upstream, mirror.clock, { owner }).database;
    });
    const errors = await Promise.all(workers.map((worker) => rejectionOf(worker.advance())));
    for (const error of errors) expect(error.class).toBe("stopped");
    const evidence = await keysOf(mirror.vault, "evidence/fork/");
    expect(evidence).toHaveLength(2);
    const stop = (await mirror.ledger.readStop(NAME)) ?? expect.fail("not stopped");
    expect(evidence).toContain(evidenceKey(stop));
  });
});

test.each(["ledger.writeStop", "vault.put"] as const)(
  "a crash at %s leaves nothing of the fork published, and whoever sees it next stops the database",
  async (method) => {
    let crash = false;
    const reported: string[] = [];
    const fault = (call: { method: string }) =>
      crash && call.method === method
        ? { applied: false, sees: new MirrorError("transient", "store", "store: gone") }
        : undefined;
    const upstream = new ForkingUpstream();
    upstream.add(A);
    upstream.database.grow(20);
    const mirror = new MadeMirror(upstream);
    const [ledger, vault] = [new MemoryLedger(fault), new MemoryVault(fault)];
    const { tree, clock } = mirror;
    const worker = () =>
      new ChecksumDatabase({
        verifier: upstream.database.verifier,
        source: upstream.sumdb(),
        owner: "one",
        now: clock.now,
        report: (event) => void reported.push(event.event),
        tree,
        ledger,
        vault,
      });
    await worker().advance();
    const before = await contents(mirror);
    upstream.shown = new PrivateDatabase(NAME, keys);
    upstream.shown.grow(50);
    crash = true;
    const error = await rejectionOf(worker().advance());
    expect(error).toMatchObject({ class: "transient" });
    expect(error.message).toContain("two histories");
    expect(reported).toContain("forked");
    expect(await ledger.readStop(NAME)).toBeUndefined();
    expect(await contents(mirror)).toEqual(before);
    const kept = await keysOf(vault, "evidence/fork/");
    expect(kept).toHaveLength(method === "vault.put" ? 0 : 1);
    crash = false;
    expect(await rejectionOf(worker().advance())).toMatchObject({ class: "stopped" });
    const stop = (await ledger.readStop(NAME)) ?? expect.fail("not stopped");
    expect(await keysOf(vault, "evidence/fork/")).toEqual([evidenceKey(stop)]);
    expect(await contents(mirror)).toEqual(before);
  },
);

test("of two first heads that fork, the tiles of the one that comes second are not left in the tree", async () => {
  const { upstream, fork, mirror } = forkingWorld();
  const workers = [upstream.database, fork].map((shown, at) => {
    const ports = {
      ...mirror,
      upstream: Object.assign(Object.create(upstream), { sumdb: () => shown.source() }),
    };
    return processOf(ports, upstream, mirror.clock, { owner: `${at}` }).database;
  });
  const [first, second] = workers as [ChecksumDatabase, ChecksumDatabase];
  const [good, bad] = await Promise.all([first.prove(versionOf(A)), second.prove(versionOf(C))]);
  await first.publish(versionOf(A), good);
  const before = await contents(mirror);
  expect(await rejectionOf(second.publish(versionOf(C), bad))).toMatchObject({ class: "stopped" });
  expect(await contents(mirror)).toEqual(before);
});
