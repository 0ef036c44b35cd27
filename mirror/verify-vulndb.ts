import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { asMirrorError } from "./errors.ts";
import type { Tree } from "./ports.ts";
import type { Seen } from "./verify-seen.ts";
import { LARGEST_VULNDB_INDEX, modulesIndex } from "./vulndb.ts";
import { parseVulndbKey, VULNDB_FOLDER, vulndbKey, vulnerabilityFile } from "./vulndb-keys.ts";
import { parseJson, parseVulnerability } from "./vulnerability.ts";

/** Reads a file of the vulnerability database back: each parses, both its forms say the same, the index names what is there. */
export async function verifyVulndbFile(tree: Pick<Tree, "get">, text: string, seen: Seen): Promise<void> {
  const key = parseVulndbKey(text);
  if (key === undefined || key.endsWith(".json")) return;
  const found = (message: string) => void seen.findings.push({ subject: key, message });
  const remedy = "sync the vulnerability database again";
  try {
    const plainKey = parseVulndbKey(text.replace(/\.gz$/, ""));
    const packed = await tree.get(key, LARGEST_VULNDB_INDEX);
    const plain = plainKey && (await tree.get(plainKey, LARGEST_VULNDB_INDEX));
    if (packed === undefined) return;
    if (plain === undefined) return found(`missing without .gz; ${remedy}`);
    const unpacked = await promisify(gunzip)(packed.bytes, { maxOutputLength: LARGEST_VULNDB_INDEX });
    if (!unpacked.equals(plain.bytes))
      return found(`says something else than the same file without .gz; ${remedy}`);
    const file = text.slice(VULNDB_FOLDER.length, -".json.gz".length);
    if (file.startsWith("ID/")) parseVulnerability(plain.bytes, file.slice("ID/".length));
    if (file !== "index/modules") return;
    for (const { vulns } of parseJson(modulesIndex, plain.bytes, file))
      for (const { id } of vulns)
        if (!seen.keys.has(vulndbKey(vulnerabilityFile(id), "json.gz")))
          found(`names ${id}, which is missing; ${remedy}`);
  } catch (thrown) {
    found(asMirrorError(thrown, key).message);
  }
}
