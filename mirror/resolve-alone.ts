import {
  parseToolchainVersion,
  STAT_PLATFORM,
  TOOLCHAIN_MODULE,
  toolchainVersion,
} from "../gomod/toolchain-version.ts";
import type { ModuleVersion } from "../gomod/version.ts";
import type { Collected } from "./collected-closure.ts";

/**
 * Adds a root without its graph: all that it needs to be listed is to be whole itself. With a toolchain come `.info`,
 * `.mod` and lookup of the platform whose `.info` go asks for it everywhere (facts: go-client; fetch.ts has a toolchain's
 * `.info` with its `.mod`).
 */
export function addAlone(collected: Collected, root: ModuleVersion): void {
  const beside = besideToolchain(root);
  collected.need(root, "whole");
  for (const version of beside) collected.need(version, "mod");
  collected.addRoot(root, {
    files: [
      { version: root, files: "whole" },
      ...beside.map((version) => ({ version, files: "mod" as const })),
    ],
    selected: [],
    failures: [],
    unknownDirectories: [],
  });
}

function besideToolchain({ path, version }: ModuleVersion): ModuleVersion[] {
  const toolchain = path === TOOLCHAIN_MODULE ? parseToolchainVersion(version) : undefined;
  if (toolchain === undefined || toolchain.platform === STAT_PLATFORM) return [];
  return [{ path, version: toolchainVersion({ go: toolchain.go, platform: STAT_PLATFORM }) }];
}
