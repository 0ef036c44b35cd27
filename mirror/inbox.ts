import { MirrorError } from "./errors.ts";
import type { RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
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
 * with acceptRequest.
 */
export async function handIn(
  parts: Pick<MirrorParts, "vault" | "now">,
  name: string,
  body: RequestBody,
): Promise<RequestKey> {
  const request = { name, time: requestTimeOf(parts.now()) };
  await parts.vault.put(requestInboxKey(request), printRequestBody(body));
  return request;
}

/** @throws MirrorError misuse, also when the object is not there. */
export async function readRequestBody(
  parts: Pick<MirrorParts, "vault">,
  request: RequestKey,
): Promise<RequestBody> {
  const key = requestInboxKey(request);
  const bytes = await parts.vault.get(key, LARGEST_REQUEST);
  if (bytes === undefined)
    throw new MirrorError("misuse", key, `${key}: not in the vault; hand the request in again`);
  return parseRequestBody(bytes);
}
