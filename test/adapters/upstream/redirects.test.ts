import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type OpenedUpstream, openUpstream } from "../../../adapters/upstream/open-upstream.ts";
import { guardedLookup, isForbiddenAddress, redirectTarget } from "../../../adapters/upstream/redirects.ts";
import {
  type FaultServer,
  mirrorError,
  ok,
  quickTools,
  sample,
  samplePath,
  startFaultServer,
  status,
  zipBytes,
} from "./fault-server.ts";

let server: FaultServer;
let storage: FaultServer;
let upstream: OpenedUpstream;
beforeEach(async () => {
  server = await startFaultServer();
  storage = await startFaultServer();
  upstream = openUpstream(server.url.replace("http://", "http://user:hush@"), { tools: quickTools() });
});
afterEach(async () => {
  await upstream.close();
  await server.close();
  await storage.close();
});
const to = (location: string, code = 302) => status(code, "moved", { location });

test.each([301, 302, 303, 307, 308])(
  "%i to another host is followed, without our credentials",
  async (code) => {
    server.answers.set(`${samplePath}.zip`, to(`${storage.url}/bucket/object?X-Signature=abc`, code));
    storage.answers.set("/bucket/object?X-Signature=abc", ok(zipBytes()));
    expect(await upstream.zip(sample)).toEqual(zipBytes());
    expect(server.headers[0]?.authorization).toBe(`Basic ${Buffer.from("user:hush").toString("base64")}`);
    expect(server.headers[0]?.["user-agent"]).toMatch(/^modferry\/\d+\.\d+\.\d+$/);
    expect(server.headers[0]?.["accept-encoding"]).toBe("identity");
    expect(storage.headers[0]?.authorization).toBeUndefined();
    expect(upstream.counts()).toMatchObject({ zip: 1, redirect: 1 });
  },
);

test("user-info in a Location is not sent either", async () => {
  server.answers.set(`${samplePath}.zip`, to(`${storage.url.replace("http://", "http://evil:pw@")}/x`));
  storage.answers.set("/x", ok(zipBytes()));
  await upstream.zip(sample);
  expect(storage.headers[0]?.authorization).toBeUndefined();
});

test("a relative Location on the same host keeps the credentials", async () => {
  server.answers.set(`${samplePath}.mod`, to("../../elsewhere"));
  server.answers.set("/example.com/%21sample/elsewhere", ok("module x\n"));
  await upstream.mod(sample);
  expect(server.headers[1]?.authorization).toBeDefined();
});

test("ten redirects are followed, an eleventh is not, and a loop ends", async () => {
  server.answers.set(`${samplePath}.mod`, to("/1"));
  for (let hop = 1; hop < 10; hop++) server.answers.set(`/${hop}`, to(`/${hop + 1}`));
  server.answers.set("/10", ok("module x\n"));
  expect(Buffer.from(await upstream.mod(sample)).toString()).toBe("module x\n");
  server.answers.set("/10", to("/11"));
  server.answers.set("/11", ok("module x\n"));
  expect((await mirrorError(upstream.mod(sample))).message).toContain("more than 10 redirects");
  server.answers.set(`${samplePath}.mod`, to(`${samplePath}.mod`));
  const error = await mirrorError(upstream.mod(sample));
  expect([error.class, error.subject]).toEqual(["malformed", "example.com/Sample/mod@v1.2.3.mod"]);
});

test.each([
  ["no Location", {}],
  ["file", { location: "file:///etc/passwd" }],
  ["ftp", { location: "ftp://example.com/x" }],
  ["no URL", { location: "http://[::bad" }],
])("a redirect with %s is not followed", async (_, headers) => {
  server.answers.set(`${samplePath}.mod`, status(302, "", headers));
  const error = await mirrorError(upstream.mod(sample));
  expect(error.class).toBe("malformed");
  expect(error.message).not.toMatch(/hush|passwd|bad/);
});

test("an error behind a redirect names hosts, not the signed URL", async () => {
  server.answers.set(`${samplePath}.zip`, to(`${storage.url}/bucket?X-Signature=topsecret`));
  storage.answers.set("/bucket?X-Signature=topsecret", (request) => void request.socket.destroy());
  const error = await mirrorError(upstream.zip(sample));
  expect(error.class).toBe("transient");
  expect(error.message).toContain(storage.url);
  expect(error.message).not.toContain("topsecret");
});

describe("where a redirect may lead", () => {
  const from = new URL("https://proxy.example.com/x");
  test("https to http is refused, http to https is not", () => {
    expect(redirectTarget("http://storage.example.com/", from, from)).toHaveProperty("refused");
    const plain = new URL("http://proxy.example.com/x");
    expect(redirectTarget("https://storage.example.com/", plain, plain)).toHaveProperty("url");
  });
  test.each([
    "https://169.254.169.254/latest/meta-data",
    "https://2852039166/",
    "https://0xa9.0xfe.0xa9.0xfe/",
    "https://[::ffff:169.254.169.254]/",
    "https://[fe80::1]/",
    "https://[fd00:ec2::254]/",
    "https://127.0.0.1:8080/",
    "https://localhost/",
    "https://localhost./",
    "https://0.0.0.0/",
    "https://[::1]/",
  ])("%s is refused from another host", (location) => {
    expect(redirectTarget(location, from, from)).toHaveProperty("refused");
  });
  test("an upstream that lies there itself may redirect there", () => {
    const there = new URL("http://169.254.10.1:8080/");
    expect(redirectTarget("http://169.254.10.2/", there, there)).toHaveProperty("url");
  });
  test("a name that resolves to this machine is refused when it is looked up", async () => {
    const lookup = guardedLookup(from);
    for (const all of [true, false]) {
      const error = await new Promise((resolve) =>
        lookup?.("localhost", { all }, (problem) => resolve(problem)),
      );
      expect(error).toBeInstanceOf(Error);
    }
  });
  test.each([
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::127.0.0.1",
    "64:ff9b::100.100.100.200",
    "64:ff9b:1::8.8.8.8",
    "2002:7f00:1::",
    "2002:a9fe:a9fe:1::5",
    "::127.0.0.1",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:0:169.254.169.254",
    "fd00:ec2::254",
  ])("%s leads to this machine or its link, by whatever translation", (address) => {
    expect(isForbiddenAddress(address)).toBe(true);
    expect(redirectTarget(`https://[${address}]/x`, from, from)).toHaveProperty("refused");
  });
  test.each(["8.8.8.8", "10.1.2.3", "2001:db8::1", "64:ff9b::8.8.8.8", "2002:808:808::1", "example.com"])(
    "%s is not forbidden",
    (address) => {
      expect(isForbiddenAddress(address)).toBe(false);
    },
  );
});
