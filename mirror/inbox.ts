import pLimit from "p-limit";
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
import { currentTrace } from "./trace.ts";

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
  const bytes = printTraced(body);
  for (let now = parts.now(); ; now++) {
    const request = { name, time: requestTimeOf(now) };
    const key = requestInboxKey(request);
    if ((await readInbox(vault, key)) !== undefined) continue;
    await vault.put(key, bytes);
    return request;
  }
}

/** With the trace that it is handed in under, for the log of whoever works on it. */
function printTraced(body: RequestBody): Uint8Array {
  const trace = currentTrace();
  return printRequestBody(trace === undefined ? body : { ...body, trace });
}

/** Objects put into the vault at a time. */
const PUTS_AT_ONCE = 16;

/**
 * As handIn for each of many requests of one name, side by side: their times follow each other by a millisecond, so that
 * none of them replaces another.
 * @returns them in the order of the bodies.
 */
export async function handInAll(
  parts: Pick<MirrorParts, "vault" | "now">,
  name: string,
  bodies: readonly RequestBody[],
): Promise<RequestKey[]> {
  const { vault } = parts;
  const limit = pLimit(PUTS_AT_ONCE);
  for (let first = parts.now(); ; first += bodies.length) {
    const requests = bodies.map((_, at) => ({ name, time: requestTimeOf(first + at) }));
    const there = await limit.map(requests, (request) => readInbox(vault, requestInboxKey(request)));
    if (there.some((object) => object !== undefined)) continue;
    await limit.map(requests, (request, at) =>
      vault.put(requestInboxKey(request), printTraced(bodies[at] as RequestBody)),
    );
    return requests;
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
