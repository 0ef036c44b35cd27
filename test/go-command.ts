import { execFileSync } from "node:child_process";
import { describe } from "vitest";

/** What go says of itself; undefined where there is none on PATH. */
const go: { readonly version: string; readonly toolchain: string } | undefined = (() => {
  try {
    const printed = execFileSync("go", ["env", "GOVERSION", "GOTOOLCHAIN"], { encoding: "utf8" });
    const [version = "", toolchain = ""] = printed.trim().split("\n");
    return { version, toolchain };
  } catch {
    return undefined;
  }
})();

/** The minor version of Go that the oracles' go.mod files ask for (test/oracle: golang.org/x/mod v0.42 needs it). */
const ORACLE_MINOR = 26;

/**
 * `describe` for suites whose oracle is the go command. Without go they say so and count as skipped;
 * with CI=true that is a failure, so that a green CI cannot hide a missing oracle.
 */
export function describeWithGo(name: string, body: () => void): void {
  describeUnless(
    go === undefined ? "the go command is not on PATH (install Go 1.21 or newer)" : undefined,
    name,
    body,
  );
}

/**
 * As `describeWithGo`, for suites whose oracle is a Go program under test/oracle: it needs a recent go, or one that may
 * fetch a recent toolchain.
 */
export function describeWithOracle(name: string, body: () => void): void {
  if (go === undefined) {
    describeWithGo(name, body);
    return;
  }
  const minor = Number(/^go1\.(\d+)/.exec(go.version)?.[1] ?? ORACLE_MINOR);
  const tooOld = minor < ORACLE_MINOR && go.toolchain === "local";
  const missing = `${go.version} cannot build the oracle (install Go 1.${ORACLE_MINOR}, or set GOTOOLCHAIN=auto)`;
  describeUnless(tooOld ? missing : undefined, name, body);
}

function describeUnless(missing: string | undefined, name: string, body: () => void): void {
  if (missing === undefined) {
    describe(name, body);
    return;
  }
  if (process.env.CI === "true") throw new Error(`${name}: ${missing}`);
  console.log(`skipped: ${name}: ${missing}`);
  describe.skip(`${name} (${missing})`, body);
}
