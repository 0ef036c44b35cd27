import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { parseSumdbs, type SumdbOption } from "../adapters/upstream/sumdb-option.ts";
import { type ModulePath, modulePath } from "../gomod/module-path.ts";
import { misuse } from "../mirror/errors.ts";
import { TILE_EXTENTS, type TileExtent } from "../sumdb/tile-extent.ts";

/** What a function's environment says, read once at start-up. infra/ writes it (infra/pipeline-stack.ts). */
export interface FunctionEnvironment {
  readonly region: string;
  readonly endpointUrl: string | undefined;
  readonly treeBucket: string;
  readonly vaultBucket: string;
  readonly table: string;
  readonly queues: { readonly fresh: string; readonly backfill: string } | undefined;
  readonly upstream: string | undefined;
  readonly sumdbs: readonly SumdbOption[] | undefined;
  /** How many of each checksum database's tiles are held. */
  readonly sumdbTiles: TileExtent;
  /** GONOSUMDB patterns, comma-separated. */
  readonly noSumdb: string;
  /** What the poll feed asks. */
  readonly modules: readonly ModulePath[];
}

const optional = z
  .string()
  .optional()
  .transform((text) => (text === "" ? undefined : text));

const shape = z.object({
  AWS_REGION: z.string().min(1),
  AWS_ENDPOINT_URL: optional,
  MODFERRY_TREE_BUCKET: z.string().min(3),
  MODFERRY_VAULT_BUCKET: z.string().min(3),
  MODFERRY_TABLE: z.string().min(3),
  MODFERRY_FRESH_QUEUE_URL: optional,
  MODFERRY_BACKFILL_QUEUE_URL: optional,
  MODFERRY_UPSTREAM: optional,
  MODFERRY_SUMDB: optional,
  MODFERRY_SUMDB_TILES: z.enum(TILE_EXTENTS).default("upper"),
  MODFERRY_NO_SUMDB: z.string().default(""),
  MODFERRY_MODULES_FILE: optional,
});

/** @throws MirrorError misuse naming the variable. */
export function readFunctionEnvironment(env: NodeJS.ProcessEnv): FunctionEnvironment {
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
  return {
    region: values.AWS_REGION,
    endpointUrl: values.AWS_ENDPOINT_URL,
    treeBucket: values.MODFERRY_TREE_BUCKET,
    vaultBucket: values.MODFERRY_VAULT_BUCKET,
    table: values.MODFERRY_TABLE,
    queues: fresh === undefined || backfill === undefined ? undefined : { fresh, backfill },
    upstream: values.MODFERRY_UPSTREAM,
    sumdbs: values.MODFERRY_SUMDB === undefined ? undefined : readSumdbs(values.MODFERRY_SUMDB),
    sumdbTiles: values.MODFERRY_SUMDB_TILES,
    noSumdb: values.MODFERRY_NO_SUMDB,
    modules: values.MODFERRY_MODULES_FILE === undefined ? [] : readModules(values.MODFERRY_MODULES_FILE),
  };
}

/** The list that the poll feed asks lies beside the bundle: it may be longer than an environment. */
function readModules(file: string): ModulePath[] {
  try {
    const text = readFileSync(resolve(import.meta.dirname, file), "utf8");
    return z.array(z.string()).parse(JSON.parse(text)).map(modulePath);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n", 1)[0] : String(cause);
    throw misuse("MODFERRY_MODULES_FILE", `environment: ${file}: ${reason}; deploy the stacks again`, cause);
  }
}

/** A JSON array of what `--sumdb` takes. */
function readSumdbs(text: string): readonly SumdbOption[] {
  try {
    return parseSumdbs(z.array(z.string()).min(1).parse(JSON.parse(text)));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n", 1)[0] : String(cause);
    throw misuse("MODFERRY_SUMDB", `environment: MODFERRY_SUMDB: ${reason}; deploy the stacks again`, cause);
  }
}
