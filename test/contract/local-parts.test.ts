import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Call, Fault } from "../../adapters/local/fault.ts";
import { GroupCommit } from "../../adapters/local/group-commit.ts";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { SpoolFolder } from "../../adapters/local/spool-folder.ts";
import { openDatabase } from "../../adapters/local/sqlite-database.ts";
import { modulePath } from "../../gomod/module-path.ts";
import { moduleVersion, version } from "../../gomod/version.ts";
import { isSpool, SPOOL_LIMIT, sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { Order } from "../../mirror/orders.ts";
import { listKey, modKey, zipKey } from "../../mirror/tree-keys.ts";
import { freshRecord } from "./ledger-samples.ts";
import { rejectionOf } from "./rejection.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "modferry-parts-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("SpoolFolder", () => {
  async function* chunksOf(...chunks: (Uint8Array | Error)[]): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) {
      if (chunk instanceof Error) throw chunk;
      yield chunk;
    }
  }
  const mebibytes = (count: number) => Array.from({ length: count }, (_, n) => Buffer.alloc(1 << 20, n + 1));

  test("keeps bodies up to SPOOL_LIMIT in memory, and makes no folder for them", async () => {
    const spools = new SpoolFolder(join(folder, "spools"));
    const body = await spools.spool(chunksOf(...mebibytes(SPOOL_LIMIT >> 20)), 1 << 30);
    expect(isSpool(body)).toBe(false);
    expect(existsSync(join(folder, "spools"))).toBe(false);
  });

  test("spools larger ones with their size and SHA-256, readable in parts until disposed of", async () => {
    const whole = Buffer.concat([...mebibytes(SPOOL_LIMIT >> 20), Buffer.from("and one more")]);
    const body = await new SpoolFolder(join(folder, "spools")).spool(
      chunksOf(...mebibytes(SPOOL_LIMIT >> 20), Buffer.from("and one more")),
      whole.byteLength,
    );
    if (!isSpool(body)) throw new Error("not spooled");
    expect(body.size).toBe(whole.byteLength);
    expect(body.sha256).toBe(sha256Of(whole));
    expect(readFileSync(body.path).equals(whole)).toBe(true);
    expect(Buffer.from(await body.read(SPOOL_LIMIT - 2, 100))).toEqual(whole.subarray(SPOOL_LIMIT - 2));
    await body.dispose();
    await body.dispose();
    expect(readdirSync(join(folder, "spools"))).toEqual([]);
    expect((await rejectionOf(body.read(0, 1))).class).toBe("transient");
  });

  test("throws malformed above the limit, in memory and in a file, and leaves nothing behind", async () => {
    const spools = new SpoolFolder(folder);
    expect(
      (await rejectionOf(spools.spool(chunksOf(Buffer.alloc(11)), 10, "example.com/a@v1.0.0"))).message,
    ).toBe("example.com/a@v1.0.0: larger than the 10 bytes allowed");
    expect((await rejectionOf(spools.spool(chunksOf(...mebibytes(12)), 11 << 20))).class).toBe("malformed");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("passes its source's error on as it is, and leaves nothing behind", async () => {
    const cut = new MirrorError("transient", "x", "x: connection reset");
    const spooling = new SpoolFolder(folder).spool(chunksOf(...mebibytes(10), cut), 1 << 30);
    expect(await rejectionOf(spooling)).toBe(cut);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("GroupCommit", () => {
  test("writes what is asked for at once in few transactions, and each asker hears its own answer", async () => {
    const path = join(folder, "ledger.sqlite");
    const database = openDatabase(path, "write");
    database.exec("INSERT INTO lease VALUES ('make the log', '', 0)");
    let transactions = 0;
    const commit = new GroupCommit(database, path, () => void transactions++);
    const insert = database.prepare("INSERT INTO lease VALUES (?, '', 0)");
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => commit.run(() => Number(insert.run(`${n}`).changes) * n)),
    );
    expect(answers).toEqual(Array.from({ length: 200 }, (_, n) => n));
    expect(transactions).toBeLessThanOrEqual(2);
    await commit.close();
    expect((await rejectionOf(commit.run(() => 1))).message).toContain("already closed");
    database.close();
  });

  test("answers only after COMMIT: another connection sees the write", async () => {
    const path = join(folder, "ledger.sqlite");
    const database = openDatabase(path, "write");
    database.exec("INSERT INTO lease VALUES ('make the log', '', 0)");
    const commit = new GroupCommit(database, path, () => {});
    await commit.run(() => database.exec("INSERT INTO lease VALUES ('a', '', 0)"));
    const other = new DatabaseSync(path, { readOnly: true });
    expect(other.prepare("SELECT count(*) AS n FROM lease").get()?.n).toBe(2);
    other.close();
    await commit.close();
    database.close();
  });

  test("rolls the whole transaction back when one write fails, tells all in it, and goes on", async () => {
    const path = join(folder, "ledger.sqlite");
    const database = openDatabase(path, "write");
    database.exec("INSERT INTO lease VALUES ('make the log', '', 0)");
    const commit = new GroupCommit(database, path, () => {});
    const insert = database.prepare("INSERT INTO lease VALUES (?, '', 0)");
    const first = commit.run(() => insert.run("a"));
    const twice = commit.run(() => insert.run("a"));
    expect((await rejectionOf(first)).class).toBe("transient");
    expect((await rejectionOf(twice)).class).toBe("transient");
    await commit.run(() => insert.run("b"));
    const rows = database.prepare("SELECT name FROM lease WHERE name IN ('a', 'b')").all();
    expect(rows.map(({ name }) => name)).toEqual(["b"]);
    await commit.close();
    database.close();
  });
});

describe("MemoryQueue.drain", () => {
  const orderOf = (name: string): Order => ({
    kind: "fetch",
    path: modulePath(`example.com/${name}`),
    versions: [version("v1.0.0")],
  });
  const nameOf = (order: Order) =>
    order.kind === "fetch" ? order.path.slice("example.com/".length) : order.kind;

  test("takes fresh orders before backfill, also those sent meanwhile, until all is done", async () => {
    const queue = new MemoryQueue();
    const handled: string[] = [];
    await queue.send("backfill", [orderOf("b1"), orderOf("b2")]);
    await queue.send("fresh", [orderOf("f1")]);
    await queue.drain(
      async (order) => {
        handled.push(nameOf(order));
        if (nameOf(order) === "b1") await queue.send("fresh", [orderOf("f2")]);
        if (nameOf(order) === "b2") await queue.send("backfill", [orderOf("b3")]);
      },
      { concurrency: 1 },
    );
    expect(handled).toEqual(["f1", "b1", "f2", "b2", "b3"]);
  });

  test("runs as many at once as allowed, and idle places take what a running handler sends", async () => {
    const queue = new MemoryQueue();
    let running = 0;
    let most = 0;
    let done = 0;
    await queue.send("fresh", [orderOf("first")]);
    await queue.drain(
      async (order) => {
        most = Math.max(most, ++running);
        if (nameOf(order) === "first") {
          await queue.send(
            "backfill",
            Array.from({ length: 20 }, (_, n) => orderOf(`n${n}`)),
          );
        }
        await sleep(5);
        running--;
        done++;
      },
      { concurrency: 4 },
    );
    expect({ most, done }).toEqual({ most: 4, done: 21 });
  });

  test("an order sent by a running handler starts before that handler has ended", async () => {
    const queue = new MemoryQueue();
    let secondStarted = () => {};
    const started = new Promise<void>((resolve) => {
      secondStarted = resolve;
    });
    await queue.send("fresh", [orderOf("first")]);
    await queue.drain(
      async (order) => {
        if (nameOf(order) === "second") return secondStarted();
        await queue.send("backfill", [orderOf("second")]);
        await started;
      },
      { concurrency: 2 },
    );
  }, 5_000);

  test("a handler that throws stops none of the others, and no error is lost", async () => {
    const queue = new MemoryQueue();
    const handled: string[] = [];
    await queue.send("fresh", ["a", "b", "c", "d"].map(orderOf));
    const draining = queue.drain(
      async (order) => {
        handled.push(nameOf(order));
        if (["a", "c"].includes(nameOf(order))) throw new Error(nameOf(order));
      },
      { concurrency: 2 },
    );
    const error = await draining.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AggregateError);
    expect((error as AggregateError).errors.map((one: Error) => one.message)).toEqual(["a", "c"]);
    expect(handled).toEqual(["a", "b", "c", "d"]);
    await queue.drain(async () => {}, { concurrency: 1 });
  });
});

describe("faults of the in-memory ports", () => {
  const lost = new MirrorError("transient", "store", "store: no answer");
  const a = moduleVersion("example.com/a", "v1.0.0");
  const bytes = Buffer.from("bytes");
  const once = (method: string, fault: Fault) => {
    let done = false;
    return (call: Call) => {
      if (done || call.method !== method) return undefined;
      done = true;
      return fault;
    };
  };

  test("a write can fail and yet have happened, or fail and not have happened", async () => {
    for (const applied of [true, false]) {
      const tree = new MemoryTree(once("tree.create", { applied, sees: lost }));
      expect(await rejectionOf(tree.create(modKey(a), bytes, sha256Of(bytes)))).toBe(lost);
      expect(await tree.create(modKey(a), bytes, sha256Of(bytes))).toBe(applied ? "exists" : "created");
      const ledger = new MemoryLedger(once("ledger.write", { applied, sees: lost }));
      const change = { record: freshRecord(a), journal: { event: "held" as const, version: a, at: 1 } };
      expect(await rejectionOf(ledger.write([change]))).toBe(lost);
      expect((await ledger.read([a]))[0]?.revision).toBe(applied ? 1 : undefined);
      expect(ledger.journalLines).toHaveLength(applied ? 1 : 0);
    }
  });

  test("the tree records every write that took effect, in order, and no other", async () => {
    const tree = new MemoryTree();
    await tree.create(modKey(a), bytes, sha256Of(bytes));
    await tree.create(modKey(a), bytes, sha256Of(bytes));
    await tree.create(zipKey(a), bytes, sha256Of(bytes));
    await tree.replace(listKey(a.path), bytes, "not there");
    await tree.replace(listKey(a.path), bytes, undefined);
    expect(tree.writes).toEqual([
      { op: "create", key: modKey(a) },
      { op: "create", key: zipKey(a) },
      { op: "replace", key: listKey(a.path) },
    ]);
  });
});
