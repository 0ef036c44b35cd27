import { generateKeys, writeKeyFile } from "../adapters/local/file-signer.ts";
import { misuse } from "../mirror/errors.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** `modferry keygen NAME --to FILE`: makes a signer's key; what others are to trust is printed. */
export async function keygen(
  options: Options,
  _environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const [name, surplus] = options.arguments;
  if (name === undefined || surplus !== undefined || !/^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$/.test(name))
    throw misuse("NAME", "NAME: give one name for the signer, such as ferry.example.com, without spaces");
  if (options.to === undefined)
    throw misuse("--to", "--to: not given; name the file that is to hold the key: --to FILE");
  const { signerKey, verifierKey } = generateKeys(name);
  await writeKeyFile(options.to, signerKey);
  if (options.json) output.print(jsonLine({ event: "keygen", file: options.to, verifierKey }));
  else {
    output.error(`modferry: ${options.to} holds the key; keep it secret. What others are to trust:`);
    output.print(verifierKey);
  }
  return 0;
}
