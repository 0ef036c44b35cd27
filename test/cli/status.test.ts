import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FolderMirror, openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import { supportedKey } from "../../mirror/tree-keys.ts";
import {
  type CommandRun,
  ended,
  firstLine,
  modferry,
  serveMirror,
  spawnModferry,
} from "../e2e/modferry-command.ts";
import { describeWithOracle } from "../go-command.ts";
import { prometheusOracle, type ReadPage } from "../mirror/prometheus-oracle.ts";
import { MINUTE, NOW, plantRecord } from "../mirror/records-in-states.ts";
import { misuseOf } from "./misused.ts";
import { rawRequest } from "./raw-http.ts";

const TIMEOUT = 120_000;
const LATER = Date.UTC(2099, 0, 1);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-status-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A mirror with versions in some states, and no conflict. */
async function planted(name: string): Promise<{ address: string; mirror: FolderMirror }> {
  const address = join(folder, name);
  const mirror = await openFolderMirror(address, { mode: "write" });
  const lastError = {
    class: "transient",
    message: "example.com/failed@v1.0.0: no answer\n\u001b[2J",
  } as const;
  await plantRecord(mirror.ledger, "FAILED", "example.com/failed", 5, { due: LATER, attempts: 2, lastError });
  await plantRecord(mirror.ledger, "WITHHELD", "example.com/withheld", 90, { due: LATER, attempts: 1 });
  for (let at = 0; at < 25; at++) await plantRecord(mirror.ledger, "GONE", `example.com/gone${at}`, at + 1);
  const supported = Buffer.from("");
  await mirror.tree.create(supportedKey("sum.example.org"), supported, sha256Of(supported));
  return { address, mirror };
}

describeWithOracle("modferry status", () => {
  let read: (page: string) => ReadPage;
  beforeAll(() => {
    read = prometheusOracle();
  }, 300_000);

  test(
    "tells people, while another process writes, what is not served, why, and when it is tried next",
    async () => {
      const { address, mirror } = await planted("people");
      // Still the writer.
      const { code, stdout, stderr } = await modferry(["status", "--mirror", address]);
      await mirror.close();
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const lines = stdout.trimEnd().split("\n");
      expect(lines[0]).toMatch(/^versions: 1 FAILED \(wanted since .+\), 1 WITHHELD \(.+\), 25 GONE/);
      expect(lines.slice(1)).toEqual([
        "  example.com/failed@v1.0.0    FAILED transient  no answer [2J (next try 2099-01-01T00:00:00Z, after 2)",
        "  example.com/withheld@v1.0.0  WITHHELD           (next try 2099-01-01T00:00:00Z, after 1)",
      ]);
    },
    TIMEOUT,
  );

  test(
    "names the states that are asked for, so many of each, and says how many more there are",
    async () => {
      const { address, mirror } = await planted("asked");
      await mirror.close();
      const run = await modferry(["status", "--mirror", address, "--state", "gone", "--limit", "2"]);
      expect(run.stdout.split("\n").slice(1)).toEqual([
        "  example.com/gone24@v1.0.0  GONE",
        "  example.com/gone23@v1.0.0  GONE",
        "  and 23 more GONE: --state GONE --limit 25",
        "",
      ]);
    },
    TIMEOUT,
  );

  test(
    "ends with 1 where a person is needed, and says the same in JSON as the endpoint's page",
    async () => {
      const { address, mirror } = await planted("person");
      await plantRecord(mirror.ledger, "CONFLICT", "example.com/conflict", 1);
      const evidence = sha256Of(Buffer.from("fork"));
      await mirror.ledger.writeStop({ database: "sum.example.org", at: NOW, evidence });
      await mirror.close();
      const { code, stdout } = await modferry(["status", "--mirror", address, "--json"]);
      expect(code).toBe(1);
      expect(stdout).toMatch(/^\{[\x20-\x7e]+\}\n$/);
      const served = await serveMirror(address);
      try {
        const page = await rawRequest(served.url, "/-/status");
        expect([page.status, page.headers["content-type"]]).toEqual([200, "application/json"]);
        const { at: _a, ...told } = JSON.parse(page.body.toString());
        const { at: _b, ...printed } = JSON.parse(stdout);
        expect(told).toEqual(printed);
        expect(told).toMatchObject({
          format: 1,
          databases: [{ database: "sum.example.org", stopped: { at: "2026-11-23T09:30:00.000Z", evidence } }],
        });
        const metrics = await rawRequest(served.url, "/-/metrics");
        expect(metrics.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
        expect(metrics.body.toString()).toContain('\nmodferry_versions{state="GONE"} 25\n');
        expect(metrics.body.toString()).toContain('\nmodferry_sumdb_stopped{database="sum.example.org"} 1\n');
        for (const path of ["/example.com/none/@v/list", "/%zz", "/index.html"])
          await rawRequest(served.url, path);
        const later = read((await rawRequest(served.url, "/-/metrics")).body.toString());
        expect(later).toMatchObject({ error: "", problems: [] });
        expect(later.families.modferry_http_requests_total?.samples).toEqual(
          expect.arrayContaining([
            { labels: { kind: "own", code: "200" }, value: 2 },
            { labels: { kind: "list", code: "404" }, value: 1 },
            { labels: { kind: "other", code: "400" }, value: 1 },
            { labels: { kind: "other", code: "404" }, value: 1 },
          ]),
        );
        expect(later.families.modferry_http_request_duration_seconds?.type).toBe("HISTOGRAM");
      } finally {
        await served.stop();
      }
    },
    TIMEOUT,
  );

  test.each([
    [["status", "--state", "READY"], /^--state READY: give one of CONFLICT, /],
    [["sync", "--metrics", "metrics.txt"], /^--metrics metrics.txt: name a file that ends in \.prom/],
    [["sync", "--log", "xml"], /^--log xml: give one of json/],
    [["status", "--limit", "0"], /^--limit 0: give a number from 1 to 10000/],
    [["status", "--limit", "1e3"], /^--limit 1e3: /],
    [["pause", "--until", "2h"], /^--reason: not given/],
    [["pause", "--reason", "x"], /^--until: not given/],
    [["pause", "--until", "2020-01-01T00:00:00Z", "--reason", "x"], /is over already/],
    [["pause", "--until", "2099-01-01T00:00:00Z", "--reason", "x"], /more than 30 days/],
    [["pause", "--until", "2026-01-01", "--reason", "x"], /no time; give a time with its zone/],
    [["retry", "a b"], /^a b: give module@version, or a pattern/],
    [["retry", "example.com/a", "example.com/b"], /takes one pattern/],
  ])(
    "%j is refused with a line that says what would be right",
    async (args, line) => {
      const { address, mirror } = await planted(`misuse-${args.join("-").replaceAll(/[^a-z0-9]/gi, "")}`);
      await mirror.close();
      expect(await misuseOf([...args, "--mirror", address], { cwd: folder })).toMatch(line);
    },
    TIMEOUT,
  );
});

describe("modferry pause, resume and retry", () => {
  test(
    "a pause is shown with who, why and until when; resume ends it",
    async () => {
      const { address, mirror } = await planted("paused");
      await mirror.close();
      const run = (...args: string[]): Promise<CommandRun> => modferry([...args, "--mirror", address]);
      const asked = Date.now();
      expect((await run("pause", "--until", "2h", "--reason", "a new disk")).code).toBe(0);
      const { pause } = JSON.parse((await run("status", "--json")).stdout);
      expect(pause).toMatchObject({ reason: "a new disk", by: expect.stringMatching(/^.+@.+$/) });
      const lasts = Date.parse(pause.until) - asked;
      expect(lasts).toBeGreaterThanOrEqual(120 * MINUTE);
      expect(lasts).toBeLessThan(125 * MINUTE);
      expect((await run("status")).stdout).toMatch(/^paused until .* by .*@.*: a new disk\n/);
      expect((await run("resume")).stderr).toBe("goes on\n");
      expect(JSON.parse((await run("status", "--json")).stdout).pause).toBeUndefined();
      expect((await run("resume")).stderr).toBe("was not paused\n");
    },
    TIMEOUT,
  );

  test(
    "retry makes due what a pattern means, and says how much that is",
    async () => {
      const { address, mirror } = await planted("retried");
      await mirror.close();
      const { code, stdout } = await modferry(["retry", "example.com/failed", "--json", "--mirror", address]);
      expect([code, JSON.parse(stdout)]).toEqual([
        0,
        { event: "retried", versions: 1, requests: 0, conflicts: 0 },
      ]);
      const after = await openFolderMirror(address, { mode: "read" });
      const [failed, withheld] = await after.ledger.read([
        moduleVersion("example.com/failed", "v1.0.0"),
        moduleVersion("example.com/withheld", "v1.0.0"),
      ]);
      await after.close();
      expect(failed?.due).toBeLessThanOrEqual(Date.now());
      expect(withheld?.due).toBe(LATER);
    },
    TIMEOUT,
  );
});

describe("modferry serve --log json", () => {
  test(
    "writes a line of ECS for each answer, under the client's trace, and nothing a client sends forges one",
    async () => {
      const { address, mirror } = await planted("logged");
      await mirror.close();
      const child = spawnModferry(["serve", "--mirror", address, "--listen", "127.0.0.1:0", "--log", "json"]);
      const run = ended(child);
      run.catch(() => {});
      const first = await firstLine(child);
      const url = first.trim().replace(/^export GOPROXY=/, "");
      const trace = "0af7651916cd43dd8448eb211c80319c";
      const headers = { traceparent: `00-${trace}-b7ad6b7169203331-01` };
      await rawRequest(url, "/-/healthz?token=secret", { headers });
      await rawRequest(url, '/x%0A%7B"event":{"action":"forked"}}%E2%80%A8', {
        headers: { traceparent: "x" },
      });
      await rawRequest(url, "/-/healthz", { method: "POST" });
      child.kill("SIGINT");
      const { stderr } = await run;
      const lines = stderr
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      expect(
        lines.map(({ url: asked, http }) => [asked.path, http.request.method, http.response.status_code]),
      ).toEqual([
        ["/-/healthz", "GET", 200],
        ['/x%0A%7B"event":{"action":"forked"}}%E2%80%A8', "GET", 404],
        ["/-/healthz", "POST", 405],
      ]);
      expect(lines[0]).toMatchObject({
        message: "request is answered",
        event: { action: "answered", dataset: "modferry.serve", duration: expect.any(Number) },
        trace: { id: trace },
        http: { response: { body: { bytes: 3 } } },
        client: { address: "127.0.0.1" },
      });
      expect(lines[1].trace.id).toMatch(/^[0-9a-f]{32}$/);
      expect(lines[1].trace.id).not.toBe(trace);
      expect(stderr).not.toContain("secret");
    },
    TIMEOUT,
  );
});
