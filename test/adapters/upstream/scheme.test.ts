import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sdkError } from "../../../adapters/aws/errors.ts";
import { directEgress, type Egress, environmentEgress } from "../../../adapters/egress/egress.ts";
import { openUpstream } from "../../../adapters/upstream/open-upstream.ts";
import { EndpointDesk } from "../../../cli/endpoint-desk.ts";
import { makePrivateCa } from "../egress/private-ca.ts";
import {
  type Answer,
  type FaultServer,
  mirrorError,
  quickTools,
  sample,
  samplePath,
  startFaultServer,
  status,
} from "./fault-server.ts";

let plain: FaultServer;
const tls = createServer(makePrivateCa("scheme", ["127.0.0.1"]).server, (_, response) => response.end("x"));
const tlsHost = () => `127.0.0.1:${(tls.address() as AddressInfo).port}`;

beforeAll(async () => {
  plain = await startFaultServer();
  await new Promise<void>((listening) => tls.listen(0, "127.0.0.1", listening));
});
afterAll(async () => {
  tls.closeAllConnections();
  tls.close();
  await plain.close();
});

async function askedAt(url: string, egress: Egress = directEgress) {
  const upstream = openUpstream(url, { egress, tools: quickTools() });
  try {
    return await mirrorError(upstream.mod(sample));
  } finally {
    await upstream.close();
  }
}

/** OpenSSL's own text: a number, `error:`, and names of its source files. */
const OPENSSL = /error:[0-9A-F]{8}|SSL routines|openssl/;

test("an https upstream that speaks plain http is named as it is configured, with what to give instead", async () => {
  const host = new URL(plain.url).host;
  const error = await askedAt(`https://some%40one:hush@${host}/go`);
  expect([error.class, error.ofHost]).toEqual(["transient", true]);
  expect(error.message).toBe(
    `example.com/Sample/mod@v1.2.3.mod: https://${host}/go does not answer in TLS; if it speaks plain http, give http://${host}/go instead`,
  );
});

test("an http upstream that speaks TLS, and cuts the line, is named with what to give instead", async () => {
  const { class: errorClass, message } = await askedAt(`http://${tlsHost()}/go`);
  expect([errorClass, message]).toEqual([
    "transient",
    expect.stringContaining(`if it speaks TLS, give https://${tlsHost()}/go instead`),
  ]);
});

test.each<[string, string]>([
  // net/http (Server.Serve), nginx (NGX_HTTP_TO_HTTPS) and Apache (mod_ssl) in their own words.
  ["Go", "Client sent an HTTP request to an HTTPS server.\n"],
  ["nginx", "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"],
  ["Apache", "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />"],
])("an http upstream that answers as %s does at a port of TLS is said to want https", async (_, text) => {
  const answer: Answer = status(400, text);
  plain.answers.set(`/go${samplePath}.mod`, answer);
  const error = await askedAt(`${plain.url}/go`);
  expect([error.class, error.ofHost]).toEqual(["transient", true]);
  expect(error.message).toContain(`${plain.url}/go wants https (400); give it as https:// instead`);
});

test("an https proxy that speaks plain http is named, not its upstream, and nothing of OpenSSL's is said", async () => {
  const host = new URL(plain.url).host;
  const { message } = await askedAt(
    "https://goproxy.corp.example",
    environmentEgress({ HTTPS_PROXY: `https://${host}` }),
  );
  expect(message).toContain(`the proxy https://${host} does not answer in TLS; if it speaks plain http`);
  expect(message).not.toMatch(OPENSSL);
});

test("an endpoint of a mirror that speaks the other one says so in a line of its own", async () => {
  const { host } = new URL(plain.url);
  const messageAt = async (url: string) => {
    const desk = new EndpointDesk(new URL(url), "token", directEgress, async () => {});
    return (await mirrorError(desk.report("ci/app/20260101T000000Z"))).message;
  };
  expect(await messageAt(`https://${host}/go`)).toBe(
    `the endpoint does not answer: https://${host} does not answer in TLS; if it speaks plain http, give http://${host} instead`,
  );
  expect(await messageAt(`http://${tlsHost()}`)).toContain(
    `if it speaks TLS, give https://${tlsHost()} instead`,
  );
});

test("what OpenSSL says of an AWS endpoint is not passed on", async () => {
  const { host } = new URL(plain.url);
  const thrown = await import("node:https").then(
    ({ request }) =>
      new Promise<unknown>((failed) => request(`https://${host}/bucket`).on("error", failed).end()),
  );
  // Else this test would be about nothing.
  expect(String(thrown)).toMatch(OPENSSL);
  expect(sdkError(thrown).message).toMatch(/^no TLS connection with the endpoint.* begin with http:\/\/$/);
});
