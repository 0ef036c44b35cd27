import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AwsSettings, clientOptions } from "../../adapters/aws/clients.ts";
import { kmsKey } from "../../adapters/aws/kms-key.ts";
import { kmsSigner } from "../../adapters/aws/kms-signer.ts";
import { bundleText, openSigned, signedNote } from "../../mirror/bundle/bundle-signer.ts";
import { describeWithEmulator, emulatedAws, stopEmulator } from "./ministack.ts";

const TEXT = bundleText("full_20260131T235959Z-0123456789abcdef", "0".repeat(64));

describeWithEmulator("a key in KMS", () => {
  let settings: AwsSettings;
  beforeAll(async () => {
    settings = await emulatedAws();
  }, 300_000);
  afterAll(stopEmulator);
  const newKey = async (KeySpec: "ECC_NIST_EDWARDS25519" | "ECC_NIST_P256") => {
    const client = new KMSClient(clientOptions(settings));
    const { KeyMetadata } = await client.send(new CreateKeyCommand({ KeySpec, KeyUsage: "SIGN_VERIFY" }));
    return KeyMetadata?.KeyId ?? "";
  };

  test("signs what a verifier of notes takes, and never another text", async () => {
    const signer = await kmsSigner(
      "ferry.example.com",
      kmsKey(settings, await newKey("ECC_NIST_EDWARDS25519")),
    );
    const note = await signedNote(TEXT, signer);
    const trusted = [{ verifierKey: signer.verifierKey }];
    expect(openSigned(note, trusted, "bundle").text).toBe(TEXT);
    const other = Buffer.from(note).toString("utf8").replace("full_", "FULL_");
    expect(() => openSigned(Buffer.from(other), trusted, "bundle")).toThrow();
  });

  test("of another spec, or that is not there, ends in one line", async () => {
    const key = await newKey("ECC_NIST_P256");
    await expect(kmsSigner("ferry.example.com", kmsKey(settings, key))).rejects.toMatchObject({
      class: "misuse",
      message: expect.stringContaining("ECC_NIST_EDWARDS25519"),
    });
    const missing = "alias/nowhere";
    await expect(kmsSigner("ferry.example.com", kmsKey(settings, missing))).rejects.toMatchObject({
      message: expect.stringMatching(/^key alias\/nowhere: [^\n]+$/),
    });
  });
});
