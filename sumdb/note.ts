import { createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from "node:crypto";
import { FormatError } from "../gomod/format-error.ts";
import { ProofError } from "./proof-error.ts";

/** Longest note that is looked at; golang.org/x/mod/sumdb/tlog refuses longer tree notes (ParseTree). */
const LONGEST_NOTE = 1_000_000;
/** Most signature lines of one note (golang.org/x/mod/sumdb/note, Open). */
const MOST_SIGNATURES = 100;
/** The algorithm byte of Ed25519, in front of the key; the only one there is (note, algEd25519). */
const ED25519 = 1;
const ED25519_KEY_SIZE = 32;
const ED25519_SIGNATURE_SIZE = 64;
const KEY_HASH_SIZE = 4;
/** Go's unicode.IsSpace, and `+`, which parts the fields of a key: none of them may stand in a name. */
const NOT_IN_NAME = /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+]/;
const SIGNATURE_PREFIX = "— ";

/** The public half of a database's key. */
export interface Verifier {
  readonly name: string;
  /** Tells keys of one name apart: the first four bytes of SHA-256(name, newline, algorithm byte, key). */
  readonly keyHash: number;
  verify(text: Uint8Array, signature: Uint8Array): boolean;
}

/** The private half. */
export interface Signer {
  readonly name: string;
  readonly keyHash: number;
  sign(text: Uint8Array): Uint8Array;
}

/** One signature line; `base64` holds the key hash and then the signature. */
interface Signature {
  readonly name: string;
  readonly keyHash: number;
  readonly base64: string;
}

/** An opened note: `text` ends in a newline and is what at least one of `sigs` has signed. */
export interface Note {
  readonly text: string;
  /** Verified, one a key. */
  readonly sigs: readonly Signature[];
  /** By keys that we do not know: worth nothing. */
  readonly unverifiedSigs: readonly Signature[];
}

function keyHash(name: string, key: Uint8Array): number {
  return hash("sha256", Buffer.concat([Buffer.from(`${name}\n`), key]), "buffer").readUInt32BE(0);
}

/** Decodes base64 in its one canonical spelling; undefined for any other. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}

function isName(name: string): boolean {
  return name !== "" && name.isWellFormed() && !NOT_IN_NAME.test(name);
}

/** The fields `name+hash+key` that end both kinds of key: the hash as a number, and the Ed25519 key's 32 bytes. */
function keyFields(kind: string, fields: readonly string[]): { name: string; keyHash: number; key: Buffer } {
  const [name = "", hexHash = "", base64 = ""] = fields;
  const key = decodeBase64(base64);
  if (
    fields.length !== 3 ||
    !isName(name) ||
    !/^[0-9a-fA-F]{8}$/.test(hexHash) ||
    key === undefined ||
    key.length === 0
  ) {
    throw new FormatError(
      kind,
      `malformed ${kind}: it must read name+hash+key, as golang.org/x/mod/sumdb/note prints it`,
    );
  }
  if (key[0] !== ED25519)
    throw new FormatError(kind, `${kind} of ${name}: unknown algorithm ${key[0]}; only Ed25519 (1) is known`);
  if (key.length !== 1 + ED25519_KEY_SIZE) {
    throw new FormatError(
      kind,
      `${kind} of ${name}: an Ed25519 key has ${ED25519_KEY_SIZE} bytes, not ${key.length - 1}`,
    );
  }
  return { name, keyHash: Number.parseInt(hexHash, 16), key: key.subarray(1) };
}

function checkKeyHash(kind: string, name: string, stated: number, publicKey: Uint8Array): void {
  if (stated === keyHash(name, Buffer.concat([Buffer.of(ED25519), publicKey]))) return;
  throw new FormatError(
    kind,
    `${kind} of ${name}: its hash does not fit its name and key; was it cut or mistyped?`,
  );
}

/**
 * Parses a verifier key such as the value of GOSUMDB, `name+hash+base64` (note, NewVerifier).
 * @throws FormatError when it is malformed, its hash does not fit, or its algorithm is not Ed25519.
 */
export function parseVerifierKey(text: string): Verifier {
  const plus = text.indexOf("+");
  const second = text.indexOf("+", plus + 1);
  const fields =
    plus < 0 || second < 0 ? [] : [text.slice(0, plus), text.slice(plus + 1, second), text.slice(second + 1)];
  const { name, keyHash: stated, key } = keyFields("verifier key", fields);
  checkKeyHash("verifier key", name, stated, key);
  const publicKey = createPublicKey({
    key: { kty: "OKP", crv: "Ed25519", x: key.toString("base64url") },
    format: "jwk",
  });
  return {
    name,
    keyHash: stated,
    verify: (message, signature) => verifyEd25519(publicKey, message, signature),
  };
}

function verifyEd25519(key: KeyObject, message: Uint8Array, signature: Uint8Array): boolean {
  return signature.length === ED25519_SIGNATURE_SIZE && verify(null, message, key, signature);
}

/**
 * Parses a private key as `note.GenerateKey` prints it, `PRIVATE+KEY+name+hash+base64` (note, NewSigner).
 * @throws FormatError as parseVerifierKey; the message never holds the key.
 */
export function parseSignerKey(text: string): Signer {
  const [first, second, name = "", hexHash = "", ...rest] = text.split("+");
  const fields = first === "PRIVATE" && second === "KEY" ? [name, hexHash, rest.join("+")] : [];
  const { keyHash: stated, key: seed } = keyFields("signer key", fields);
  // PKCS #8 of an Ed25519 seed: a fixed prefix (RFC 8410, section 7) and the 32 bytes.
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  const privateKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const publicKey = Buffer.from(createPublicKey(privateKey).export({ format: "jwk" }).x ?? "", "base64url");
  checkKeyHash("signer key", name, stated, publicKey);
  return { name, keyHash: stated, sign: (message) => sign(null, message, privateKey) };
}

/** The text of a note's bytes, if they are UTF-8 without control characters other than newline (note, Open). */
export function decodeNoteText(bytes: Uint8Array): string | undefined {
  if (bytes.some((byte) => byte < 0x20 && byte !== 0x0a)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Opens a signed note: text, blank line, signature lines. Attacker-controlled. The last blank line parts the two, so a
 * text may hold blank lines; repeated signatures count once (note, Open).
 * @param verifiers the keys that count; two of one name and hash make a note signed by them unreadable.
 * @throws FormatError when it is no note; ProofError `signature` when none of the keys has signed it, or one of
 * their signatures is wrong.
 */
export function openNote(bytes: Uint8Array, verifiers: readonly Verifier[]): Note {
  if (bytes.length > LONGEST_NOTE)
    throw malformed(`it has ${bytes.length} bytes; at most ${LONGEST_NOTE} are read`);
  const whole = decodeNoteText(bytes);
  if (whole === undefined) throw malformed("it is not UTF-8 text without control characters");
  const split = whole.lastIndexOf("\n\n");
  if (split < 0) throw malformed("it has no blank line before its signatures");
  const text = whole.slice(0, split + 1);
  const block = whole.slice(split + 2);
  if (!block.endsWith("\n")) throw malformed("its signatures do not end in a newline");

  const signed = Buffer.from(text);
  const sigs = new Map<Verifier, Signature>();
  const unverified = new Map<string, Signature>();
  const lines = block.slice(0, -1).split("\n");
  if (lines.length > MOST_SIGNATURES) throw malformed(`it has more than ${MOST_SIGNATURES} signatures`);
  for (const line of lines) {
    const { signature, bytes: raw } = parseSignature(line);
    const known = verifiers.filter((v) => v.name === signature.name && v.keyHash === signature.keyHash);
    const [verifier] = known;
    if (verifier === undefined) {
      unverified.set(line, signature);
      continue;
    }
    if (known.length > 1)
      throw new FormatError("note", `ambiguous key ${keyName(signature)}: give each key once`);
    if (sigs.has(verifier)) continue;
    if (!verifier.verify(signed, raw)) {
      throw new ProofError(
        "signature",
        signature.name,
        `note: invalid signature for key ${keyName(signature)}`,
      );
    }
    sigs.set(verifier, signature);
  }
  if (sigs.size === 0) {
    const wanted = verifiers.map(keyName).join(", ");
    throw new ProofError(
      "signature",
      wanted,
      `note: not signed by ${wanted || "any key, for none was given"}`,
    );
  }
  return { text, sigs: [...sigs.values()], unverifiedSigs: [...unverified.values()] };
}

const malformed = (why: string) => new FormatError("note", `malformed note: ${why}`);

const keyName = (key: { name: string; keyHash: number }) =>
  `${key.name}+${key.keyHash.toString(16).padStart(8, "0")}`;

function parseSignature(line: string): { signature: Signature; bytes: Uint8Array } {
  const [name = "", base64 = "", ...more] = line.slice(SIGNATURE_PREFIX.length).split(" ");
  const bytes = decodeBase64(base64);
  if (
    !line.startsWith(SIGNATURE_PREFIX) ||
    more.length > 0 ||
    !isName(name) ||
    bytes === undefined ||
    bytes.length <= KEY_HASH_SIZE
  ) {
    throw malformed("a line after its last blank line is no signature");
  }
  return {
    signature: { name, keyHash: bytes.readUInt32BE(0), base64 },
    bytes: bytes.subarray(KEY_HASH_SIZE),
  };
}

/**
 * Signs a text and prints the note (note, Sign, without earlier signatures).
 * @throws FormatError unless `text` is valid UTF-16 without control characters that ends in a newline.
 */
export function signNote(text: string, signers: readonly Signer[]): Uint8Array {
  const bytes = Buffer.from(text);
  if (!text.endsWith("\n") || decodeNoteText(bytes) !== text)
    throw malformed("its text must be plain and end in a newline");
  const lines = signers.map((signer) => {
    const keyHashBytes = Buffer.alloc(KEY_HASH_SIZE);
    keyHashBytes.writeUInt32BE(signer.keyHash);
    return `${SIGNATURE_PREFIX}${signer.name} ${Buffer.concat([keyHashBytes, signer.sign(bytes)]).toString("base64")}\n`;
  });
  return Buffer.from(`${text}\n${lines.join("")}`);
}
