import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { moduleVersion } from "../../../gomod/version.ts";
import { sha256Of } from "../../../mirror/body.ts";
import { type FileParts, storeVersions } from "../../../mirror/bundle/import-files.ts";
import type { GivenFile } from "../../../mirror/bundle/import-walk.ts";
import type { SnapshotFile } from "../../../mirror/bundle/snapshot-files.ts";
import type { Tree } from "../../../mirror/ports.ts";
import type { SnapshotEntry } from "../../../mirror/snapshot/snapshot-entry.ts";
import { infoKey, lookupKey, modKey, zipKey } from "../../../mirror/tree-keys.ts";

const VERSIONS = ["v1.0.0", "v1.1.0", "v1.2.0"].map((version) => moduleVersion("example.com/a", version));
const BYTES = new Uint8Array(8);

/** A version's files as a bundle gives them, in its order. */
function given(version: (typeof VERSIONS)[number]) {
  const entry = { ...version } as unknown as SnapshotEntry;
  const keys = { lookup: lookupKey("sum.example.org", version), mod: modKey(version), zip: zipKey(version) };
  const files = Object.entries({ ...keys, info: infoKey(version) }).map(([kind, key]) => ({
    expected: { kind, key, entry } as unknown as SnapshotFile,
    file: { path: key, size: BYTES.byteLength, sha256: sha256Of(BYTES) },
  }));
  return { entry, files: files as unknown as readonly GivenFile[] };
}

/** In each round, files of other kinds are slow to come. */
test.each([
  [".mod", ".zip"],
  [".info", ".mod"],
  ["lookup/", ".info"],
  [".zip", "lookup/"],
])(
  "proofs are there before what they prove, and all else before .info, though %s and %s come late",
  async (...late) => {
    const stored: string[] = [];
    const parts: FileParts = {
      tree: { create: async (key: string) => stored.push(key) && "created" } as unknown as Tree,
      body: async ({ expected: { key } }) => {
        if (late.some((part) => key.includes(part))) await sleep(20);
        return BYTES;
      },
      stored: () => {},
    };
    const done: SnapshotEntry[] = [];
    const versions = (async function* () {
      for (const version of VERSIONS) yield given(version);
    })();
    await storeVersions(parts, versions, async (entries) => void done.push(...entries));
    expect(done).toHaveLength(VERSIONS.length);
    expect(stored).toHaveLength(4 * VERSIONS.length);
    for (const version of VERSIONS) {
      const at = (key: string) => stored.indexOf(key);
      const content = [at(modKey(version)), at(zipKey(version))];
      expect(at(lookupKey("sum.example.org", version))).toBeLessThan(Math.min(...content));
      expect(at(infoKey(version))).toBeGreaterThan(Math.max(...content));
    }
  },
);
