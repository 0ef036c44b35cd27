import pLimit from "p-limit";
import { sha256Of } from "./body.ts";
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
 * with acceptRequest. Two requests of one name in one millisecond get two times, whichever processes hand them in.
 */
export async function handIn(
  parts: Pick<MirrorParts, "vault" | "now">,
  name: string,
  body: RequestBody,
): Promise<RequestKey> {
  const bytes = printTraced(body);
  return await createAt(parts.vault, name, bytes, { first: parts.now(), step: 1 });
}

/** When a request is handed in at the earliest, and how much later where others have that time; in ms. */
interface Times {
  readonly first: number;
  readonly step: number;
  /** Whether one that is there already, and is the same, is as good. */
  readonly orSame?: true;
}

async function createAt(vault: Vault, name: string, bytes: Uint8Array, times: Times): Promise<RequestKey> {
  const sha256 = sha256Of(bytes);
  for (let now = times.first; ; now += times.step) {
    const request = { name, time: requestTimeOf(now) };
    const key = requestInboxKey(request);
    if ((await vault.create(key, bytes, sha256)) === "created") return request;
    if (times.orSame && isSameRequest(await readInbox(vault, key), bytes)) return request;
  }
}

/** Whoever has set it off. */
function isSameRequest(there: Uint8Array | "too large" | undefined, bytes: Uint8Array): boolean {
  if (there === undefined || there === "too large") return false;
  try {
    return untraced(there) === untraced(bytes);
  } catch {
    return false;
  }
}

function untraced(bytes: Uint8Array): string {
  const { trace: _trace, ...body } = JSON.parse(Buffer.from(bytes).toString("utf8")) as { trace?: unknown };
  return JSON.stringify(body);
}

/** With the trace that it is handed in under, for the log of whoever works on it. */
function printTraced(body: RequestBody): Uint8Array {
  const trace = currentTrace();
  return printRequestBody(trace === undefined ? body : { ...body, trace });
}

/** Objects put into the vault at a time. */
const PUTS_AT_ONCE = 16;

/**
 * As handIn for each of many requests of one name, side by side: their times follow each other by a millisecond. Two
 * planners that hand in the same at the same moment hand it in once.
 * @returns them in the order of the bodies.
 */
export async function handInAll(
  parts: Pick<MirrorParts, "vault" | "now">,
  name: string,
  bodies: readonly RequestBody[],
): Promise<RequestKey[]> {
  const first = parts.now();
  // In steps of their number, so that no two of these ever meet.
  const step = bodies.length;
  return await pLimit(PUTS_AT_ONCE).map(bodies, (body, at) =>
    createAt(parts.vault, name, printTraced(body), { first: first + at, step, orSame: true }),
  );
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
