import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { exclusively, testCache } from "../upstream/exclusive.ts";

const VERSION = "v1.9.0";
const folder = join(testCache, `govulncheck-${VERSION}`);
const binary = join(folder, "govulncheck");
const BUILD_TIMEOUT = 300_000;

/** Builds golang.org/x/vuln's govulncheck once for a checkout, through the module proxy that go itself would use. */
async function builtGovulncheck(): Promise<string> {
  await mkdir(folder, { recursive: true });
  await exclusively(join(folder, "lock.sqlite"), async () => {
    if (existsSync(binary)) return;
    const env = { ...process.env, GOBIN: folder, GOFLAGS: "" };
    await promisify(execFile)("go", ["install", `golang.org/x/vuln/cmd/govulncheck@${VERSION}`], {
      env,
      timeout: BUILD_TIMEOUT,
    });
  });
  return binary;
}

/**
 * The IDs of the entries that govulncheck finds for these `module@version` in the database at `url`, sorted.
 * @throws Error with what it printed where it fails.
 */
export async function affectedBy(url: string, queries: readonly string[]): Promise<string[]> {
  const command = await builtGovulncheck();
  const { stdout } = await promisify(execFile)(
    command,
    ["-mode=query", "-format=json", `-db=${url}`, ...queries],
    {
      maxBuffer: 1 << 26,
      timeout: 120_000,
    },
  );
  return [
    ...new Set(
      [...stdout.matchAll(/"osv": \{\s*"schema_version": "[^"]*",\s*"id": "([^"]+)"/g)].map(
        ([, id]) => id ?? "",
      ),
    ),
  ].sort();
}
