import type { RequestKey } from "../orders.ts";
import type { MirrorParts } from "../parts.ts";
import type { RequestRecord } from "../requests.ts";
import { updateRequest } from "../update.ts";

/**
 * Ends requests that are over and not done, so that nobody tries again for them, and wants back what is collected. What is
 * done is left as it is: nobody looks at it again, and lists may rest on its closure. @returns how many.
 */
export async function endRequests(
  parts: Pick<MirrorParts, "ledger" | "now">,
  over: readonly RequestRecord[],
): Promise<number> {
  let ended = 0;
  for (const request of over)
    if (request.state !== "DONE" && request.state !== "ENDED" && (await endRequest(parts, request))) ended++;
  return ended;
}

/** @returns whether it was ended by this call. */
export async function endRequest(
  { ledger, now }: Pick<MirrorParts, "ledger" | "now">,
  request: RequestKey,
): Promise<boolean> {
  let isEnded = false;
  await updateRequest(ledger, { name: request.name, time: request.time }, (record) => {
    isEnded = false;
    if (record === undefined || record.state === "ENDED") return record;
    isEnded = true;
    const { due: _due, error: _error, ...rest } = record;
    return { ...rest, state: "ENDED", endedAt: now() };
  });
  return isEnded;
}
