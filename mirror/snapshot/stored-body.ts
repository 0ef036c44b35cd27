import { type Body, isSpool, type Sha256, sha256Of, sha256Stream, sizeOf } from "../body.ts";
import { MirrorError } from "../errors.ts";
import type { Vault } from "../ports.ts";
import type { SnapshotFile } from "./snapshot-header.ts";

/**
 * Stores a body create-only. What is there already is left from a try that died, and must be the same.
 * @throws MirrorError transient where it is another: made by another version of zstd; the next try has another name.
 */
export async function storeBody(vault: Vault, key: string, body: Body): Promise<SnapshotFile> {
  const sha256 = isSpool(body) ? body.sha256 : sha256Of(body);
  if ((await vault.create(key, body, sha256)) === "exists" && (await storedSha256(vault, key)) !== sha256)
    throw new MirrorError("transient", key, `${key}: left otherwise by a try that died; try again`);
  return { size: sizeOf(body), sha256 };
}

async function storedSha256(vault: Vault, key: string): Promise<Sha256 | undefined> {
  const object = await vault.open(key);
  if (object === undefined) return undefined;
  try {
    const running = sha256Stream();
    for await (const chunk of object.stream()) running.update(chunk);
    return running.digest();
  } finally {
    await object.close();
  }
}

export async function disposeOf(body: Body): Promise<void> {
  if (isSpool(body)) await body.dispose();
}
