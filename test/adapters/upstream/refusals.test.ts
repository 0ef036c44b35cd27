import { afterEach, beforeEach, expect, test } from "vitest";
import { type OpenedUpstream, openUpstream } from "../../../adapters/upstream/open-upstream.ts";
import { openSumdb } from "../../../adapters/upstream/sumdb-source.ts";
import { moduleVersion } from "../../../gomod/version.ts";
import {
  type FaultServer,
  mirrorError,
  ok,
  other,
  otherPath,
  quickTools,
  sample,
  samplePath,
  startFaultServer,
  status,
} from "./fault-server.ts";

const NAME = "sum.example.com";
let server: FaultServer;
let upstream: OpenedUpstream;
let tools: ReturnType<typeof quickTools>;

beforeEach(async () => {
  server = await startFaultServer(
    status(403, "This module version is not available.\n", { "content-type": "text/plain" }),
  );
  tools = quickTools();
  upstream = openUpstream(server.url, { tools });
});
afterEach(async () => {
  await upstream.close();
  await server.close();
});

test.each([403, 451, 400, 422])("%i on one path is withheld while another is served", async (code) => {
  server.answers.set(`${otherPath}.mod`, ok("module example.com/other\n"));
  server.answers.set(`${samplePath}.zip`, status(code));
  await upstream.mod(other);
  const error = await mirrorError(upstream.zip(sample));
  expect([error.class, error.subject]).toEqual(["withheld", "example.com/Sample/mod@v1.2.3.zip"]);
  expect(error.message).toContain(String(code));
  expect(server.asked).toEqual([`${otherPath}.mod`, `${samplePath}.zip`, `${otherPath}.mod`]);
});

test("403 everywhere is unauthorized, found out by the database's head", async () => {
  upstream.sumdb(NAME);
  const error = await mirrorError(upstream.mod(sample));
  expect([error.class, error.message]).toEqual([
    "unauthorized",
    expect.stringContaining("403: This module version is not available."),
  ]);
  expect(server.asked).toEqual([`${samplePath}.mod`, `/sumdb/${NAME}/latest`]);
});

test("403 everywhere from some moment on is unauthorized", async () => {
  server.answers.set(`${otherPath}.mod`, ok("module example.com/other\n"));
  await upstream.mod(other);
  server.answers.clear();
  expect((await mirrorError(upstream.mod(sample))).class).toBe("unauthorized");
});

test("a probe that answers 401 makes it unauthorized", async () => {
  upstream.sumdb(NAME);
  server.answers.set(`/sumdb/${NAME}/latest`, status(401));
  expect((await mirrorError(upstream.mod(sample))).class).toBe("unauthorized");
});

// Withheld, it would be a 404 for clients and be asked again after weeks, because of a token that is wrong; unauthorized, one
// file that a registry keeps back would stop all others.
test("a first refusal with nothing to probe is neither withheld nor of everything: asked once, and tried again soon", async () => {
  for (let tries = 0; tries < 5; tries++) {
    const error = await mirrorError(upstream.mod(sample));
    expect([error.class, error.retryAfter, error.ofHost]).toEqual(["transient", 60_000, false]);
    expect(error.message).toContain("has served nothing yet that would tell");
  }
  expect(server.asked).toHaveLength(5);
});

test("and is judged by what is served later", async () => {
  await mirrorError(upstream.mod(sample));
  server.answers.set(`${otherPath}.mod`, ok("module example.com/other\n"));
  await upstream.mod(other);
  await tools.sleep(6000);
  expect((await mirrorError(upstream.mod(sample))).class).toBe("withheld");
});

test("refusals of three different modules, and nothing served, are of everything", async () => {
  const classes: string[] = [];
  for (const path of ["a", "b", "b", "c", "d"])
    classes.push((await mirrorError(upstream.mod(moduleVersion(`example.com/${path}`, "v1.0.0")))).class);
  expect(classes).toEqual(["transient", "transient", "transient", "unauthorized", "unauthorized"]);
});

test.each([
  ["another module refused as well, the database served", "withheld"],
  ["everything refused", "unauthorized"],
])("one refused probe does not condemn the upstream: %s", async (what, expected) => {
  server.answers.set(`${otherPath}.mod`, ok("module example.com/other\n"));
  await upstream.mod(other);
  server.answers.clear();
  if (what.startsWith("another")) server.answers.set(`/sumdb/${NAME}/latest`, ok("go.sum database tree\n"));
  upstream.sumdb(NAME);
  expect((await mirrorError(upstream.mod(sample))).class).toBe(expected);
});

test("a refusal whose probe gets no answer is transient: nobody is marked withheld by an outage", async () => {
  upstream.sumdb(NAME);
  server.answers.set(`/sumdb/${NAME}/latest`, status(503));
  const error = await mirrorError(upstream.mod(sample));
  expect([error.class, error.subject]).toEqual(["transient", "example.com/Sample/mod@v1.2.3.mod"]);
});

test("a sign-in page as probe is no sign that the upstream serves", async () => {
  upstream.sumdb(NAME);
  server.answers.set(`/sumdb/${NAME}/latest`, ok("<html>"));
  server.answers.set(`${otherPath}.mod`, ok("module example.com/other\n"));
  await upstream.mod(other);
  server.answers.delete(`${otherPath}.mod`);
  expect((await mirrorError(upstream.mod(sample))).class).toBe("unauthorized");
});

test("a burst of refusals costs one probe, and after some seconds it is asked anew", async () => {
  server.answers.set(`/sumdb/${NAME}/latest`, ok("go.sum database tree\n"));
  upstream.sumdb(NAME);
  const refused = await Promise.all(Array.from({ length: 50 }, () => mirrorError(upstream.mod(sample))));
  expect(new Set(refused.map((error) => error.class))).toEqual(new Set(["withheld"]));
  expect(upstream.counts().probe).toBe(1);
  await tools.sleep(6000);
  await mirrorError(upstream.mod(sample));
  expect(upstream.counts().probe).toBe(2);
});

test("a database at its own address is probed by its own head", async () => {
  const database = openSumdb(`${server.url}/db`, NAME, { tools });
  expect((await mirrorError(database.lookup(sample))).class).toBe("unauthorized");
  expect(server.asked).toEqual(["/db/lookup/example.com/%21sample/mod@v1.2.3", "/db/latest"]);
  await database.close();
});
