import { type Sha256, sha256Stream } from "./body.ts";
import type { StoredObject } from "./ports.ts";

/** Of the whole content, read in chunks. */
export async function sha256OfObject(stored: Pick<StoredObject, "stream">): Promise<Sha256> {
  const running = sha256Stream();
  for await (const chunk of stored.stream()) running.update(chunk);
  return running.digest();
}
