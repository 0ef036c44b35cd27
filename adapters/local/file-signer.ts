import { createPrivateKey, createPublicKey, generateKeyPairSync, hash } from "node:crypto";
import { constants } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { FormatError } from "../../gomod/format-error.ts";
import type { BundleSigner } from "../../mirror/bundle/bundle-signer.ts";
import { misuse } from "../../mirror/errors.ts";
import { parseSignerKey } from "../../sumdb/note.ts";
import { fileError, whyUnread } from "./file-error.ts";

/** A key file has some 150 bytes. */
const LARGEST_KEY = 4_096;

/**
 * A signer by a key file: one line, `PRIVATE+KEY+name+hash+key`, as `modferry keygen` and golang.org/x/mod/sumdb/note
 * print it. @throws MirrorError misuse naming the file; the message never holds the key.
 */
export async function fileSigner(path: string): Promise<BundleSigner> {
  let text: string;
  try {
    text = (await readFile(path)).subarray(0, LARGEST_KEY).toString("latin1").trim();
  } catch (thrown) {
    throw misuse("--key", `--key ${path}: ${whyUnread(thrown)}`, thrown);
  }
  try {
    const signer = parseSignerKey(text);
    return { verifierKey: verifierKeyOf(text), sign: async (message) => signer.sign(message) };
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw misuse(
      "--key",
      `--key ${path}: no signer's key (PRIVATE+KEY+…); \`modferry keygen\` makes one`,
      cause,
    );
  }
}

/** The public half of a signer's key. */
function verifierKeyOf(signerKey: string): string {
  const [, , name = "", hexHash = "", ...rest] = signerKey.split("+");
  const seed = Buffer.from(rest.join("+"), "base64").subarray(1);
  const der = Buffer.concat([PKCS8_PREFIX, seed]);
  const key = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
  const raw = Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");
  return `${name}+${hexHash}+${Buffer.concat([ED25519, raw]).toString("base64")}`;
}

const ED25519 = Buffer.of(1);
/** PKCS #8 of an Ed25519 seed: a fixed prefix (RFC 8410, section 7) and the 32 bytes. */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/**
 * A new pair of keys in note format (golang.org/x/mod/sumdb/note, GenerateKey).
 * @param name of whoever signs: no spaces, no `+`.
 */
export function generateKeys(name: string): { readonly signerKey: string; readonly verifierKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const seed = privateKey.export({ format: "der", type: "pkcs8" }).subarray(-32);
  const raw = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  const key = Buffer.concat([ED25519, raw]);
  const keyHash = hash("sha256", Buffer.concat([Buffer.from(`${name}\n`), key]), "hex").slice(0, 8);
  return {
    signerKey: `PRIVATE+KEY+${name}+${keyHash}+${Buffer.concat([ED25519, seed]).toString("base64")}`,
    verifierKey: `${name}+${keyHash}+${key.toString("base64")}`,
  };
}

/** Writes a key that only its owner may read; one that is there already is never replaced. */
export async function writeKeyFile(path: string, key: string): Promise<void> {
  try {
    const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      await file.writeFile(`${key}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST")
      throw misuse("--to", `--to ${path}: there already; a key is never replaced, name another file`, error);
    throw fileError(error, path);
  }
}
