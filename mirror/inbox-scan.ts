import { type AcceptParts, acceptRequest } from "./accept.ts";
import { asMirrorError, type MirrorError } from "./errors.ts";
import type { RequestKey } from "./orders.ts";
import { parseRequestInboxKey } from "./requests.ts";

/** A request that was handed in, and is not one. */
export interface RefusedRequest {
  readonly request: RequestKey;
  readonly error: MirrorError;
}

/**
 * Accepts what other processes have put into the inbox of a folder mirror, where no object triggers by itself: the
 * endpoint's `/-/requests`, or `modferry request` beside the one writer. Reads the names of all requests that there ever
 * were, so it is for a desk's thousands; each known one costs a read of the ledger's file.
 * @returns those that were refused; the others are under way.
 */
export async function acceptInbox(
  parts: AcceptParts,
): Promise<{ readonly accepted: number; readonly refused: readonly RefusedRequest[] }> {
  const refused: RefusedRequest[] = [];
  let accepted = 0;
  for await (const key of parts.vault.keys("inbox/requests/")) {
    const request = parseRequestInboxKey(key);
    if (request === undefined) continue;
    if ((await parts.ledger.readRequest(request)) !== undefined) continue;
    try {
      await acceptRequest(parts, request);
      accepted++;
    } catch (thrown) {
      const error = asMirrorError(thrown, `request ${request.name}/${request.time}`);
      // It is noted as REFUSED; what a store did not answer is tried again by the next look.
      if (error.class !== "misuse") throw error;
      refused.push({ request, error });
    }
  }
  return { accepted, refused };
}
