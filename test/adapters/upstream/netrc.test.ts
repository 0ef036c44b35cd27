import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readNetrcFile } from "../../../adapters/local/netrc-file.ts";
import { openUpstream } from "../../../adapters/upstream/open-upstream.ts";
import { openSumdb } from "../../../adapters/upstream/sumdb-source.ts";
import { MirrorError } from "../../../mirror/errors.ts";
import { describeWithGo } from "../../go-command.ts";
import { mirrorError, ok, quickTools, sample, startFaultServer } from "./fault-server.ts";

let folder: string;
let server: Server;
let host: string;
/** What each request carried, by path. */
let sent: Map<string, string | undefined>;
/** Answers of paths; 404 elsewhere. */
let answers: Map<string, { status: number; headers?: Record<string, string>; body?: string }>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-netrc-"));
  const key = join(folder, "key.pem");
  const certificate = join(folder, "cert.pem");
  execFileSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
      ...["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", certificate],
    ],
    { stdio: "ignore" },
  );
  const cert = await readFile(certificate, "utf8");
  setDefaultCACertificates([...getCACertificates("bundled"), cert]);
  server = createServer({ key: await readFile(key), cert }, (request, response) => {
    const path = request.url ?? "";
    sent.set(path, request.headers.authorization);
    const { status, headers = {}, body = "" } = answers.get(path) ?? { status: 404 };
    response.writeHead(status, headers).end(body);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  sent = new Map();
  answers = new Map();
});

const basic = (pair: string) => `Basic ${Buffer.from(pair).toString("base64")}`;
const modPath = "/example.com/%21sample/mod/@v/v1.2.3.mod";

async function netrcOf(text: string): Promise<NodeJS.ProcessEnv> {
  const file = join(folder, "netrc");
  await writeFile(file, text);
  return { NETRC: file };
}

/** The Authorization of our request for the sample's go.mod. */
async function ourHeader(address: string, environment: NodeJS.ProcessEnv): Promise<string | undefined> {
  const upstream = openUpstream(address, { tools: quickTools(), netrc: await readNetrcFile(environment) });
  await mirrorError(upstream.mod(sample));
  await upstream.close();
  return [...sent].find(([path]) => path.endsWith(".mod"))?.[1];
}

describeWithGo("an upstream gets the credentials that the go command sends it", () => {
  test.each<[string, (host: string) => string, string, NodeJS.ProcessEnv?]>([
    ["of its host and port", (at) => `machine ${at} login u password p`, ""],
    ["of nobody else", () => "machine 127.0.0.1 login u password p", ""],
    ["of its path", (at) => `machine ${at} login u password p\nmachine ${at}/go login v password q`, "/go"],
    ["of the module's path", (at) => `machine ${at}/example.com/%21sample login u password p`, ""],
    ["of the first of two", (at) => `machine ${at} login u password p\nmachine ${at} login v password q`, ""],
    ["none behind default", (at) => `default\nmachine ${at} login u password p`, ""],
    ["none with GOAUTH=off", (at) => `machine ${at} login u password p`, "", { GOAUTH: "off" }],
    ["with GOAUTH=netrc", (at) => `machine ${at} login u password p`, "", { GOAUTH: "netrc" }],
    ["of its user-info, if it has any", (at) => `machine ${at} login u password p`, "x:y@"],
  ])("%s", async (_, file, prefix, more = {}) => {
    const environment = { ...(await netrcOf(file(host))), ...more };
    const address = prefix.endsWith("@") ? `https://${prefix}${host}` : `https://${host}${prefix}`;
    const cache = await mkdtemp(join(folder, "cache-"));
    await promisify(execFile)("go", ["mod", "download", `${sample.path}@${sample.version}`], {
      cwd: cache,
      env: {
        ...process.env,
        ...environment,
        GOPROXY: address,
        GOSUMDB: "off",
        GOMODCACHE: cache,
        GOFLAGS: "-modcacherw",
        SSL_CERT_FILE: join(folder, "cert.pem"),
      },
    }).catch(() => {});
    const info = [...sent].find(([path]) => path.endsWith(".info"));
    expect(info).toBeDefined();
    sent.clear();
    expect(await ourHeader(address, environment)).toBe(info?.[1]);
  });
});

describe("credentials of the netrc", () => {
  test("go to a redirect on the same origin, and to no other host", async () => {
    const environment = await netrcOf(
      `machine ${host} login u password p\nmachine localhost login v password q`,
    );
    const upstream = openUpstream(`https://${host}`, {
      tools: quickTools(),
      netrc: await readNetrcFile(environment),
    });
    answers.set(modPath, { status: 302, headers: { location: "/there" } });
    answers.set("/there", {
      status: 302,
      headers: { location: `https://localhost:${host.split(":")[1]}/other` },
    });
    answers.set("/other", { status: 200, body: "module x\n" });
    await upstream.mod(sample);
    expect([...sent]).toEqual([
      [modPath, basic("u:p")],
      ["/there", basic("u:p")],
      ["/other", undefined],
    ]);
    await upstream.close();
  });

  test("go to a checksum database at its own address too", async () => {
    const netrc = await readNetrcFile(await netrcOf(`machine ${host} login u password p`));
    const database = openSumdb(`https://${host}/db`, "sum.example.com", { tools: quickTools(), netrc });
    await mirrorError(database.latest());
    expect(sent.get("/db/latest")).toBe(basic("u:p"));
    await database.close();
  });

  test("are not sent over plain http, on loopback neither: go does not", async () => {
    const plain = await startFaultServer(ok("module x\n"));
    const at = new URL(plain.url).host;
    const netrc = await readNetrcFile(await netrcOf(`machine ${at} login u password p`));
    const upstream = openUpstream(plain.url, { netrc });
    await upstream.mod(sample);
    expect(plain.headers[0]?.authorization).toBeUndefined();
    await Promise.all([upstream.close(), plain.close()]);
  });

  test("are in no error, though the server sends back what it was sent", async () => {
    const environment = await netrcOf(`machine ${host} login someone password hush-hush`);
    const token = basic("someone:hush-hush").slice(6);
    for (const echo of ["hush-hush", token]) {
      answers.set(modPath, {
        status: 401,
        headers: { "content-type": "text/plain" },
        body: `denied: ${echo}`,
      });
      const upstream = openUpstream(`https://${host}`, {
        tools: quickTools(),
        netrc: await readNetrcFile(environment),
      });
      const error = await mirrorError(upstream.mod(sample));
      expect(error.class).toBe("unauthorized");
      expect(error.message).toMatch(/wants other credentials \(401\); check .* the netrc$/);
      await upstream.close();
    }
  });
});

describeWithGo("the netrc file, with a go command", () => {
  test("is none where `go env -w` has set GOAUTH=off; the variable goes before it", async () => {
    const NETRC = join(folder, "netrc-w");
    await writeFile(NETRC, "machine home login u password p");
    const GOENV = join(folder, "goenv");
    const environment = { PATH: process.env.PATH ?? "", HOME: folder, NETRC, GOENV };
    expect((await readNetrcFile(environment)).lookup("home")).toBeDefined();
    await promisify(execFile)("go", ["env", "-w", "GOAUTH=off"], { env: environment });
    expect((await readNetrcFile(environment)).lookup("home")).toBeUndefined();
    expect((await readNetrcFile({ ...environment, GOAUTH: "netrc" })).lookup("home")).toBeDefined();
  });
});

describe("the netrc file", () => {
  test("is NETRC, else .netrc at home; one that is not there, or a folder, is an empty one", async () => {
    await writeFile(join(folder, ".netrc"), "machine home login u password p");
    expect((await readNetrcFile({ HOME: folder })).lookup("home")).toBeDefined();
    expect((await readNetrcFile({ HOME: folder, NETRC: "" })).lookup("home")).toBeDefined();
    expect((await readNetrcFile({ HOME: folder, GOAUTH: "off" })).lookup("home")).toBeUndefined();
    expect((await readNetrcFile({ HOME: folder, GOAUTH: "git /x; netrc" })).lookup("home")).toBeDefined();
    for (const NETRC of [join(folder, "none"), folder, "/dev/null"]) {
      expect((await readNetrcFile({ HOME: folder, NETRC })).lookup("home")).toBeUndefined();
    }
  });

  test("that has no end is misuse, and none of it is told", async () => {
    const read = readNetrcFile({ NETRC: "/dev/zero" });
    await expect(read).rejects.toThrow(MirrorError);
    await expect(read).rejects.toThrow(
      /^\/dev\/zero: larger than the 1048576 bytes that a netrc may have; name another/,
    );
  });
});
