import { MirrorError, misuse } from "./errors.ts";
import type { RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import type { Vault } from "./ports.ts";
import {
  LARGEST_REQUEST,
  parseRequestBody,
  printRequestBody,
  type RequestBody,
  requestInboxKey,
  requestTimeOf,
} from "./requests.ts";

/**
 * Puts a request into the vault's inbox. In the cloud that object triggers accept-request; on a desk the caller goes on
 * with acceptRequest. Two requests of one name in one millisecond get two times; none replaces another.
 */
export async function handIn(
  parts: Pick<MirrorParts, "vault" | "now">,
  name: string,
  body: RequestBody,
): Promise<RequestKey> {
  const vault = parts.vault;
  for (let now = parts.now(); ; now++) {
    const request = { name, time: requestTimeOf(now) };
    const key = requestInboxKey(request);
    if ((await readInbox(vault, key)) !== undefined) continue;
    await vault.put(key, printRequestBody(body));
    return request;
  }
}

/** @throws MirrorError misuse, also when the object is not there or too large. */
export async function readRequestBody(
  parts: Pick<MirrorParts, "vault">,
  request: RequestKey,
): Promise<RequestBody> {
  const key = requestInboxKey(request);
  const bytes = await readInbox(parts.vault, key);
  if (bytes === undefined) throw misuse(key, `${key}: not in the vault; hand the request in again`);
  if (bytes === "too large")
    throw misuse(key, `${key}: larger than ${LARGEST_REQUEST} bytes; hand it in in parts`);
  return parseRequestBody(bytes);
}

/** A request that is too large is nobody's but its author's fault: no queue should hand it out for ever. */
async function readInbox(vault: Vault, key: string): Promise<Uint8Array | "too large" | undefined> {
  try {
    return await vault.get(key, LARGEST_REQUEST);
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.class === "malformed") return "too large";
    throw thrown;
  }
}
