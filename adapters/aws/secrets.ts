import { GetSecretValueCommand } from "@aws-sdk/client-secrets-manager";
import { MirrorError } from "../../mirror/errors.ts";
import { type AwsSettings, type RequestLimits, secretsManagerClient } from "./clients.ts";
import { fromSdk } from "./errors.ts";

/**
 * Reads secrets from Secrets Manager by name. A value is text: a token, or `USER:PASSWORD`.
 * @returns what reads one; it throws MirrorError, and no message of it holds a value.
 */
export function secretReader(
  settings: AwsSettings,
  limits?: RequestLimits,
): (name: string) => Promise<string> {
  const client = secretsManagerClient(settings, limits);
  return async (name) => {
    let text: string | undefined;
    try {
      text = (await client.send(new GetSecretValueCommand({ SecretId: name }))).SecretString;
    } catch (thrown) {
      throw fromSdk(thrown, "Secrets Manager", `secret ${name}`);
    }
    if (text !== undefined) return text;
    throw new MirrorError("unauthorized", name, `secret ${name}: holds bytes; store it as text`);
  };
}
