import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { trustAsGo, trustExtraCa } from "../../../adapters/egress/root-certificates.ts";
import { openUpstream } from "../../../adapters/upstream/open-upstream.ts";
import { MirrorError } from "../../../mirror/errors.ts";
import { describeWithGo } from "../../go-command.ts";
import { mirrorError, quickTools, sample } from "../upstream/fault-server.ts";
import { makePrivateCa } from "./private-ca.ts";

const ca = makePrivateCa("roots", ["127.0.0.1"]);
let folder: string;
let asked = 0;
const server = createServer(ca.server, (_, response) => {
  asked++;
  response.writeHead(404).end();
});
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "modferry-roots-"));
  mkdirSync(join(folder, "with"));
  mkdirSync(join(folder, "empty"));
  copyFileSync(ca.file, join(folder, "with", "corp.crt"));
  writeFileSync(
    join(folder, "garbage.pem"),
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  );
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});
const address = () => `https://127.0.0.1:${(server.address() as AddressInfo).port}`;

/** Whether we are let through to the server under these variables. */
async function weTrust(trust: () => void): Promise<boolean> {
  asked = 0;
  setDefaultCACertificates(getCACertificates("bundled"));
  trust();
  const upstream = openUpstream(address(), { tools: quickTools() });
  await mirrorError(upstream.mod(sample));
  await upstream.close();
  server.closeAllConnections();
  return asked > 0;
}

async function goTrusts(variables: Record<string, string>): Promise<boolean> {
  asked = 0;
  const env = {
    ...{ PATH: process.env.PATH ?? "", HOME: folder, GOPROXY: address(), GONOSUMDB: "*", GOFLAGS: "" },
    ...{ GOMODCACHE: join(folder, "cache"), GOENV: "off", GOTOOLCHAIN: "local" },
    ...variables,
  };
  await new Promise((ended) =>
    execFile("go", ["mod", "download", "example.com/x@v1.0.0"], { cwd: folder, env }, ended),
  );
  return asked > 0;
}

describeWithGo("a server's certificate is trusted where the go command trusts it", () => {
  test.each<[string, Record<string, string>, boolean]>([
    ["no variable", {}, false],
    ["SSL_CERT_FILE names the CA", { SSL_CERT_FILE: ca.file }, true],
    ["SSL_CERT_FILE is not there", { SSL_CERT_FILE: "/none.pem" }, false],
    ["SSL_CERT_FILE has nothing that is a certificate", { SSL_CERT_FILE: "garbage.pem" }, false],
    ["SSL_CERT_DIR has it in a file of any name", { SSL_CERT_DIR: "empty:with" }, true],
    ["SSL_CERT_DIR does not have it", { SSL_CERT_DIR: "empty" }, false],
    ["both are named, and one has it", { SSL_CERT_FILE: ca.file, SSL_CERT_DIR: "empty" }, true],
    ["SSL_CERT_FILE is empty", { SSL_CERT_FILE: "", SSL_CERT_DIR: "with" }, true],
  ])("%s", async (_, given, expected) => {
    const inFolder = (name: string) => (name === "" || name.startsWith("/") ? name : join(folder, name));
    const variables = Object.fromEntries(
      Object.entries(given).map(([name, value]) => [name, value.split(":").map(inFolder).join(":")]),
    );
    expect(await goTrusts(variables)).toBe(expected);
    expect(await weTrust(() => trustAsGo(variables))).toBe(expected);
  });
});

describe("a CA that the configuration names", () => {
  test("is trusted besides those that Node brings", async () => {
    expect(await weTrust(() => undefined)).toBe(false);
    expect(await weTrust(() => trustExtraCa(ca.file, "egress.extraCa"))).toBe(true);
    expect(getCACertificates("default").length).toBe(getCACertificates("bundled").length + 1);
  });
  test.each([
    ["is not there", () => join(folder, "none"), /^egress\.extraCa: .*ENOENT.*; name a PEM file/],
    ["is a folder", () => folder, /^egress\.extraCa: .*not a file; name/],
    ["has no end", () => "/dev/zero", /^egress\.extraCa: .*not a file; name/],
    ["is no PEM file", () => import.meta.filename, /no certificate in it/],
    ["has what is no certificate", () => join(folder, "garbage.pem"), /cannot be read/],
  ])("that %s is misuse", (_, file, message) => {
    const trust = () => trustExtraCa(file(), "egress.extraCa");
    expect(trust).toThrow(MirrorError);
    expect(trust).toThrow(message);
  });
});
