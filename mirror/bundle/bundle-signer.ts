import { FormatError } from "../../gomod/format-error.ts";
import { openNote, parseVerifierKey, signNote } from "../../sumdb/note.ts";
import { ProofError } from "../../sumdb/proof-error.ts";
import { MirrorError } from "../errors.ts";

/**
 * Signs what leaves or enters a mirror by disc: a key file, or a key that never leaves its service (AWS KMS, whose limit
 * is 4,096 bytes a message: our texts have some 200).
 */
export interface BundleSigner {
  /** `name+hash+key`, as golang.org/x/mod/sumdb/note prints it. */
  readonly verifierKey: string;
  /** The 64 bytes of the Ed25519 signature of `text`. @throws MirrorError of any class. */
  sign(text: Uint8Array): Promise<Uint8Array>;
}

/** A note of this text with the signer's signature, which is verified once more: a wrong key must not leave by disc. */
export async function signedNote(text: string, signer: BundleSigner): Promise<Uint8Array> {
  const verifier = parseVerifierKey(signer.verifierKey);
  const signature = await signer.sign(Buffer.from(text));
  const note = signNote(text, [{ name: verifier.name, keyHash: verifier.keyHash, sign: () => signature }]);
  try {
    openNote(note, [verifier]);
  } catch (cause) {
    const message = `signer ${verifier.name}: what it signs does not verify by its own key; check which key it uses`;
    throw new MirrorError("misuse", verifier.name, message, { cause });
  }
  return note;
}

/** Whom a mirror believes, and for which times: bundles whose target snapshot is of a time outside are not believed. */
export interface TrustedSigner {
  readonly verifierKey: string;
  /** Milliseconds since the epoch, both inclusive. */
  readonly notBefore?: number;
  readonly notAfter?: number;
}

/**
 * The text of a note that one of these keys has signed, and the first that has. Attacker-controlled.
 * @throws MirrorError mismatch where none has, or one of their signatures is wrong; malformed where it is no note.
 */
export function openSigned(
  note: Uint8Array,
  trusted: readonly TrustedSigner[],
  subject: string,
): { readonly text: string; readonly signer: TrustedSigner } {
  const verifiers = trusted.map(({ verifierKey }) => parseVerifierKey(verifierKey));
  try {
    const { text, sigs } = openNote(note, verifiers);
    const at = verifiers.findIndex(({ name, keyHash }) =>
      sigs.some((signature) => signature.name === name && signature.keyHash === keyHash),
    );
    return { text, signer: trusted[at] as TrustedSigner };
  } catch (cause) {
    if (cause instanceof ProofError)
      throw new MirrorError(
        "mismatch",
        subject,
        `${subject}: its signature is by none of the trusted keys (${verifiers.map(({ name }) => name).join(", ") || "none is trusted yet"}), or wrong; check the disc, or trust its key with --trust`,
        { cause },
      );
    if (cause instanceof FormatError)
      throw new MirrorError("malformed", subject, `${subject}: ${cause.message}`, { cause });
    throw cause;
  }
}

/** The text that a bundle's note signs: small whatever the bundle, for signers with a limit. */
export function bundleText(name: string, sha256: string): string {
  return `modferry bundle\n${name}\n${sha256}\n`;
}
