import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findEndpoint } from "../../infra/local/endpoint.ts";
import { findPython } from "../../infra/local/python.ts";
import { rejectionOf } from "../contract/rejection.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "modferry-python-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A PATH with these commands only, each a script that prints a line or fails. */
function pathWith(name: string, commands: Record<string, string>): NodeJS.ProcessEnv {
  const path = mkdtempSync(join(folder, `${name}-`));
  for (const [command, script] of Object.entries(commands)) {
    writeFileSync(join(path, command), `#!/bin/sh\n${script}\n`);
    chmodSync(join(path, command), 0o755);
  }
  return { PATH: path };
}

test.each([
  ["python3", { python3: "echo 3.10 yes" }],
  ["python3.12", { python3: "echo 3.9 yes", "python3.12": "echo 3.12 yes" }],
  ["python3.11", { python3: "echo 3.13 no", "python3.12": "exit 127", "python3.11": "echo 3.11 yes" }],
])("%s is chosen where it is the first that fits", async (expected, commands) => {
  expect(await findPython(pathWith("fits", commands))).toBe(expected);
});

test.each([
  ["none on PATH", {}],
  ["python3 is 3.9", { python3: "echo 3.9 yes" }],
  ["python3 is 3.13 without venv", { python3: "echo 3.13 no" }],
  ["none on PATH", { python3: "echo what" }],
  ["none on PATH", { python3: "exit 1" }],
])("%s: one line that names the Debian package", async (problem, commands) => {
  const error = await rejectionOf(findPython(pathWith("lacks", commands)));
  expect(error.class).toBe("misuse");
  expect(error.message).toContain(problem);
  expect(error.message).toMatch(/apt-get install .*python3-venv/);
});

test("AWS_ENDPOINT_URL is taken if anything answers there, whatever it says", async () => {
  const server = createServer((_request, reply) => reply.writeHead(404).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(await findEndpoint({ AWS_ENDPOINT_URL: url })).toEqual({ kind: "given", url });
  await new Promise((resolve) => server.close(resolve));
  const environment = { ...pathWith("dead", { python3: "echo 3.12 yes" }), AWS_ENDPOINT_URL: url };
  expect(await findEndpoint(environment)).toEqual({ kind: "ministack", ignored: url });
});

test("without an endpoint and Python, one line names all three ways", async () => {
  const error = await rejectionOf(findEndpoint(pathWith("nothing", {})));
  expect(error.class).toBe("misuse");
  for (const way of ["Python 3.10", "Docker", "AWS_ENDPOINT_URL", "npm start -- --embedded"]) {
    expect(error.message).toContain(way);
  }
});
