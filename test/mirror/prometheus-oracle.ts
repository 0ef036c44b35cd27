import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** What Prometheus's own code reads of a page, and what promtool's `check metrics` finds wrong with it. */
export interface ReadPage {
  readonly error: string;
  readonly problems: readonly string[];
  readonly families: Readonly<
    Record<
      string,
      {
        readonly type: string;
        readonly help: string;
        readonly samples: readonly { readonly labels: Record<string, string>; readonly value: number }[];
      }
    >
  >;
}

/** Builds test/oracle/metrics. @returns what reads a page by it. */
export function prometheusOracle(): (page: string) => ReadPage {
  const cache = join(root, ".modferry/test-cache");
  const binary = join(cache, `metrics-oracle-${process.pid}-${Date.now()}`);
  mkdirSync(cache, { recursive: true });
  execFileSync("go", ["build", "-o", binary, "."], {
    cwd: join(root, "test/oracle/metrics"),
    env: { ...process.env, GOFLAGS: "-mod=readonly", GOMODCACHE: join(cache, "gomodcache"), GOWORK: "off" },
    stdio: ["ignore", "inherit", "inherit"],
  });
  process.once("exit", () => execFileSync("rm", ["-f", binary]));
  return (page) => JSON.parse(execFileSync(binary, { input: page, encoding: "utf8" })) as ReadPage;
}
