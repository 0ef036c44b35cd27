import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { ENGINE_FILE, type EngineConfiguration, parseEngine } from "../adapters/configuration/engine.ts";
import { misuse } from "../mirror/errors.ts";

/** What a function's environment says, read once at start-up. infra/ writes it (infra/pipeline-stack.ts). */
export interface FunctionEnvironment {
  /** The configuration's name, and which function of it this is: `work`. */
  readonly mirror: string;
  readonly program: string;
  readonly region: string;
  readonly endpointUrl: string | undefined;
  readonly treeBucket: string;
  readonly vaultBucket: string;
  readonly table: string;
  readonly queues: { readonly fresh: string; readonly backfill: string } | undefined;
  /** What is mirrored, from where and under which policy. */
  readonly engine: EngineConfiguration;
  /** Whether the endpoint gets tiles that the tree lacks from the upstream. */
  readonly fetchesTiles: boolean;
  /** The secret with the token that the endpoint takes requests with; undefined where it takes none. */
  readonly requestTokenSecret: string | undefined;
  /** Where bundles come in, and what wakes the function that takes them; of that function alone. */
  readonly bundles: { readonly bucket: string; readonly queue: string } | undefined;
  /** The ARN of what S3 runs checksum jobs as; of scrub alone, where they are configured. */
  readonly batchRole: string | undefined;
}

const optional = z
  .string()
  .optional()
  .transform((text) => (text === "" ? undefined : text));

const shape = z.object({
  MODFERRY_NAME: z.string().default("modferry"),
  AWS_LAMBDA_FUNCTION_NAME: optional,
  AWS_REGION: z.string().min(1),
  AWS_ENDPOINT_URL: optional,
  MODFERRY_TREE_BUCKET: z.string().min(3),
  MODFERRY_VAULT_BUCKET: z.string().min(3),
  MODFERRY_TABLE: z.string().min(3),
  MODFERRY_FRESH_QUEUE_URL: optional,
  MODFERRY_BACKFILL_QUEUE_URL: optional,
  /** Beside the code, unless it is an absolute path. */
  MODFERRY_ENGINE_FILE: z.string().default(ENGINE_FILE),
  MODFERRY_FETCHES_TILES: z.enum(["yes", "no"]).default("no"),
  MODFERRY_REQUEST_TOKEN_SECRET: optional,
  MODFERRY_BUNDLE_BUCKET: optional,
  MODFERRY_BUNDLE_QUEUE_URL: optional,
  MODFERRY_BATCH_ROLE: optional,
});

/**
 * @param folder where the function's code lies, and its configuration beside it.
 * @throws MirrorError misuse naming the variable, or the configuration's field.
 */
export function readFunctionEnvironment(
  env: NodeJS.ProcessEnv,
  folder = import.meta.dirname,
): FunctionEnvironment {
  const parsed = shape.safeParse(env);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw misuse(
      String(issue?.path[0]),
      `environment: ${String(issue?.path[0])}: ${issue?.message}; deploy the stacks again`,
    );
  }
  const values = parsed.data;
  const { MODFERRY_FRESH_QUEUE_URL: fresh, MODFERRY_BACKFILL_QUEUE_URL: backfill } = values;
  const { MODFERRY_BUNDLE_BUCKET: bucket, MODFERRY_BUNDLE_QUEUE_URL: queue } = values;
  const { MODFERRY_NAME: mirror, AWS_LAMBDA_FUNCTION_NAME: named = "function" } = values;
  return {
    mirror,
    program: named.startsWith(`${mirror}-`) ? named.slice(mirror.length + 1) : named,
    region: values.AWS_REGION,
    endpointUrl: values.AWS_ENDPOINT_URL,
    treeBucket: values.MODFERRY_TREE_BUCKET,
    vaultBucket: values.MODFERRY_VAULT_BUCKET,
    table: values.MODFERRY_TABLE,
    queues: fresh === undefined || backfill === undefined ? undefined : { fresh, backfill },
    engine: readEngine(resolve(folder, values.MODFERRY_ENGINE_FILE)),
    fetchesTiles: values.MODFERRY_FETCHES_TILES === "yes",
    requestTokenSecret: values.MODFERRY_REQUEST_TOKEN_SECRET,
    bundles: bucket === undefined || queue === undefined ? undefined : { bucket, queue },
    batchRole: values.MODFERRY_BATCH_ROLE,
  };
}

function readEngine(file: string): EngineConfiguration {
  try {
    const engine = parseEngine(readFileSync(file, "utf8"));
    const { extraCa } = engine.egress;
    if (extraCa === undefined) return engine;
    return { ...engine, egress: { ...engine.egress, extraCa: resolve(dirname(file), extraCa) } };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n", 1)[0] : String(cause);
    throw misuse(file, `${file}: ${reason}; deploy the stacks again`, cause);
  }
}
