import { z } from "zod";
import { parseVerifierKey } from "../../sumdb/note.ts";
import type { LedgerItem } from "../ledger-entries.ts";
import type { Ledger } from "../ports.ts";
import { contended, MOST_RACES } from "../update.ts";
import type { TrustedSigner } from "./bundle-signer.ts";

const time = z.int().min(0);
const valueShape = z.object({
  key: z.string(),
  notBefore: z.exactOptional(time),
  notAfter: z.exactOptional(time),
  /** Who trusts it: an operator, or the signer that introduced it. */
  by: z.string(),
});

/** A key by which bundles are believed, as the ledger keeps it. */
export interface KnownSigner extends TrustedSigner {
  readonly by: string;
}

/** All of them. One whose item cannot be read is left out: it is not trusted. */
export async function readSigners(ledger: Pick<Ledger, "items">): Promise<KnownSigner[]> {
  const signers: KnownSigner[] = [];
  for await (const { value } of ledger.items("signer")) {
    const parsed = valueShape.safeParse(value);
    if (!parsed.success) continue;
    const { key, ...rest } = parsed.data;
    signers.push({ verifierKey: key, ...rest });
  }
  return signers;
}

/** Trusts a key from now on; of one that is trusted already the times are replaced. */
export async function trustSigner(
  ledger: Pick<Ledger, "readItem" | "writeItem">,
  { verifierKey, ...value }: KnownSigner,
): Promise<void> {
  const itemName = nameOf(verifierKey);
  for (let race = 0; race < MOST_RACES; race++) {
    const known = await ledger.readItem("signer", itemName);
    const item: LedgerItem = {
      kind: "signer",
      name: itemName,
      revision: known?.revision ?? 0,
      value: { key: verifierKey, ...value },
    };
    if ((await ledger.writeItem(item)) !== "changed") return;
  }
  throw contended(`signer ${itemName}`);
}

/** Trusts a key no more. */
export async function forgetSigner(
  ledger: Pick<Ledger, "readItem" | "deleteItem">,
  verifierKey: string,
): Promise<void> {
  for (let race = 0; race < MOST_RACES; race++) {
    const known = await ledger.readItem("signer", nameOf(verifierKey));
    if (known === undefined || (await ledger.deleteItem(known))) return;
  }
  throw contended(`signer ${nameOf(verifierKey)}`);
}

function nameOf(verifierKey: string): string {
  const { name, keyHash } = parseVerifierKey(verifierKey);
  return `${name}+${keyHash.toString(16).padStart(8, "0")}`;
}
