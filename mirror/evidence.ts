import { sha256Of } from "./body.ts";
import type { MirrorError } from "./errors.ts";
import type { Vault } from "./ports.ts";

/** Keeps a bad reply for a person to look at, once per digest; losing it must not hide the error itself. */
export async function keepEvidence(vault: Vault, error: MirrorError): Promise<void> {
  if (error.evidence === undefined || error.evidence.byteLength === 0) return;
  try {
    await vault.put(`evidence/${error.class}/${sha256Of(error.evidence)}`, error.evidence);
  } catch {
    // The error that brought the evidence is reported and recorded by the caller all the same.
  }
}
