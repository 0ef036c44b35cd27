import { expect, test } from "vitest";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { type ModuleVersion, moduleVersion } from "../../gomod/version.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { POLL_FEED } from "../../mirror/orders.ts";
import { answer } from "../../mirror/serve.ts";
import { verifyMirror } from "../../mirror/verify.ts";
import { MadeMirror, MINUTE } from "./made-mirror.ts";
import { type Made, MadeUpstream } from "./made-upstream.ts";
import { PrivateDatabase } from "./private-database.ts";

const FIRST = "sum.example.org";
const SECOND = "sum.example.net/second";
const A = "example.com/a@v1.0.0";
const VERSION = moduleVersion("example.com/a", "v1.0.0");

const ZIP = "example.com/a/@v/v1.0.0.zip";
const lookup = (database: string) => `sumdb/${database}/lookup/${A}`;

/** The two lines of a version, as the upstream's own database has them. */
function recordIn(database: PrivateDatabase, { version, zipH1, modH1 }: Made): void {
  const { path, version: v } = version;
  database.add(`${path}@${v}`, `${path} ${v} ${zipH1}\n${path} ${v}/go.mod ${modH1}\n`);
}

function world(options: { first?: boolean; second?: "same" | "other" | "none"; further?: boolean } = {}) {
  const { first = true, second: has = "same", further = true } = options;
  const upstream = new MadeUpstream();
  upstream.database.grow(300);
  const second = new PrivateDatabase(SECOND);
  second.grow(700);
  const made = upstream.add(A, {}, first);
  if (has === "same") recordIn(second, made);
  if (has === "other") recordIn(second, { ...made, zipH1: made.modH1 });
  const mirror = new MadeMirror(upstream, further ? { further: [second] } : {});
  const lookups = async () => (await mirror.keys()).filter((key) => key.includes("/lookup/"));
  const recordOf = async (version: ModuleVersion = VERSION) => (await mirror.ledger.read([version]))[0];
  return { upstream, second, made, mirror, lookups, recordOf };
}

test("a version is proven by each database that covers it, and every one has its lookup, tiles and head", async () => {
  const { upstream, second, mirror, recordOf } = world();
  await mirror.request({ wishes: [A] });
  expect(await recordOf()).toMatchObject({ state: "READY", sumdbRecords: { [FIRST]: 300, [SECOND]: 700 } });
  const keys = await mirror.keys();
  for (const name of [FIRST, SECOND]) {
    for (const file of ["latest", "supported", `lookup/${A}`])
      expect(keys).toContain(`sumdb/${name}/${file}`);
    expect(keys.filter((key) => key.startsWith(`sumdb/${name}/tile/`)).length).toBeGreaterThan(1);
  }
  const { tree, ledger } = mirror;
  const verifiers = [upstream.database.verifier, second.verifier];
  const of = { tree, ledger, zips: zipChecker, progress: () => {} };
  expect((await verifyMirror({ ...of, verifiers })).findings).toEqual([]);
  // A key that is not given is a finding: each lookup is read by its own database's client.
  const unread = (await verifyMirror({ ...of, verifiers: verifiers.slice(0, 1) })).findings;
  expect(unread.map(({ subject }) => subject)).toContain(lookup(SECOND));
});

test("a further database that has no record of a version is asked again by a person's request, not by a feed's", async () => {
  const { upstream, second, made, mirror, lookups, recordOf } = world({ second: "none" });
  await mirror.request({ wishes: [A] });
  expect(await recordOf()).toMatchObject({ state: "READY", held: "whole", sumdbRecords: { [FIRST]: 300 } });
  expect(await lookups()).toEqual([lookup(FIRST)]);
  const missing = await answer(mirror.parts, lookup(SECOND), 1e6);
  expect(missing).toMatchObject({ kind: "text", status: 404, text: expect.stringContaining(SECOND) });

  recordIn(second, made);
  const before = upstream.count("zip") + upstream.count("mod");
  await mirror.request({ wishes: [A] }, POLL_FEED);
  expect(await lookups()).toEqual([lookup(FIRST)]);
  await mirror.request({ wishes: [A] });
  expect((await lookups()).sort()).toEqual([lookup(FIRST), lookup(SECOND)].sort());
  expect(await recordOf()).toMatchObject({ state: "READY", sumdbRecords: { [FIRST]: 300, [SECOND]: 700 } });
  // Its files are held and need not be fetched for it.
  expect(upstream.count("zip") + upstream.count("mod")).toBe(before);
});

test("one request asks a database that lacks a record once, however often it is looked at", async () => {
  const { second, mirror, recordOf } = world({ second: "none" });
  let asked = 0;
  const lookupOf = second.lookup.bind(second);
  second.lookup = (version) => {
    if (version.path === VERSION.path) asked++;
    return lookupOf(version);
  };
  const broken = "example.com/broken@v1.0.0";
  await mirror.request({ wishes: [A, broken] });
  await mirror.pass(120);
  expect(asked).toBeLessThanOrEqual(2);
  expect((await recordOf())?.state).toBe("READY");
});

test("what the first database has no record of is GONE, and no other one's lookup of it is published", async () => {
  const { mirror, lookups, recordOf } = world({ first: false });
  await mirror.request({ wishes: [A] });
  expect(await recordOf()).toMatchObject({ state: "GONE", held: "nothing" });
  expect(await lookups()).toEqual([]);
});

test("databases that disagree put a version in CONFLICT, and nothing of it is published", async () => {
  const { mirror, lookups, recordOf } = world({ second: "other" });
  await mirror.request({ wishes: [A] });
  const record = await recordOf();
  expect(record).toMatchObject({ state: "CONFLICT", held: "nothing", lastError: { class: "mismatch" } });
  for (const name of [FIRST, SECOND]) expect(record?.lastError?.message).toContain(name);
  expect(await lookups()).toEqual([]);
  expect((await mirror.keys()).filter((key) => key.startsWith("example.com/"))).toEqual([]);
});

test("what is held and a database that came later contradicts is in CONFLICT: its zip is refused, its files stay", async () => {
  const { upstream, made, mirror, recordOf } = world({ further: false });
  await mirror.request({ wishes: [A] });
  const before = await mirror.keys();
  const other = new PrivateDatabase(SECOND);
  recordIn(other, { ...made, modH1: made.zipH1 });
  const request = await new MadeMirror(upstream, { further: [other] }, mirror).request({ wishes: [A] });
  expect(await recordOf()).toMatchObject({ state: "CONFLICT", held: "whole", listed: true });
  expect((await recordOf())?.lastError?.message).toContain(SECOND);
  expect(await mirror.keys()).toEqual(before);
  expect((await mirror.ledger.readRequest(request))?.state).toBe("INCOMPLETE");
  expect(await answer(mirror.parts, ZIP, 1e6)).toMatchObject({ status: 403 });
});

test("what is held by first sight and a database that came later contradicts is in CONFLICT, with no lookup", async () => {
  const { upstream, made } = world({ first: false });
  const unproven = new MadeMirror(upstream, { unproven: "example.com/" });
  await unproven.request({ wishes: [A] });
  const before = await unproven.keys();
  recordIn(upstream.database, { ...made, zipH1: made.modH1 });
  const request = await new MadeMirror(upstream, {}, unproven).request({ wishes: [A] });
  expect(await unproven.ledger.readRequest(request)).toMatchObject({ state: "INCOMPLETE", missing: 1 });
  const refused = { status: 403, text: expect.stringContaining("by first sight, but") };
  expect(await answer(unproven.parts, ZIP, 1e6)).toMatchObject(refused);
  const { tree, ledger } = unproven;
  const verifiers = [upstream.database.verifier];
  const found = await verifyMirror({ tree, ledger, zips: zipChecker, progress: () => {}, verifiers });
  expect(found.findings).toMatchObject([{ subject: A, message: expect.stringContaining("CONFLICT") }]);
  expect((await unproven.ledger.read([VERSION]))[0]).toMatchObject({ state: "CONFLICT", held: "whole" });
  expect(await unproven.keys()).toEqual(before);
});

test("a database that does not answer leaves a version FAILED, and what it does not cover goes on", async () => {
  const { second, mirror, recordOf } = world();
  second.lookup = () => {
    throw new Error("no answer");
  };
  await mirror.request({ wishes: [A] });
  expect(await recordOf()).toMatchObject({ state: "FAILED", held: "nothing" });
});

test("a further database that never answers takes nothing from what another one has proven", async () => {
  const { upstream, mirror, recordOf } = world({ further: false });
  await mirror.request({ wishes: [A] });
  const silent = new PrivateDatabase(SECOND);
  silent.lookup = () => {
    throw new MirrorError("transient", SECOND, `${SECOND}: no answer`);
  };
  const later = new MadeMirror(upstream, { further: [silent] }, mirror);
  for (let times = 0; times < 10; times++) {
    const request = await later.request({ wishes: [A] });
    expect((await later.ledger.readRequest(request))?.state).toBe("DONE");
    later.clock.ms += 8 * 60 * MINUTE;
  }
  expect(await recordOf()).toMatchObject({ state: "READY", held: "whole", sumdbRecords: { [FIRST]: 300 } });
});
