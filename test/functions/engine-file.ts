import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { ENGINE_FILE, engineOf } from "../../adapters/configuration/engine.ts";
import { type ConfigurationInput, defineMirror } from "../../infra/configuration.ts";

/** What lies beside a deployed function's code, for MODFERRY_ENGINE_FILE; gone after the file's tests. */
export function engineFile(configuration: Omit<ConfigurationInput, "name">): string {
  const folder = mkdtempSync(join(tmpdir(), "modferry-engine-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, ENGINE_FILE);
  writeFileSync(file, JSON.stringify(engineOf(defineMirror({ name: "mirror", ...configuration }))));
  return file;
}
