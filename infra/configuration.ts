import { z } from "zod";
import { parseSumdbs, printSumdb } from "../adapters/upstream/sumdb-option.ts";
import { modulePath } from "../gomod/module-path.ts";
import { arePathPatterns } from "../gomod/path-pattern.ts";
import { misuse } from "../mirror/errors.ts";
import { PUBLIC_DATABASE_KEY } from "../sumdb/known-databases.ts";
import { parseVerifierKey } from "../sumdb/note.ts";
import { TILE_EXTENTS } from "../sumdb/tile-extent.ts";

/** Passes `parse`, and says its error as the field's. */
function parsedBy(parse: (text: string) => unknown) {
  return z.string().superRefine((text, context) => {
    try {
      parse(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
    }
  });
}

/** EventBridge Scheduler's rates, singular for 1 and never 0, and cron lines of six fields (User Guide, Schedule types). */
const schedule = z
  .string()
  .regex(
    /^(rate\((1 (minute|hour|day)|([2-9]|[1-9]\d{1,4}) (minutes|hours|days))\)|cron\(\S{1,64}( \S{1,64}){5}\))$/,
    "give rate(1 minute), rate(10 minutes) or cron(…) with six fields",
  );

/**
 * A function's environment, names and values, has 4 KB (AWS Lambda quotas): with these bounds all that the
 * configuration puts there fits beside the names of queues, buckets and table. The poll list travels in the asset.
 */
const LONGEST_URL = 512;
const LONGEST_SUMDB = 1_024;
const LONGEST_NO_SUMDB = 1_800;

/** Functions show their environment in the console, and the template is in the clear: no secret may be in a URL. */
const plainUrl = z
  .url({ protocol: /^https?$/ })
  .max(LONGEST_URL)
  .refine((text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return url?.username === "" && url.password === "" && url.search === "" && url.hash === "";
  }, "must not hold a user name, a password, a query or a fragment: deployed functions would show it");

const sumdb = z.strictObject({
  /** Its verifier key, as GOSUMDB has it. */
  key: parsedBy(parseVerifierKey),
  /** Its own address; without it, it is asked through the upstream's /sumdb/. */
  url: plainUrl.optional(),
  /** GONOSUMDB patterns of the module paths that it covers; left out: all that no other database names, `*`: all. */
  modules: z
    .array(
      z
        .string()
        .refine(
          (glob) => !glob.includes(",") && arePathPatterns(glob),
          "give a pattern of module paths, such as corp.example or *.corp.example",
        ),
    )
    .min(1)
    .optional(),
});

/** As the functions' environment holds them: a JSON array of what `--sumdb` takes. */
export function printSumdbs(databases: readonly z.output<typeof sumdb>[]): string {
  const print = ({ key, url, modules }: z.output<typeof sumdb>) =>
    printSumdb({ key, url, modules: modules?.join(",") });
  return JSON.stringify(databases.map(print));
}

/** Of all databases, with the public one where it covers the rest. */
export function sumdbNames(databases: readonly z.output<typeof sumdb>[]): readonly string[] {
  return parseSumdbs(JSON.parse(printSumdbs(databases))).map(({ verifier }) => verifier.name);
}

function checkSumdbs(databases: readonly z.output<typeof sumdb>[], context: z.RefinementCtx): void {
  const printed = printSumdbs(databases);
  try {
    parseSumdbs(JSON.parse(printed));
  } catch (error) {
    const message = error instanceof Error ? error.message.replace(/^--sumdb: /, "") : String(error);
    context.addIssue({ code: "custom", message });
  }
  if (Buffer.byteLength(printed) > LONGEST_SUMDB) {
    const message = `more than ${LONGEST_SUMDB} bytes together, which a function's environment does not hold; use shorter patterns`;
    context.addIssue({ code: "custom", message });
  }
}

const endpointIds = z
  .array(z.string().regex(/^vpce-[0-9a-f]+$/, "such as vpce-0123456789abcdef0"))
  .default([]);

const shape = z.strictObject({
  /** Part of the names of all that is deployed; several mirrors in one account have different ones. */
  name: z.string().regex(/^[a-z][a-z0-9-]{1,19}$/, "2 to 20 lower-case letters, digits and hyphens"),
  upstream: z.strictObject({
    /** A GOPROXY, perhaps with a path. */
    url: plainUrl,
    /** Checksum databases; of those that cover a module the first must have it, and all that have it must agree. */
    sumdb: z
      .array(sumdb)
      .min(1, "name at least one, or leave it out for the public one")
      .default([{ key: PUBLIC_DATABASE_KEY }])
      .superRefine(checkSumdbs),
    /**
     * How many of each database's tiles are held: `needed`, `upper` (all above the lowest level) or `full`, 2 GB of the
     * public one, for islands and static copies of the tree (sumdb/tile-extent.ts).
     */
    sumdbTiles: z.enum(TILE_EXTENTS).default("upper"),
    /** GONOSUMDB patterns of module paths that no checksum database covers. */
    noSumdb: z
      .array(z.string().min(1))
      .refine(
        (patterns) => Buffer.byteLength(patterns.join(",")) <= LONGEST_NO_SUMDB,
        `more than ${LONGEST_NO_SUMDB} bytes together, which a function's environment does not hold; use shorter prefixes`,
      )
      .default([]),
  }),
  /** Modules whose `@v/list` is polled; every new version becomes a root. */
  modules: z.array(parsedBy(modulePath)).default([]),
  schedule: z
    .strictObject({
      plan: schedule.default("rate(10 minutes)"),
      reconcile: schedule.default("rate(1 minute)"),
    })
    .default({ plan: "rate(10 minutes)", reconcile: "rate(1 minute)" }),
  alarms: z
    .strictObject({
      /** An SNS topic that is told of alarms, and when they end. Its own policy must let CloudWatch publish. */
      topicArn: z
        .string()
        .regex(
          /^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}$/,
          "give an SNS topic's ARN, such as arn:aws:sns:eu-central-1:123456789012:alarms",
        )
        .optional(),
    })
    .default({}),
  limits: z
    .strictObject({
      /** Functions at work on one queue at a time; SQS takes 2 at least. */
      workers: z.int().min(2).max(100).default(8),
    })
    .default({ workers: 8 }),
  endpoint: z
    .strictObject({
      /** Existing interface endpoints for execute-api. None: the API answers nobody until one is named. */
      vpcEndpointIds: endpointIds,
      /** Endpoints for S3 through which clients follow presigned links. None: links work from any network. */
      s3VpcEndpointIds: endpointIds,
      /**
       * Whether the endpoint gets tiles of a checksum database that the tree lacks from the upstream, proves and stores
       * them. Its function is outside of any VPC and so can; without it, it has no right to write.
       */
      fetchesTiles: z.boolean().default(true),
    })
    .default({ vpcEndpointIds: [], s3VpcEndpointIds: [], fetchesTiles: true }),
  aws: z
    .strictObject({
      region: z
        .string()
        .regex(/^[a-z]{2}(-[a-z]+)+-\d$/)
        .optional(),
      account: z
        .string()
        .regex(/^\d{12}$/)
        .optional(),
      /** Set on every role that is made. */
      permissionsBoundary: z
        .string()
        .regex(
          /^arn:aws[a-z-]*:iam::(\d{12}|aws):policy\/[\w+=,.@/-]{1,640}$/,
          "give a managed policy's ARN, such as arn:aws:iam::123456789012:policy/boundary",
        )
        .optional(),
      logRetentionDays: z.union([z.literal(7), z.literal(30), z.literal(90), z.literal(365)]).default(90),
      tags: z.record(z.string(), z.string()).default({}),
    })
    .default({ logRetentionDays: 90, tags: {} }),
});

export type Configuration = z.output<typeof shape>;
export type ConfigurationInput = z.input<typeof shape>;

/** Checks a configuration. @throws MirrorError misuse naming the field and what would be right, one line. */
export function defineMirror(input: ConfigurationInput): Configuration {
  const parsed = shape.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const field =
    [...(issue?.path ?? []), ...(unknown === undefined ? [] : [unknown])].join(".") || "configuration";
  const problem =
    unknown === undefined ? issue?.message : "no such field; infra/configuration.ts lists them all";
  throw misuse(field, `configuration: ${field}: ${problem ?? "not understood"}`);
}
