import { generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { kmsSigner } from "../../../adapters/aws/kms-signer.ts";
import { generateKeys } from "../../../adapters/local/file-signer.ts";
import { bundleText, openSigned, signedNote } from "../../../mirror/bundle/bundle-signer.ts";
import { readReceipt } from "../../../mirror/bundle/receipt.ts";
import { parseSignerKey, parseVerifierKey } from "../../../sumdb/note.ts";

const TEXT = bundleText("full_20260131T235959Z-0123456789abcdef", "0".repeat(64));

function signerOf(keys: ReturnType<typeof generateKeys>) {
  const signer = parseSignerKey(keys.signerKey);
  return { verifierKey: keys.verifierKey, sign: async (text: Uint8Array) => signer.sign(text) };
}

test("keys are what the note package's own parsers take, and sign what their verifier verifies", async () => {
  const keys = generateKeys("ferry.example.com");
  expect(parseVerifierKey(keys.verifierKey).keyHash).toBe(parseSignerKey(keys.signerKey).keyHash);
  const note = await signedNote(TEXT, signerOf(keys));
  expect(openSigned(note, [{ verifierKey: keys.verifierKey }], "bundle").text).toBe(TEXT);
});

test("what another key has signed, or nobody trusted, is a mismatch", async () => {
  const note = await signedNote(TEXT, signerOf(generateKeys("ferry.example.com")));
  for (const trusted of [[], [{ verifierKey: generateKeys("ferry.example.com").verifierKey }]])
    expect(() => openSigned(note, trusted, "bundle")).toThrow(expect.objectContaining({ class: "mismatch" }));
});

test("a signer whose signature does not verify by its own key is found out before anything leaves", async () => {
  const keys = generateKeys("ferry.example.com");
  const wrong = { verifierKey: keys.verifierKey, sign: signerOf(generateKeys("ferry.example.com")).sign };
  await expect(signedNote(TEXT, wrong)).rejects.toMatchObject({ class: "misuse" });
});

describe("KMS", () => {
  test("an Ed25519 key signs what its verifier verifies; the text is far below KMS's limit", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const key = {
      publicKey: async () => publicKey.export({ format: "der", type: "spki" }),
      sign: async (message: Uint8Array) => sign(null, message, privateKey),
    };
    const signer = await kmsSigner("ferry.example.com", key);
    const note = await signedNote(TEXT, signer);
    expect(openSigned(note, [{ verifierKey: signer.verifierKey }], "bundle").text).toBe(TEXT);
    await expect(signer.sign(Buffer.alloc(4_097))).rejects.toMatchObject({ class: "misuse" });
  });

  test("a key of another spec is misuse", async () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const der = publicKey.export({ format: "der", type: "spki" });
    for (const bytes of [der, Buffer.from("no key")])
      await expect(
        kmsSigner("a.example", { publicKey: async () => bytes, sign: async (text) => text }),
      ).rejects.toMatchObject({ class: "misuse" });
  });
});

test.each([
  ["another title", "modferry bundle\n20260131T235959Z-0123456789abcdef\n2026-02-01T00:00:00.000Z\n"],
  ["no snapshot", "modferry receipt\nx\n2026-02-01T00:00:00.000Z\n"],
  ["no time", "modferry receipt\n20260131T235959Z-0123456789abcdef\nnow\n"],
  ["more lines", "modferry receipt\n20260131T235959Z-0123456789abcdef\n2026-02-01T00:00:00.000Z\nx\n"],
])("a signed text that is no receipt: %s", async (_, text) => {
  const keys = generateKeys("island.example.com");
  const note = await signedNote(text, signerOf(keys));
  expect(() => readReceipt(note, [{ verifierKey: keys.verifierKey }], "receipt")).toThrow(
    expect.objectContaining({ class: "malformed" }),
  );
});
