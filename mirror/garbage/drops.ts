import { z } from "zod";
import { sha256Of } from "../body.ts";
import { misuse } from "../errors.ts";
import type { LedgerItem } from "../ledger-entries.ts";
import { isFeedName, requestName } from "../orders.ts";
import type { MirrorParts } from "../parts.ts";
import type { Ledger } from "../ports.ts";
import { handedInAt, requestTimeOf } from "../requests.ts";
import { contended, MOST_RACES } from "../update.ts";

/** Which requests nobody wants any more: those of a name that were handed in up to a moment. */
export interface Drop {
  readonly name: string;
  /** In ms since the epoch; a request of that name that comes later is a new one. */
  readonly at: number;
  readonly by: string;
}

/** With the ledger's item as it was read. */
export interface StoredDrop extends Drop {
  readonly item: LedgerItem;
}

const PREFIX = "drop/";
const shape = z.object({ at: z.int().min(0), by: z.string().min(1).max(200) });

/**
 * Drops all requests of a name that were handed in until now: the decision in the vault, then the ledger's item, from
 * when on no run keeps anything for them. Doing it again moves it to now.
 * @throws MirrorError misuse where it is no request's name, or there is no such request.
 */
export async function dropRequest(
  parts: Pick<MirrorParts, "vault" | "ledger" | "now">,
  name: string,
  by: string,
): Promise<Drop> {
  if (!requestName.safeParse(name).success)
    throw misuse(name, `${name}: not a request's name; it is what the request was handed in under`);
  if (isFeedName(name))
    throw misuse(
      name,
      `${name}: a feed's own requests end with their subscription; change the configuration`,
    );
  const newest = await newestOf(parts.ledger, name);
  if (newest === undefined)
    throw misuse(name, `${name}: no request of that name; \`modferry status\` names what is open`);
  // Whoever handed them in may have had a clock ahead of ours.
  let drop: Drop = { name, at: Math.max(parts.now(), newest), by };
  const digest = sha256Of(Buffer.from(name)).slice(0, 16);
  const key = `decisions/drop-request/${requestTimeOf(drop.at)}-${digest}.json`;
  await parts.vault.put(key, Buffer.from(`${JSON.stringify({ decision: "drop-request", ...drop })}\n`));
  for (let race = 0; race < MOST_RACES; race++) {
    const item = await parts.ledger.readItem("control", `${PREFIX}${name}`);
    const revision = item?.revision ?? 0;
    // What was dropped stays so, whatever our clock says.
    const before = shape.safeParse(item?.value).data?.at ?? 0;
    drop = { ...drop, at: Math.max(before, drop.at) };
    const value = { at: drop.at, by };
    const written = await parts.ledger.writeItem({
      kind: "control",
      name: `${PREFIX}${name}`,
      revision,
      value,
    });
    if (written !== "changed") return drop;
  }
  throw contended(`request ${name}`);
}

/** When the newest request of a name that the ledger knows was handed in; undefined where there is none. */
async function newestOf(ledger: Pick<Ledger, "requests">, name: string): Promise<number | undefined> {
  let newest: number | undefined;
  for await (const request of ledger.requests())
    if (request.name === name) newest = Math.max(newest ?? 0, handedInAt(request));
  return newest;
}

/** By request name. An item that cannot be read drops nothing. */
export async function readDrops(ledger: Pick<Ledger, "items">): Promise<ReadonlyMap<string, StoredDrop>> {
  const drops = new Map<string, StoredDrop>();
  for await (const item of ledger.items("control")) {
    const parsed = item.name.startsWith(PREFIX) ? shape.safeParse(item.value).data : undefined;
    if (parsed === undefined) continue;
    const name = item.name.slice(PREFIX.length);
    drops.set(name, { name, ...parsed, item });
  }
  return drops;
}
