import { createPublicKey, hash } from "node:crypto";
import type { BundleSigner } from "../../mirror/bundle/bundle-signer.ts";
import { MirrorError } from "../../mirror/errors.ts";

/** KMS signs messages of at most 4,096 bytes itself (KMS API reference, Sign, Message); the texts of bundles have 200. */
const LONGEST_MESSAGE = 4_096;
const ED25519_KEY_BYTES = 32;
/** The algorithm byte of Ed25519 in a verifier key (golang.org/x/mod/sumdb/note, algEd25519). */
const ALGORITHM = Buffer.of(1);

/** What is asked of KMS; over @aws-sdk/client-kms it is GetPublicKeyCommand and SignCommand, their errors by fromSdk. */
export interface KmsKey {
  /** The public key, DER-encoded (GetPublicKey, PublicKey). */
  publicKey(): Promise<Uint8Array>;
  /** SigningAlgorithm ED25519_SHA_512, MessageType RAW: the signature of RFC 8032, 64 bytes (Sign, Signature). */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/**
 * A signer whose key never leaves KMS (KeySpec ECC_NIST_EDWARDS25519, KeyUsage SIGN_VERIFY).
 * @param name of the signer, as verifiers are to know it.
 * @throws MirrorError misuse where the key is of another kind; what `key` throws.
 */
export async function kmsSigner(name: string, key: KmsKey): Promise<BundleSigner> {
  const raw = rawKey(name, await key.publicKey());
  const algorithmAndKey = Buffer.concat([ALGORITHM, raw]);
  const digest = hash("sha256", Buffer.concat([Buffer.from(`${name}\n`), algorithmAndKey]), "hex");
  return {
    verifierKey: `${name}+${digest.slice(0, 8)}+${algorithmAndKey.toString("base64")}`,
    sign: async (text) => {
      if (text.byteLength > LONGEST_MESSAGE)
        throw new MirrorError("misuse", name, `${name}: KMS signs at most ${LONGEST_MESSAGE} bytes`);
      return await key.sign(text);
    },
  };
}

function rawKey(name: string, der: Uint8Array): Buffer {
  try {
    const {
      kty,
      crv,
      x = "",
    } = createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" }).export({
      format: "jwk",
    });
    const raw = Buffer.from(x, "base64url");
    if (kty === "OKP" && crv === "Ed25519" && raw.byteLength === ED25519_KEY_BYTES) return raw;
  } catch (cause) {
    throw new MirrorError("misuse", name, wrongKind(name), { cause });
  }
  throw new MirrorError("misuse", name, wrongKind(name));
}

const wrongKind = (name: string): string =>
  `${name}: its KMS key is not of the spec ECC_NIST_EDWARDS25519; make one for signing of that spec`;
