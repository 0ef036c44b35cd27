import type { Clock, Ledger } from "../ports.ts";

const NAME = "bundle-inbox";
/** Until an inbox is looked through again whose mirror was busy, in seconds. */
const LATER = 60;

/**
 * Has the inbox looked through later, once however often it is asked for: each volume of a disc that comes while an import
 * is at work would have it looked through by itself.
 * @param wake after so many seconds. Where it fails, or this process dies before, whoever is asked next does it.
 */
export async function lookLater(
  { ledger, now }: { readonly ledger: Pick<Ledger, "readItem" | "writeItem">; readonly now: Clock },
  wake: (seconds: number) => Promise<void>,
): Promise<void> {
  const known = await ledger.readItem("control", NAME);
  const at = Number(known?.value.at ?? 0);
  // One that is nearly due may look before what has come now can be taken.
  if (at > now() + (LATER * 1000) / 2) return;
  await wake(LATER);
  const value = { at: now() + LATER * 1000 };
  await ledger.writeItem({ kind: "control", name: NAME, revision: known?.revision ?? 0, value });
}
