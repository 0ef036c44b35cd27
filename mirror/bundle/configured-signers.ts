import type { Ledger } from "../ports.ts";
import type { TrustedSigner } from "./bundle-signer.ts";
import { forgetSigner, readSigners, trustSigner } from "./signers.ts";

/** Who trusts a key that the configuration names. */
const BY = "configuration";

/**
 * Makes the ledger trust whom the configuration trusts, in the times that it says, and no more whom it did name. Keys that
 * an operator has given, or a trusted one has introduced, stay.
 */
export async function trustConfigured(
  ledger: Pick<Ledger, "items" | "readItem" | "writeItem" | "deleteItem">,
  configured: readonly TrustedSigner[],
): Promise<void> {
  const known = await readSigners(ledger);
  for (const signer of configured) {
    const is = known.find(({ verifierKey }) => verifierKey === signer.verifierKey);
    const isSame = is?.by === BY && is.notBefore === signer.notBefore && is.notAfter === signer.notAfter;
    if (!isSame) await trustSigner(ledger, { ...signer, by: BY });
  }
  for (const { verifierKey, by } of known)
    if (by === BY && !configured.some((signer) => signer.verifierKey === verifierKey))
      await forgetSigner(ledger, verifierKey);
}
