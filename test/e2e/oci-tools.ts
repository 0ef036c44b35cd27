import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** Builds test/oracle/oci. @returns what the specification's own schemas find wrong with a layout's files; "ok" where nothing. */
export function ociSchemas(): (
  files: readonly { readonly kind: "layout" | "index" | "manifest"; readonly path: string }[],
) => string[] {
  const cache = join(root, ".modferry/test-cache");
  const binary = join(cache, `oci-oracle-${process.pid}-${Date.now()}`);
  mkdirSync(cache, { recursive: true });
  execFileSync("go", ["build", "-o", binary, "."], {
    cwd: join(root, "test/oracle/oci"),
    env: { ...process.env, GOFLAGS: "-mod=readonly", GOMODCACHE: join(cache, "gomodcache"), GOWORK: "off" },
    stdio: ["ignore", "inherit", "inherit"],
  });
  process.once("exit", () => execFileSync("rm", ["-f", binary]));
  return (files) => {
    const input = files.map(({ kind, path }) => `${kind} ${path}\n`).join("");
    return (
      execFileSync(binary, { input, encoding: "utf8", stdio: ["pipe", "pipe", "ignore"] })
        .trim()
        .split("\n")
        // Of media types that it does not know: an artifact has its own.
        .filter((line) => !line.startsWith("warning: "))
    );
  };
}

/** A tool that carries layouts; undefined where it is not on PATH, which is said. */
export function ociTool(
  name: "skopeo" | "oras",
  test: string,
): ((...args: readonly string[]) => void) | undefined {
  try {
    execFileSync(name, [name === "oras" ? "version" : "--version"], { stdio: "ignore" });
  } catch {
    console.log(`skipped: ${test}: ${name} is not on PATH`);
    return undefined;
  }
  return (...args) => void execFileSync(name, args, { stdio: ["ignore", "ignore", "inherit"] });
}
