import { asMirrorError, type MirrorError } from "./errors.ts";
import { ERROR_BYTES } from "./failed-record.ts";
import { firstBytes } from "./first-bytes.ts";
import { readRequestBody } from "./inbox.ts";
import { queueOf, type RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { ORDER_LOST_AFTER } from "./records.ts";
import type { RequestBody, RequestRecord, Tier } from "./requests.ts";
import { updateRequest } from "./update.ts";
import { parseWishes } from "./wishes.ts";

export type AcceptParts = Pick<MirrorParts, "vault" | "ledger" | "queue" | "now">;

/**
 * Notes a request that lies in the inbox, and orders its resolution. Accepting it again changes nothing once it is
 * under way. A request that does not parse is noted as REFUSED with the reason.
 * @throws MirrorError misuse, after noting it.
 */
export async function acceptRequest(parts: AcceptParts, request: RequestKey): Promise<void> {
  const known = await parts.ledger.readRequest(request);
  if (known !== undefined && known.state !== "OPEN" && known.state !== "REFUSED") return;
  const body = await parse(parts, request);
  const accepted = await updateRequest(parts.ledger, request, (record) =>
    record !== undefined
      ? record
      : { ...newRequest(request, body.tier), due: parts.now() + ORDER_LOST_AFTER },
  );
  if (accepted?.state !== "OPEN") return;
  const { trace } = body;
  await parts.queue.send(queueOf(request), [
    { kind: "resolve", request, ...(trace === undefined ? {} : { trace }) },
  ]);
}

function newRequest(request: RequestKey, tier: Tier): RequestRecord {
  return { ...request, revision: 0, state: "OPEN", tier, total: 0, missing: 0 };
}

async function parse(parts: AcceptParts, request: RequestKey): Promise<RequestBody> {
  try {
    const body = await readRequestBody(parts, request);
    parseWishes(body);
    return body;
  } catch (thrown) {
    const error = asMirrorError(thrown, `request ${request.name}/${request.time}`);
    if (error.class === "misuse") await refuse(parts, request, error);
    throw error;
  }
}

/** Notes why a request cannot be resolved; it is not tried again. */
export async function refuse(
  parts: Pick<MirrorParts, "ledger">,
  request: RequestKey,
  error: MirrorError,
): Promise<void> {
  await updateRequest(parts.ledger, request, (record) => {
    const { due: _due, ...rest } = record ?? newRequest(request, "tidy");
    return { ...rest, state: "REFUSED", error: firstBytes(error.message, ERROR_BYTES) };
  });
}
