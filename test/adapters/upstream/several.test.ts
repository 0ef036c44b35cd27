import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MemoryLedger } from "../../../adapters/local/memory-ledger.ts";
import { MemoryTree } from "../../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../../adapters/local/memory-vault.ts";
import { openUpstream } from "../../../adapters/upstream/open-upstream.ts";
import { openSources, type UpstreamEntry } from "../../../adapters/upstream/sources.ts";
import { upstreamToken } from "../../../adapters/upstream/upstream-token.ts";
import { upstreamEntries, upstreamsShape } from "../../../adapters/upstream/upstreams-shape.ts";
import { modulePath } from "../../../gomod/module-path.ts";
import { moduleVersion } from "../../../gomod/version.ts";
import type { MirrorEvent } from "../../../mirror/events.ts";
import { stoppedUpstreams } from "../../../mirror/upstream-stop.ts";
import { PUBLIC_DATABASE_KEY } from "../../../sumdb/known-databases.ts";
import { parseVerifierKey } from "../../../sumdb/note.ts";
import {
  type FaultServer,
  mirrorError,
  ok,
  quickTools,
  sample,
  samplePath,
  startFaultServer,
  status,
} from "./fault-server.ts";

let corp: FaultServer;
let rest: FaultServer;
let ledger: MemoryLedger;
let events: MirrorEvent[];
const closing: (() => Promise<void>)[] = [];
beforeEach(async () => {
  corp = await startFaultServer(ok("module corp\n"));
  rest = await startFaultServer(ok("module rest\n"));
  ledger = new MemoryLedger();
  events = [];
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await corp.close();
  await rest.close();
});

const verifier = parseVerifierKey(PUBLIC_DATABASE_KEY);
const version = (path: string) => moduleVersion(path, "v1.0.0");

/** As one process would open them. */
function open(url: string | readonly UpstreamEntry[], more: { probe?: "at once"; sumdb?: string } = {}) {
  const { sumdb, ...options } = more;
  const sources = openSources({
    url,
    sumdbs: [{ verifier, url: undefined, modules: undefined, ...(sumdb && { upstream: sumdb }) }],
    noSumdb: "",
    spool: async () => Promise.reject(new Error("nothing is spooled here")),
    tree: new MemoryTree(),
    vault: new MemoryVault(),
    ledger,
    report: (event) => events.push(event),
    owner: "test",
    ...options,
  });
  closing.push(() => sources.close());
  return sources;
}

const both = (): UpstreamEntry[] => [
  { name: "general", url: `${rest.url}/all`, modules: undefined },
  { name: "corp", url: `${corp.url}/go`, modules: "corp.example,*.corp.example" },
  { name: "late", url: rest.url, modules: "corp.example/late" },
];

describe("several upstreams", () => {
  test("are each asked for their own modules, the first that matches, and told no other's name", async () => {
    const { upstream } = open(both());
    const modOf = async (path: string) => Buffer.from(await upstream.mod(version(path))).toString();
    expect(await modOf("corp.example/late/x")).toBe("module corp\n");
    expect(await modOf("git.corp.example/x")).toBe("module corp\n");
    expect(await modOf("example.com/x")).toBe("module rest\n");
    await upstream.list(modulePath("corp.example/y"));
    await upstream.latest(modulePath("xcorp.example/y"));
    expect(corp.asked).toEqual([
      "/go/corp.example/late/x/@v/v1.0.0.mod",
      "/go/git.corp.example/x/@v/v1.0.0.mod",
      "/go/corp.example/y/@v/list",
    ]);
    expect(rest.asked).toEqual(["/all/example.com/x/@v/v1.0.0.mod", "/all/xcorp.example/y/@latest"]);
  });

  test("of which none is for a module say so, with the module and the field", async () => {
    const { upstream } = open(both().slice(1));
    const error = await mirrorError(upstream.zip(version("example.com/x")));
    expect([error.class, error.message]).toEqual([
      "withheld",
      "example.com/x: no upstream is named for this module; add it to the `modules` of one of `upstreams`, or name one without `modules`",
    ]);
    expect([...corp.asked, ...rest.asked]).toEqual([]);
  });

  test("ask a checksum database through the general one, or the one that the configuration names", async () => {
    await open(both()).upstream.sumdb(verifier.name).latest();
    expect(rest.asked).toEqual([`/all/sumdb/${verifier.name}/latest`]);
    const [database] = open(both(), { sumdb: "corp" }).databases;
    await mirrorError(Promise.resolve(database?.advance()));
    expect(corp.asked[0]).toBe(`/go/sumdb/${verifier.name}/latest`);
    expect(() => open(both(), { sumdb: "crop" })).toThrow(
      'sumdb.upstream: "crop": no upstream of that name; there are general, corp, late',
    );
  });

  test("each send their own token, which goes to no other host and comes back in no message", async () => {
    const [general, own] = both() as [UpstreamEntry, UpstreamEntry];
    const token = upstreamToken("corp-token", "bearer", async () => "tok-en\n");
    const login = upstreamToken("rest-login", "basic", async () => "ann:hush");
    const { upstream } = open([
      { ...general, token: login },
      { ...own, token },
    ]);
    corp.answers.set("/go/corp.example/x/@v/v1.0.0.mod", status(302, "", { location: `${rest.url}/object` }));
    await upstream.mod(version("corp.example/x"));
    await upstream.mod(version("example.com/x"));
    expect(corp.headers[0]?.authorization).toBe("Bearer tok-en");
    expect(rest.headers.map(({ authorization }) => authorization)).toEqual([
      undefined,
      `Basic ${Buffer.from("ann:hush").toString("base64")}`,
    ]);
    const echo = status(404, "denied: tok-en", { "content-type": "text/plain" });
    corp.answers.set("/go/corp.example/y/@v/v1.0.0.mod", echo);
    expect((await mirrorError(upstream.mod(version("corp.example/y")))).message).not.toContain("tok-en");
  });
});

describe("a token", () => {
  test("is read once in five minutes, and again at once where it could not be read", async () => {
    let now = 0;
    const values = ["one", new Error("no answer"), "two", "three"];
    let reads = 0;
    const read = async () => {
      const value = values[reads++] ?? "";
      if (value instanceof Error) throw value;
      return value;
    };
    const token = upstreamToken("t", "bearer", read, () => now);
    expect([await token.authorization(), await token.authorization()]).toEqual(["Bearer one", "Bearer one"]);
    now = 300_001;
    await expect(token.authorization()).rejects.toThrow("no answer");
    expect(await token.authorization()).toBe("Bearer two");
    expect(reads).toBe(3);
  });
  test.each([
    ["", "bearer"],
    ["two\nlines", "bearer"],
    ["x".repeat(20_000), "bearer"],
    ["no colon", "basic"],
  ] as const)("%j as %s is refused, and not shown", async (value, as) => {
    const error = await mirrorError(upstreamToken("t", as, async () => value).authorization());
    expect([error.class, error.message.length < 200]).toEqual(["unauthorized", true]);
    if (value !== "") expect(error.message).not.toContain(value);
  });
});

describe("the upstreams of a configuration", () => {
  const good = { name: "corp", url: "https://goproxy.corp.example/api/go", modules: ["corp.example"] };
  test.each<[string, unknown, string | undefined]>([
    ["one", [good], undefined],
    ["a token by secret", [{ ...good, token: { secret: "s", as: "basic" }, rate: 5 }], undefined],
    ["two with one name", [good, { ...good }], "1.name: corp is there twice"],
    [
      "two that take the rest",
      [
        { name: "a", url: "https://a" },
        { name: "b", url: "https://b" },
      ],
      "1.modules: left out",
    ],
    [
      "a token over plain http",
      [{ ...good, url: "http://goproxy.corp.example", token: { env: "T" } }],
      "0.url: would get",
    ],
    ["a token of two places", [{ ...good, token: { env: "T", secret: "s" } }], "0.token: name either"],
    ["a password", [{ ...good, url: "https://u:hush@h" }], "0.url: must not hold"],
    ["a pattern that is none", [{ ...good, modules: ["a,b"] }], "0.modules.0: give a pattern"],
    ["none", [], ": Too small"],
    ["a misspelt field", [{ ...good, tokn: {} }], "0: Unrecognized"],
  ])("%s", (_, value, problem) => {
    const parsed = upstreamsShape.safeParse(value);
    const [issue] = parsed.error?.issues ?? [];
    if (problem === undefined) expect(issue).toBeUndefined();
    else expect(`${issue?.path.join(".")}: ${issue?.message}`).toContain(problem);
    expect(JSON.stringify(issue ?? "")).not.toContain("hush");
  });
  test("read their tokens where they lie, and say which cannot be read here", async () => {
    const parse = (token: object) => upstreamsShape.parse([{ ...good, token }]);
    const [entry] = upstreamEntries(parse({ secret: "s" }), { secret: async (name) => `value-of-${name}` });
    expect(await entry?.token?.authorization()).toBe("Bearer value-of-s");
    const [desk] = upstreamEntries(parse({ env: "T", as: "basic" }), { variables: { T: "ann:hush" } });
    expect(await desk?.token?.authorization()).toBe(`Basic ${Buffer.from("ann:hush").toString("base64")}`);
    expect(() => upstreamEntries(parse({ env: "T" }), { variables: {} })).toThrow(
      "upstreams.0.token.env: T is not set",
    );
    expect(() => upstreamEntries(parse({ secret: "s" }), {})).toThrow(
      "upstreams.0.token.secret: there is no Secrets",
    );
  });
});

describe("an upstream that refuses us, asked by several processes", () => {
  const other = version("example.com/other");
  test("with 401 is asked once by all of them, until a run that is started for it finds it mended", async () => {
    corp.answers.set("/example.com/other/@v/v1.0.0.mod", status(401));
    const [one, two] = [open(corp.url), open(corp.url)];
    expect((await mirrorError(one.upstream.mod(other))).class).toBe("stopped");
    for (const { upstream } of [one, two, two]) {
      const error = await mirrorError(upstream.mod(sample));
      expect([error.class, error.message]).toEqual([
        "stopped",
        expect.stringContaining("wants other credentials (401)"),
      ]);
    }
    expect(corp.asked).toHaveLength(1);
    expect(events.map(({ event }) => event)).toEqual(["upstream-stopped", "upstream-stopped"]);
    corp.answers.clear();
    const desk = open(corp.url, { probe: "at once" });
    await Promise.all(Array.from({ length: 10 }, () => desk.upstream.mod(other)));
    expect(await stoppedUpstreams(ledger)).toEqual([]);
    expect(corp.asked).toHaveLength(11);
  });

  test("with 403 on everything that it served before is stopped; with 403 on one module it is not", async () => {
    const { upstream } = open(corp.url);
    await upstream.mod(other);
    corp.answers.set(`${samplePath}.mod`, status(403));
    expect((await mirrorError(upstream.mod(sample))).class).toBe("withheld");
    expect(await stoppedUpstreams(ledger)).toEqual([]);
    const later = open(corp.url).upstream;
    await later.mod(other);
    corp.answers.set("/example.com/other/@v/v1.0.0.mod", status(403));
    corp.answers.set(`/sumdb/${verifier.name}/latest`, status(403));
    expect((await mirrorError(later.mod(sample))).class).toBe("stopped");
    expect(await stoppedUpstreams(ledger)).toHaveLength(1);
    const asked = corp.asked.length;
    expect((await mirrorError(later.mod(other))).class).toBe("stopped");
    expect(corp.asked).toHaveLength(asked);
  });

  test("with 429 is asked at half of its rate by all", async () => {
    corp.answers.set(`${samplePath}.mod`, status(429, "", { "retry-after": "86400" }));
    const error = await mirrorError(
      open([{ ...(both()[1] as UpstreamEntry), url: corp.url, modules: undefined }]).upstream.mod(sample),
    );
    expect([error.class, error.retryAfter]).toEqual(["transient", 86_400_000]);
    const host = new URL(corp.url).host;
    expect((await ledger.readItem("upstream", host))?.value).toMatchObject({ share: 0.5 });
    const waiting = await mirrorError(open(corp.url).upstream.mod(other));
    expect([waiting.class, (waiting.retryAfter ?? 0) > 3_000_000]).toEqual(["transient", true]);
    expect(corp.asked).toHaveLength(1);
  });
});

describe("a host that cannot be reached", () => {
  test("is waited for once by what is asked one after the other, and found again by the first that gets through", async () => {
    await corp.close();
    const waits: number[] = [];
    const upstream = openUpstream(corp.url, { tools: quickTools(waits) });
    closing.push(() => upstream.close());
    for (let phase = 0; phase < 3; phase++)
      expect((await mirrorError(upstream.mod(sample))).message).toContain("refuses connections");
    expect(waits).toEqual([1000, 3000, 9000]);
    const { createServer } = await import("node:http");
    const server = createServer((_, response) => response.end("module x\n"));
    await new Promise<void>((listening) =>
      server.listen(Number(new URL(corp.url).port), "127.0.0.1", listening),
    );
    await upstream.mod(sample);
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
    await mirrorError(upstream.mod(sample));
    expect(waits).toEqual([1000, 3000, 9000, 1000, 3000, 9000]);
    corp = await startFaultServer();
  });

  test("is tried as often as ever where it was only gone for a moment", async () => {
    const port = Number(new URL(corp.url).port);
    await corp.close();
    const { createServer } = await import("node:http");
    const server = createServer((_, response) => response.end("module x\n"));
    const tools = {
      ...quickTools(),
      sleep: async () => {
        if (!server.listening)
          await new Promise<void>((listening) => server.listen(port, "127.0.0.1", listening));
      },
    };
    const upstream = openUpstream(corp.url, { tools });
    await upstream.mod(sample);
    await upstream.close();
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
    corp = await startFaultServer();
  });
});
