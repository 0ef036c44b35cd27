import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { tally } from "../differential/tally.ts";
import { answers } from "./oracle.ts";

/** Which of the go command's packages gets which file of ours. */
const overlaid = { "internal/modfetch": "modfetch", "internal/auth": "auth", modferryoracle: "oracle" };

let built: { readonly binary: string; readonly folder: string } | undefined;

/** Builds test/oracle/cmdgo as a part of the go command that is on PATH; nothing is written into its folder. */
function build(): { readonly binary: string; readonly folder: string } {
  if (built !== undefined) return built;
  const folder = mkdtempSync(join(tmpdir(), "modferry-cmdgo-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const env = { ...process.env, GOWORK: "off", GOFLAGS: "" };
  const root = execFileSync("go", ["env", "GOROOT"], { cwd: folder, env, encoding: "utf8" }).trim();
  const replace = Object.entries(overlaid).map(([target, name]) => [
    join(root, "src/cmd/go", target, name === "oracle" ? "main.go" : "oracle_modferry.go"),
    fileURLToPath(
      new URL(`../oracle/cmdgo/${name}/${name === "oracle" ? "main" : "oracle"}.go`, import.meta.url),
    ),
  ]);
  const overlay = join(folder, "overlay.json");
  writeFileSync(overlay, JSON.stringify({ Replace: Object.fromEntries(replace) }));
  const binary = join(folder, "cmdgo");
  execFileSync("go", ["build", "-overlay", overlay, "-o", binary, "cmd/go/modferryoracle"], {
    cwd: folder,
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  built = { binary, folder };
  return built;
}

/** Asks the go command's own functions: `goSum FILE`, `netrc FILE URL…` and `gover A B`, all arguments as bytes. */
export function askGoCommand<Answer>(
  operation: "goSum" | "netrc" | "gover",
  questions: readonly (readonly (Uint8Array | string)[])[],
): Answer[] {
  tally(operation, questions.length);
  const { binary, folder } = build();
  return answers(
    binary,
    questions.map((args) => [operation, ...args.map((arg) => Buffer.from(arg).toString("base64"))]),
    { cwd: folder },
  );
}
