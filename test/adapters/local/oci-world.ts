import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OciLayout } from "../../../adapters/local/oci-layout-target.ts";
import { type Sha256, sha256Of } from "../../../mirror/body.ts";

/** Of a made bundle: names as bundles have them, and contents that stand for theirs. */
export function madeFiles(seed: string): Readonly<Record<string, string>> {
  return {
    "pack-0001.tar": `first pack of ${seed}`.repeat(100),
    "pack-0002.tar": `second pack of ${seed}`.repeat(50),
    "README.txt": "the same in each",
    "bundle.json": `{"of":"${seed}"}`,
    "bundle.json.note": `note of ${seed}`,
  };
}

/** Stages a made bundle and puts it into the layout, as an export does. @returns its manifest's digest. */
export async function putMade(root: string, name: string, seed: string): Promise<Sha256> {
  const layout = await OciLayout.open(root);
  try {
    const target = await layout.stage(name);
    const files = Object.entries(madeFiles(seed));
    for (const [file, content] of files) {
      const writer = await target.create(file);
      await writer.write(Buffer.from(content));
      await writer.finish();
    }
    const packs = files
      .filter(([file]) => file.startsWith("pack-"))
      .map(([file, content]) => ({
        name: file,
        size: content.length,
        sha256: sha256Of(Buffer.from(content)),
      }));
    return await layout.put(name, packs, Date.UTC(2026, 10, 23));
  } finally {
    layout.close();
  }
}

/** Writes a blob of our own. @returns its descriptor's fields. */
export async function writeBlob(
  root: string,
  content: string,
): Promise<{ readonly digest: string; readonly size: number }> {
  const hex = createHash("sha256").update(content).digest("hex");
  await writeFile(join(root, "blobs/sha256", hex), content);
  return { digest: `sha256:${hex}`, size: Buffer.byteLength(content) };
}
