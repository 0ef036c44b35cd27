import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { choosePort } from "../../infra/local/free-port.ts";
import { localConfiguration, withoutSecrets } from "../../infra/local/local-configuration.ts";
import { moveState, portOfState } from "../../infra/local/state-port.ts";
import { workplaceIn } from "../../infra/local/workplace.ts";
import { rejectionOf } from "../contract/rejection.ts";

const START = resolve(import.meta.dirname, "../../infra/local/start.ts");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "modferry-start-"));
  mkdirSync(join(folder, "broken"));
  writeFileSync(join(folder, "broken", "go.mod"), "module example.com/m\n\nrequire x\n");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A PATH on which `go` is this script. */
function withGo(name: string, script: string): Record<string, string> {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "go"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(path, "go"), 0o755);
  return { PATH: `${path}:/usr/bin:/bin` };
}
const goSays = (version: string, goproxy: string) =>
  `echo '{"GOVERSION":"${version}","GOPROXY":"${goproxy}","GOCACHE":"/tmp"}'`;

/** `node infra/local/start.ts ARGS`, which must end by itself. */
function start(args: readonly string[], env: Record<string, string>) {
  return new Promise<{ code: number | null; stderr: string }>((done) => {
    const child = spawn(process.execPath, [START, ...args], {
      cwd: folder,
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("close", (code) => done({ code, stderr }));
  });
}

test.each([
  [["--frob"], /--frob.*takes a go\.mod, --embedded/],
  [["--port", "99999"], /--port 99999: give a port/],
  [["--port", "x"], /--port x: give a port/],
  [["--sumdb", "sum.example.com"], /--sumdb: .*NAME\+HASH\+KEY/],
  [["--folder="], /--folder: not a folder's name; give a path/],
  [["a/go.mod", "b/go.mod"], /b\/go\.mod: one go\.mod at a time/],
  [["main.go"], /main\.go: not named go\.mod/],
  [["missing/go.mod"], /missing\/go\.mod: no such file/],
  [["broken/go.mod"], /broken\/go\.mod:3: /],
])("npm start -- %j ends with one line and 2, before anything is brought up", async (args, line) => {
  const { code, stderr } = await start(
    args,
    withGo("go126", goSays("go1.26.8", "https://goproxy.example.com")),
  );
  expect([code, stderr]).toEqual([2, expect.stringMatching(line)]);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
});

test.each([
  ["exit 1", /go: `go env` fails: exit 1; Go 1\.21 or newer is needed: install Go/],
  [
    "echo 'go: downloading x' >&2; echo 'go: invalid GOTOOLCHAIN \"x\"' >&2; echo 'see help' >&2; exit 1",
    /go: `go env` fails: invalid GOTOOLCHAIN "x"; Go 1\.21/,
  ],
  ["echo nonsense", /go: `go env` fails: what it prints is no JSON; /],
  [goSays("go1.20.5", "x"), /go: this is go1\.20\.5, Go 1\.21 or newer is needed/],
])("a machine whose go says %j gets one line that mends it", async (script, line) => {
  const { code, stderr } = await start([], withGo("other", script));
  expect([code, stderr]).toEqual([2, expect.stringMatching(line)]);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
});

test("a machine without go gets one line that says so", async () => {
  mkdirSync(join(folder, "empty"), { recursive: true });
  const { code, stderr } = await start([], { PATH: join(folder, "empty") });
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/^modferry: go: there is no go command on PATH; .*\n$/),
  ]);
});

test("a port that is asked for and taken is one line; the usual one that is taken is replaced", async () => {
  const other = createServer();
  await new Promise<void>((listening) => other.listen(0, "127.0.0.1", listening));
  const { port } = other.address() as { port: number };
  const error = await rejectionOf(choosePort(port, port));
  expect([error.class, error.message]).toEqual(["misuse", expect.stringContaining(`--port ${port}: taken`)]);
  expect(await choosePort(undefined, port)).not.toBe(port);
  other.close();
});

test("data made on one port is found on another: the queues' URLs move with it", async () => {
  const place = workplaceIn(join(folder, "place"));
  mkdirSync(place.state, { recursive: true });
  await moveState(place, 4567);
  expect(await portOfState(place)).toBe(4567);
  const file = join(place.state, "sqs.json");
  writeFileSync(file, '{"url": "http://localhost:4567/000000000000/q", "other": "4567"}');
  await moveState(place, 4568);
  expect(readFileSync(file, "utf8")).toBe('{"url": "http://localhost:4568/000000000000/q", "other": "4567"}');
  expect(await portOfState(place)).toBe(4568);
});

test.each([
  "https://name:hunter2@goproxy.example.com",
  "https://hunter2@goproxy.example.com/go",
  "https://goproxy.example.com/?token=hunter2",
])("an upstream that comes with a secret is refused and never shown: %s", async (url) => {
  const error = await rejectionOf(Promise.resolve().then(() => withoutSecrets(url)));
  expect([error.class, error.message]).toEqual(["misuse", expect.stringContaining("--embedded")]);
  expect(error.message).not.toContain("hunter2");
  expect(withoutSecrets("https://goproxy.example.com/go")).toBe("https://goproxy.example.com/go");
  const other = await rejectionOf(Promise.resolve().then(() => withoutSecrets(url, "--sumdb")));
  expect(other.message).toMatch(/^--sumdb: /);
});

test("the generated configuration is one that infra/app.ts takes, for nobody's account", async () => {
  const file = join(folder, "configuration.ts");
  writeFileSync(file, localConfiguration({ url: "http://127.0.0.1:1/go" }, folder));
  const { default: configuration } = (await import(file)) as { default: unknown };
  expect(configuration).toMatchObject({
    name: "modferry",
    upstreams: [{ name: "upstream", url: "http://127.0.0.1:1/go" }],
    aws: { account: "000000000000", region: "us-east-1" },
  });
});
