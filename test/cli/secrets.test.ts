import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CommandOptions, modferry } from "../e2e/modferry-command.ts";

const VKEY = "sumdb.example.test+10968c75+AZBv9m6MKyyc9YuOdh2zQI9j0V6EAqgb36PAYuNV1HCX";
const PASSWORD = "s3cretpassword";
const TIMEOUT = 120_000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "modferry-cli-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a password", () => {
  test.each<[string, string[], CommandOptions]>([
    ["in an upstream that refuses", ["sync", "example.com/a@v1.0.0", "--upstream", "URL"], {}],
    ["in an upstream, with NDJSON", ["sync", "example.com/a@v1.0.0", "--json", "--upstream", "URL"], {}],
    ["in GOPROXY", ["sync", "example.com/a@v1.0.0"], { env: { GOPROXY: "URL" } }],
    [
      "in an upstream over plain http",
      ["sync", "example.com/a@v1.0.0", "--upstream", `http://u:${PASSWORD}@192.0.2.1/`],
      {},
    ],
    [
      "in an upstream of no known kind",
      ["sync", "example.com/a@v1.0.0", "--upstream", `ftp://u:${PASSWORD}@h/`],
      {},
    ],
    [
      "in an upstream that does not parse",
      ["sync", "example.com/a@v1.0.0", "--upstream", `http://u:${PASSWORD}@h:port/`],
      {},
    ],
    ["in a mirror's address", ["sync", "example.com/a@v1.0.0", "--mirror", `https://u:${PASSWORD}@h/`], {}],
    [
      "in a database's address",
      ["sync", "example.com/a@v1.0.0", "--sumdb", `${VKEY} ftp://u:${PASSWORD}@h/`],
      {},
    ],
    ["in a URL given as wish", ["sync", `https://u:${PASSWORD}@h/x`], {}],
    ["in a URL given as wish of closure", ["closure", `https://u:${PASSWORD}@h/go.mod`], {}],
  ])(
    "%s is in no output",
    async (_what, args, options) => {
      // An upstream that wants other credentials, and says what it was sent.
      const server = createServer((request, response) => {
        const sent = Buffer.from(String(request.headers.authorization).replace(/^Basic /, ""), "base64");
        response.writeHead(401, { "content-type": "text/plain" }).end(`denied: ${sent}\n`);
      });
      await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
      const url = `http://user:${PASSWORD}@127.0.0.1:${(server.address() as AddressInfo).port}/`;
      const env = Object.fromEntries(Object.entries(options.env ?? {}).map(([name]) => [name, url]));
      const here = await mkdtemp(join(folder, "secret-"));
      const run = await modferry(
        args.map((arg) => (arg === "URL" ? url : arg)),
        { cwd: here, env },
      );
      expect([1, 2]).toContain(run.code);
      expect(run.stderr + run.stdout).not.toBe("");
      expect(run.stderr + run.stdout).not.toContain(PASSWORD);
      expect(run.stderr + run.stdout).not.toContain(Buffer.from(`user:${PASSWORD}`).toString("base64"));
      server.close();
    },
    TIMEOUT,
  );
});
