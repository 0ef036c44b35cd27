import { GetPublicKeyCommand, KMSClient, SignCommand } from "@aws-sdk/client-kms";
import { MirrorError } from "../../mirror/errors.ts";
import { type AwsSettings, clientOptions } from "./clients.ts";
import { translated } from "./errors.ts";
import type { KmsKey } from "./kms-signer.ts";

/**
 * A key in KMS.
 * @param id the key's id, its ARN, or an alias (`alias/…`).
 */
export function kmsKey(settings: AwsSettings, id: string): KmsKey {
  const client = new KMSClient(clientOptions(settings));
  const ask = <T>(call: () => Promise<T>): Promise<T> => translated("KMS", `key ${id}`, call);
  return {
    publicKey: async () => {
      const { PublicKey } = await ask(() => client.send(new GetPublicKeyCommand({ KeyId: id })));
      return PublicKey ?? nothing(id);
    },
    sign: async (message) => {
      const command = new SignCommand({
        KeyId: id,
        Message: message,
        MessageType: "RAW",
        SigningAlgorithm: "ED25519_SHA_512",
      });
      const { Signature } = await ask(() => client.send(command));
      return Signature ?? nothing(id);
    },
  };
}

function nothing(id: string): never {
  throw new MirrorError("transient", `key ${id}`, `key ${id}: KMS has answered with nothing; run it again`);
}
