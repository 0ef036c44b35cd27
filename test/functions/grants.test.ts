import { setTimeout } from "node:timers/promises";
import { DeleteObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { CreateSecretCommand } from "@aws-sdk/client-secrets-manager";
import type { APIGatewayProxyEvent, Context, SQSEvent } from "aws-lambda";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { s3Client, secretsManagerClient } from "../../adapters/aws/clients.ts";
import { modulePath } from "../../gomod/module-path.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { handIn } from "../../mirror/inbox.ts";
import type { RequestKey } from "../../mirror/orders.ts";
import { isFeedName } from "../../mirror/orders.ts";
import { ORDER_LOST_AFTER, want } from "../../mirror/records.ts";
import {
  closureVaultKey,
  printRequestBody,
  type RequestBody,
  requestInboxKey,
  requestTimeOf,
} from "../../mirror/requests.ts";
import { listSnapshots } from "../../mirror/snapshot/catalog.ts";
import { pinSnapshot } from "../../mirror/snapshot/pin.ts";
import { archiveVulndb } from "../../mirror/snapshot/vulndb-archive.ts";
import {
  infoKey,
  latestKey,
  listKey,
  lookupKey,
  modKey,
  type TreeKey,
  treeHeadKey,
  zipKey,
} from "../../mirror/tree-keys.ts";
import { newLedger, newQueue, newTree, newVault } from "../contract/aws-stores.ts";
import { describeWithEmulator, emulatedAws, stopEmulator } from "../contract/ministack.ts";
import { requestBody } from "../mirror/made-mirror.ts";
import { MadeUpstream } from "../mirror/made-upstream.ts";
import { MadeVulndb } from "../mirror/made-vulndb.ts";
import { newKeys, PrivateDatabase } from "../mirror/private-database.ts";
import { engineFile } from "./engine-file.ts";
import { covers, grantedRights, REQUEST_TOKEN } from "./granted-rights.ts";
import { type Needed, RecordedCalls } from "./recorded-calls.ts";
import { smallGoproxy } from "./small-goproxy.ts";

const shared = vi.hoisted(() => ({ calls: undefined as unknown }));
vi.mock("../../adapters/aws/clients.ts", async (original) => {
  const real = await original<typeof import("../../adapters/aws/clients.ts")>();
  const watch = <C>(client: C): C => (shared.calls as RecordedCalls).watch(client as never) as C;
  return {
    ...real,
    s3Client: (...args: Parameters<typeof real.s3Client>) => watch(real.s3Client(...args)),
    dynamoDbClient: (...args: Parameters<typeof real.dynamoDbClient>) => watch(real.dynamoDbClient(...args)),
    secretsManagerClient: (...args: Parameters<typeof real.secretsManagerClient>) =>
      watch(real.secretsManagerClient(...args)),
    sqsClient: (...args: Parameters<typeof real.sqsClient>) => watch(real.sqsClient(...args)),
  };
});

const calls = new RecordedCalls();
shared.calls = calls;
const A = modulePath("example.com/a");
const TIMEOUT = 400_000;
const keys = newKeys("sum.example.org");
const FUNCTIONS = ["Plan", "AcceptRequest", "Work", "Reconcile", "Serve", "Snapshot", "Collect", "Scrub"];
const [MINUTE, HOUR] = [60_000, 3_600_000];
/** How far the functions' clock is ahead, in ms: what waits for a time is there at once. */
let ahead = 0;
/** What it shows while it stands still. */
let still: number | undefined;

/** Its database's key is known as text, and another history can take its place. */
class Upstream extends MadeUpstream {
  override database = new PrivateDatabase("sum.example.org", keys);
}

describeWithEmulator("each function's role, held against what the function calls in an emulator", () => {
  let granted: Map<string, Needed[]>;

  beforeAll(async () => {
    granted = grantedRights(keys.verifier, { vulndb: { url: "https://vulndb.example.com" } });
    await runAll();
  }, TIMEOUT);
  afterAll(async () => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    await stopEmulator();
  });

  test.each(FUNCTIONS)("%s may do all that it does", (name) => {
    const rights = granted.get(name) ?? [];
    const denied = calls.of(name).filter((needed) => !rights.some((right) => covers(right, needed)));
    expect(denied).toEqual([]);
  });

  test.each(FUNCTIONS)("%s may do nothing that it does not do", (name) => {
    const needed = calls.of(name);
    const unused = (granted.get(name) ?? []).filter((right) => !needed.some((one) => covers(right, one)));
    expect(unused).toEqual([]);
  });

  test("every function was seen at work, and every role was read", () => {
    expect([...granted.keys()].sort()).toEqual([...FUNCTIONS].sort());
    for (const name of FUNCTIONS) expect(calls.of(name).length, name).toBeGreaterThan(2);
  });
});

/** A mirror's life in small: new versions, requests, conflicts, what is lost, blocks, readers, snapshots, garbage, a fork. */
async function runAll(): Promise<void> {
  const { now } = Date;
  vi.spyOn(Date, "now").mockImplementation(() => still ?? now() + ahead);
  const settings = await emulatedAws();
  const [tree, vault, ledger, queue] = await Promise.all([
    newTree(settings),
    newVault(settings),
    newLedger(settings),
    newQueue(settings),
  ]);
  calls.names.set(tree.bucket, "tree").set(vault.bucket, "vault");
  calls.names.set(queue.urls.fresh, "fresh").set(queue.urls.backfill, "backfill");
  const made = new Upstream();
  made.database.grow(300);
  made.add("example.com/dep@v1.0.0");
  made.add("example.com/a@v1.0.0", { requires: ["example.com/dep@v1.0.0"] });
  made.add("example.com/bad@v1.0.0");
  made.wrong.set("mod example.com/bad@v1.0.0", Buffer.from("module example.com/other\n"));
  await using goproxy = await smallGoproxy(made);
  const holes = new MadeVulndb();
  holes.add({
    id: "GO-2026-0001",
    module: A,
    modified: "2026-01-01T00:00:00Z",
    events: [{ introduced: "0" }],
  });
  await using vulndb = await holes.serve();
  const engine = engineFile({
    upstreams: [{ name: "made", url: goproxy.url }],
    sumdb: [{ key: keys.verifier }],
    subscriptions: [{ modules: [A], versions: "all" }],
    feeds: { poll: {} },
    garbage: { every: "1d", review: "0m", window: "3h", largestShare: 1 },
    vulndb: { url: vulndb.url },
  });
  const environment = {
    AWS_REGION: settings.region,
    AWS_ENDPOINT_URL: settings.endpointUrl ?? "",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    MODFERRY_TREE_BUCKET: tree.bucket,
    MODFERRY_VAULT_BUCKET: vault.bucket,
    MODFERRY_TABLE: ledger.table,
    MODFERRY_FRESH_QUEUE_URL: queue.urls.fresh,
    MODFERRY_BACKFILL_QUEUE_URL: queue.urls.backfill,
    MODFERRY_ENGINE_FILE: engine,
    MODFERRY_FETCHES_TILES: "yes",
    MODFERRY_REQUEST_TOKEN_SECRET: REQUEST_TOKEN,
  };
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  const [plan, accept, work, reconcile, serve, snapshot, collect, scrub] = await Promise.all([
    import("../../functions/plan.ts"),
    import("../../functions/accept-request.ts"),
    import("../../functions/work.ts"),
    import("../../functions/reconcile.ts"),
    import("../../functions/serve.ts"),
    import("../../functions/snapshot.ts"),
    import("../../functions/collect.ts"),
    import("../../functions/scrub.ts"),
  ]);

  const context = { getRemainingTimeInMillis: () => 300_000 } as Context;
  const notified = new Set<string>();
  const notify = async (key: string) => {
    notified.add(key);
    const body = JSON.stringify({ Records: [{ s3: { object: { key } } }] });
    await calls.run("AcceptRequest", () => accept.handler(messages([body])));
  };
  /** S3's notifications and SQS, until nothing is left. */
  const drain = async () => {
    for (;;) {
      const orders = await queue.receive();
      const inbox: string[] = [];
      for await (const key of vault.vault.keys("inbox/requests/")) if (!notified.has(key)) inbox.push(key);
      if (orders.length + inbox.length === 0) return;
      for (const key of inbox) await notify(key);
      const bodies = orders.map(({ order }) => JSON.stringify(order));
      const reply = await calls.run("Work", () => work.handler(messages(bodies), context));
      expect(reply.batchItemFailures).toEqual([]);
    }
  };
  const request = async (body: Partial<RequestBody>): Promise<RequestKey> => {
    const key = await handIn({ vault: vault.vault, now: Date.now }, "test", requestBody(body));
    await drain();
    return key;
  };
  const dueNow = async (key: RequestKey) => {
    const record = await ledger.ledger.readRequest(key);
    if (record === undefined) throw new Error(`${key.name}: not accepted`);
    await ledger.ledger.writeRequest({ ...record, state: "RESOLVED", due: 1 });
  };

  /** A request whose only version has failed, and is due again. */
  const failing = async (path: string): Promise<RequestKey> => {
    const name = `${path}@v1.0.0`;
    made.add(name);
    made.wrong.set(`info ${name}`, Buffer.from("no JSON"));
    const key = await request({ wishes: [name] });
    made.wrong.delete(`info ${name}`);
    const [failed] = await ledger.ledger.read([moduleVersion(path, "v1.0.0")]);
    if (failed === undefined) throw new Error(`${name}: no record`);
    await ledger.ledger.write([{ record: { ...failed, state: "PENDING", due: 1 } }]);
    return key;
  };

  // Polls, with and without a head.
  await calls.run("Plan", () => plan.handler({}, context));
  await drain();
  made.add("example.com/a@v1.1.0", { requires: ["example.com/dep@v1.0.0"] });
  made.database.grow(900);
  await calls.run("Plan", () => plan.handler({}, context));
  await drain();

  // A request with files, and one whose version is in conflict.
  const files = {
    "go.mod": "module example.com/m\n\ngo 1.16\n\nrequire example.com/a v1.0.0\n",
    "go.sum": "example.com/a v1.0.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
  };
  const settled = await request({ files, wishes: ["example.com/a@v1.0.0"] });
  await request({ wishes: ["example.com/bad@v1.0.0"] });

  // Its last settling was lost.
  const raw = s3Client(settings);
  for (const Key of [listKey(A), latestKey(A)])
    await raw.send(new DeleteObjectCommand({ Bucket: tree.bucket, Key }));
  const [listed] = await ledger.ledger.read([moduleVersion(A, "v1.0.0")]);
  if (listed === undefined) throw new Error("a@v1.0.0: no record");
  await ledger.ledger.write([{ record: { ...listed, listed: false } }]);
  await dueNow(settled);
  await calls.run("Reconcile", () => reconcile.handler({}, context));

  // Orders were lost, those of a request and that of a version alone; a closure is gone, and a request's object.
  const [late, alone] = [await failing("example.com/late"), await failing("example.com/alone")];
  await dueNow(late);
  const goneClosure = await request({ wishes: ["example.com/dep@v1.0.0"] });
  await raw.send(new DeleteObjectCommand({ Bucket: vault.bucket, Key: closureVaultKey(goneClosure) }));
  await dueNow(goneClosure);
  await notify(requestInboxKey({ name: "gone", time: late.time }));
  // A root of a feed that was gone is due: its window is at work again.
  const [gone] = await ledger.ledger.read([moduleVersion(A, "v1.1.0")]);
  if (gone?.feed === undefined) throw new Error("a@v1.1.0: no root of a feed");
  await ledger.ledger.write([{ record: { ...gone, state: "GONE", due: 1 } }]);
  const accepted = await handIn({ vault: vault.vault, now: Date.now }, "removed", requestBody({}));
  await notify(requestInboxKey(accepted));
  await raw.send(new DeleteObjectCommand({ Bucket: vault.bucket, Key: requestInboxKey(accepted) }));
  await calls.run("Reconcile", () => reconcile.handler({}, context));
  await drain();
  for (const key of [late, goneClosure]) expect((await ledger.ledger.readRequest(key))?.state).toBe("DONE");
  expect((await ledger.ledger.readRequest(alone))?.state).toBe("INCOMPLETE");

  // An operator takes a module out, lets it come back, and has what failed tried again.
  const operate = (order: object) =>
    calls.run("Reconcile", () => reconcile.handler({ ...order, by: "a test" }, context));
  await operate({ block: A, reason: "told by the test" });
  expect(await tree.tree.open(latestKey(A))).toBeUndefined();
  expect(await tree.tree.open(zipKey(moduleVersion(A, "v1.0.0")))).toBeUndefined();
  await operate({ unblock: A });
  expect(await tree.tree.open(zipKey(moduleVersion(A, "v1.0.0")))).toBeDefined();
  await operate({ retry: "*" });
  await operate({ pause: new Date(Date.now() + 60_000).toISOString(), reason: "told by the test" });
  await operate({ resume: true });

  // A version is blocked, and listed by another worker, while work fetches it.
  const order = async (path: string) => {
    const mv = moduleVersion(path, "v1.0.0");
    made.add(`${path}@v1.0.0`);
    const record = want(undefined, mv, "whole", "test", Date.now(), true);
    await ledger.ledger.write([{ record }]);
    const body = JSON.stringify({ kind: "fetch", path, versions: ["v1.0.0"] });
    await calls.run("Work", () => work.handler(messages([body]), context));
    return mv;
  };
  await order("example.com/before");
  const { zip } = made;
  made.zip = async (version) => {
    const [met] = await ledger.ledger.read([version]);
    if (met !== undefined)
      await ledger.ledger.write([{ record: { ...met, state: "BLOCKED", held: "mod", listed: false } }]);
    return await zip(version);
  };
  const met = await order("example.com/met");
  made.zip = zip;
  expect(await tree.tree.open(zipKey(met))).toBeUndefined();
  const blocked = "example.com/blocked";
  const value = { reason: "told by the test", by: "a test", at: Date.now() };
  await ledger.ledger.writeItem({ kind: "block", name: blocked, revision: 0, value });
  await setTimeout(1_500);
  await tree.tree.replace(listKey(modulePath(blocked)), Buffer.from("v1.0.0\n"), undefined);
  await tree.tree.replace(latestKey(modulePath(blocked)), Buffer.from('{"Version":"v1.0.0"}'), undefined);
  const caught = await order(blocked);
  expect((await ledger.ledger.read([caught]))[0]?.state).toBe("BLOCKED");
  // Its zip goes with the block's second pass, when every unit of work has ended that had begun before.
  ahead += ORDER_LOST_AFTER;
  await calls.run("Reconcile", () => reconcile.handler({}, context));
  expect(await tree.tree.open(zipKey(caught))).toBeUndefined();

  // An upstream that refused us is asked again.
  const refusal = { at: 1, reason: "told by the test", probeAt: 1 };
  const host = "refusing.example.com";
  await ledger.ledger.writeItem({
    kind: "upstream",
    name: `${host}/`,
    revision: 0,
    value: { stop: refusal },
  });
  await calls.run("Plan", () => plan.handler({ resumeUpstream: host, by: "a test" }, context));

  // Readers.
  const paths = ["example.com/a/@v/list", "example.com/a/@v/v1.0.0.zip", "example.com/a/@v/v1.9.0.zip"];
  // The last of the tiles is in the head's tree, and not held yet.
  const tiles = ["sumdb/sum.example.org/tile/8/1/999", "sumdb/sum.example.org/tile/8/0/003"];
  const pages = ["-/status", "-/metrics"];
  for (const proxy of [...paths, "example.com/none/@v/list", ...tiles, ...pages]) {
    const event = { pathParameters: { proxy }, path: `/${proxy}`, headers: {} } as unknown;
    const sent = await calls.run("Serve", () => serve.handler(event as APIGatewayProxyEvent));
    if (pages.includes(proxy)) expect([proxy, sent.statusCode, sent.body]).toEqual([proxy, 200, sent.body]);
  }

  // A snapshot is taken of all records, over what a run that died has left, and one of what has changed since; both are read.
  await archiveVulndb({ tree: tree.tree, vault: vault.vault, spool: gathered }, undefined);
  await calls.run("Snapshot", () => snapshot.handler());
  await request({ wishes: ["example.com/dep@v1.0.0", "example.com/before@v1.0.0"] });
  for (const name of ["example.com/since@v1.0.0", "example.com/two@v1.0.0", "example.com/two@v1.1.0"])
    made.add(name);
  await request({
    wishes: ["example.com/since@v1.0.0", "example.com/two@v1.0.0", "example.com/two@v1.1.0"],
    together: false,
  });
  await calls.run("Snapshot", () => snapshot.handler());
  const taken = (await listSnapshots({ vault: vault.vault, ledger: ledger.ledger })).map(({ name }) => name);
  expect(taken).toHaveLength(2);
  for (const prefix of [
    ...taken.map((name) => `-/snapshot/${name}`),
    `-/at/${new Date(Date.now()).toISOString()}`,
  ]) {
    for (const path of ["example.com/a/@v/list", "-/vulndb/index/db.json"]) {
      const proxy = `${prefix}/${path}`;
      const event = { pathParameters: { proxy }, path: `/${proxy}`, headers: {} } as unknown;
      const sent = await calls.run("Serve", () => serve.handler(event as APIGatewayProxyEvent));
      expect([proxy, sent.statusCode]).toEqual([proxy, 200]);
    }
  }

  // Files are lost and damaged, those of a checksum database too; a scrub mends them.
  const lose = (Key: string) => raw.send(new DeleteObjectCommand({ Bucket: tree.bucket, Key }));
  const damage = (Key: string) =>
    raw.send(new PutObjectCommand({ Bucket: tree.bucket, Key, Body: "damaged" }));
  const [first, second] = [moduleVersion(A, "v1.0.0"), moduleVersion(A, "v1.1.0")];
  const looked = async (order: object) =>
    expect(await calls.run("Scrub", () => scrub.handler(order, context))).toEqual({ finished: true });
  for (const key of [zipKey(first), listKey(A), treeHeadKey("sum.example.org")]) await lose(key);
  await looked({ level: "quick" });
  expect(await tree.tree.open(zipKey(first))).toBeDefined();
  await looked({ level: "stored" });
  // It goes on where an earlier call of it has ended, and says again what that has found.
  const ended = await ledger.ledger.readItem("control", "scrub/stored/1of1");
  if (ended === undefined) throw new Error("a scrub has noted nothing");
  const { finishedAt: _finished, ...before } = ended.value as Record<string, unknown>;
  await ledger.ledger.writeItem({ ...ended, value: { ...before, parts: 1 } });
  await looked({ level: "stored" });
  // A feed's root in CONFLICT over what is damaged now: its window is counted open again once it is mended.
  const [conflicting] = await ledger.ledger.read([second]);
  if (conflicting === undefined) throw new Error("a@v1.1.0: no record");
  await ledger.ledger.write([
    { record: { ...conflicting, state: "CONFLICT", awaited: true, listed: false } },
  ]);
  const ofDatabase = [lookupKey("sum.example.org", first), "sumdb/sum.example.org/tile/8/0/000"];
  const damaged = [infoKey(second), modKey(second), zipKey(second), ...ofDatabase];
  for (const key of damaged) await damage(key);
  const unlisted = latestKey(modulePath(blocked));
  for (const key of [latestKey(A), unlisted]) await damage(key);
  for (const shard of ["1/2", "2/2"]) await looked({ level: "deep", shard });
  await looked({ level: "quick" });
  const ofScrub = async (name: string) => (await ledger.ledger.readItem("control", `scrub/${name}`))?.value;
  for (const name of ["quick/1of1", "deep/1of2", "deep/2of2"])
    expect([name, await ofScrub(name)]).toMatchObject([name, { counts: { lost: 0 } }]);
  for (const key of damaged)
    expect([
      key,
      Buffer.from((await tree.tree.get(key as TreeKey, 1_000_000))?.bytes ?? "").toString(),
    ]).not.toEqual([key, "damaged"]);
  expect(await tree.tree.open(unlisted)).toBeUndefined();

  // What nobody asks for any more is collected: chosen, taken off its list, and deleted when no snapshot has it.
  const collected = async (later: number) => {
    ahead += later;
    await calls.run("Collect", () => collect.handler({}, context));
  };
  const stateOf = async (path: string) =>
    (await ledger.ledger.read([moduleVersion(path, "v1.0.0")]))[0]?.state;
  await request({ wishes: ["example.com/dep@v1.0.0", "example.com/two@v1.1.0"] });
  await lose(latestKey(modulePath("example.com/two")));
  // Another planner hands something in at the same moment, and what this one hands in cannot be had.
  ahead += 16 * MINUTE;
  still = Date.now();
  const sameMoment = requestInboxKey({ name: "poll", time: requestTimeOf(still) });
  await vault.vault.put(sameMoment, printRequestBody(requestBody({ wishes: ["example.com/a@v1.0.0"] })));
  made.add("example.com/a@v1.2.0");
  made.wrong.set("info example.com/a@v1.2.0", Buffer.from("no JSON"));
  await calls.run("Plan", () => plan.handler({}, context));
  still = undefined;
  await drain();
  // Nothing is chosen that was wanted so lately that somebody may still be at it.
  await collected(2 * HOUR);
  await collected(16 * MINUTE);
  expect(await stateOf("example.com/since")).toBe("REMOVING");
  expect(await stateOf("example.com/before")).toBe("REMOVING");
  // A run has died while it deleted what somebody waits for: reconcile ends that, and has it fetched again.
  const waited = moduleVersion("example.com/two", "v1.0.0");
  const [dying] = await ledger.ledger.read([waited]);
  if (dying?.removal === undefined) throw new Error("two@v1.0.0: not being collected");
  const removal = { ...dying.removal, deleting: Date.now() - 16 * MINUTE, wanted: "whole" } as const;
  await ledger.ledger.write([{ record: { ...dying, held: "nothing", removal, due: 1 } }]);
  await calls.run("Reconcile", () => reconcile.handler({}, context));
  expect(await tree.tree.open(zipKey(waited))).toBeUndefined();
  await calls.run("Snapshot", () => snapshot.handler());
  // The first one has what the second has not: it is given back, to its feed's window too.
  const [given] = await ledger.ledger.read([moduleVersion("example.com/before", "v1.0.0")]);
  if (given === undefined) throw new Error("before@v1.0.0: no record");
  const root = { feed: "poll", feedTime: new Date(Date.now()).toISOString(), awaited: true } as const;
  await ledger.ledger.write([{ record: { ...given, ...root } }]);
  const [pinned = expect.fail("no snapshot")] = taken;
  await pinSnapshot(ledger.ledger, {
    snapshot: pinned,
    reason: "told by the test",
    by: "a test",
    at: Date.now(),
  });
  await collected(4 * HOUR);
  expect(await stateOf("example.com/since")).toBe("REMOVED");
  expect(await stateOf("example.com/before")).toBe("READY");
  await drain();
  for (let run = 0; run < 3; run++) await collected(2 * HOUR);
  // An operator drops what nobody needs any more; the run that this begins goes by it.
  let dropped = "";
  for await (const { name } of ledger.ledger.requests()) if (!isFeedName(name)) dropped = name;
  await calls.run("Collect", () => collect.handler({ drop: dropped, by: "a test" }, context));
  const kept = (await listSnapshots({ vault: vault.vault, ledger: ledger.ledger })).filter(
    ({ state }) => state === "kept",
  );
  expect(kept).toHaveLength(2);

  // CI hands in a request, and asks how far it is.
  await secretsManagerClient(settings).send(
    new CreateSecretCommand({ Name: REQUEST_TOKEN, SecretString: "told-by-the-test" }),
  );
  const atDesk = async (httpMethod: string, request: string, body: string | null = null) => {
    const headers = { authorization: "Bearer told-by-the-test" };
    const event = { httpMethod, pathParameters: { request }, path: `/-/requests/${request}`, headers, body };
    const sent = await calls.run("Serve", () => serve.handler(event as unknown as APIGatewayProxyEvent));
    return sent;
  };
  const wanted = Buffer.from(printRequestBody(requestBody({ wishes: ["example.com/bad@v1.0.0"] })));
  const handed = await atDesk("POST", "team/app", wanted.toString("utf8"));
  expect([handed.statusCode, handed.body]).toEqual([202, handed.body]);
  const { request: handedIn } = JSON.parse(handed.body) as { request: string };
  expect(JSON.parse((await atDesk("GET", handedIn)).body)).toMatchObject({ state: "OPEN" });
  await drain();
  expect(JSON.parse((await atDesk("GET", handedIn)).body)).toMatchObject({ state: "INCOMPLETE" });

  // The database shows another history.
  made.database = new PrivateDatabase("sum.example.org", keys);
  made.database.grow(2_000);
  made.database.add("fork", "another history\n");
  await calls.run("Plan", () => plan.handler({}, context));
  const stop = await ledger.ledger.readStop("sum.example.org");
  if (stop === undefined) throw new Error("a fork was not found");
  made.add("example.com/forked@v1.0.0");
  await request({ wishes: ["example.com/forked@v1.0.0"] });
  await calls.run("Plan", () => plan.handler({ clearFork: "sum.example.org", by: "a test" }, context));
  expect(await ledger.ledger.readStop("sum.example.org")).toMatchObject({ database: stop.database });
  for await (const key of vault.vault.keys("decisions/clear-fork/")) expect(key).toContain(stop.evidence);
}

async function gathered(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

function messages(bodies: readonly string[]): SQSEvent {
  return { Records: bodies.map((body, at) => ({ messageId: String(at), body })) } as SQSEvent;
}
