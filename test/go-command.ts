import { execFileSync } from "node:child_process";
import { describe } from "vitest";

/** The `go` command's version, such as `go1.26.8`, or undefined where there is none on PATH. */
export const goVersion: string | undefined = (() => {
  try {
    return execFileSync("go", ["env", "GOVERSION"], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
})();

/**
 * `describe` for suites whose oracle is the go command. Without go they say so and count as skipped;
 * with CI=true that is a failure, so that a green CI cannot hide a missing oracle.
 */
export function describeWithGo(name: string, body: () => void): void {
  if (goVersion !== undefined) {
    describe(name, body);
    return;
  }
  if (process.env.CI === "true") throw new Error(`${name}: needs the go command, and CI has none on PATH`);
  console.log(`skipped: ${name}: the go command is not on PATH (install Go 1.21 or newer)`);
  describe.skip(`${name} (no go command)`, body);
}
