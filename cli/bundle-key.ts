import { fileSigner } from "../adapters/local/file-signer.ts";
import type { BundleSigner } from "../mirror/bundle/bundle-signer.ts";
import { misuse } from "../mirror/errors.ts";
import type { CliEnvironment } from "./environment.ts";

const KMS = "kms:";
/** A key's ARN names its region (IAM, Amazon Resource Names). */
const ARN = /^arn:[a-z-]+:kms:([a-z0-9-]+):\d{12}:/;

/**
 * Who signs: the key file that `--key` names, or with `kms:NAME=KEY` a key in KMS, by its id, ARN or alias, whose
 * verifiers know it as NAME. @throws MirrorError misuse naming the flag.
 */
export async function openSigner(key: string, environment: CliEnvironment): Promise<BundleSigner> {
  if (!key.startsWith(KMS)) return await fileSigner(key);
  const [, name = "", id = ""] = /^([^\s+=]{1,200})=(\S{1,2048})$/.exec(key.slice(KMS.length)) ?? [];
  if (id === "")
    throw misuse("--key", `--key ${key}: give kms:NAME=KEY, such as kms:mirror.example=alias/bundles`);
  const { AWS_REGION, AWS_DEFAULT_REGION } = environment.variables;
  const region = ARN.exec(id)?.[1] ?? AWS_REGION ?? AWS_DEFAULT_REGION;
  if (region === undefined)
    throw misuse("--key", `--key ${key}: in which region? Set AWS_REGION, or name the key by its ARN`);
  // Most exports need nothing of AWS's.
  const [{ kmsSigner }, { kmsKey }] = await Promise.all([
    import("../adapters/aws/kms-signer.ts"),
    import("../adapters/aws/kms-key.ts"),
  ]);
  return await kmsSigner(name, kmsKey({ region, egress: environment.egress() }, id));
}
