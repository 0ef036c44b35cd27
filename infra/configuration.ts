import { z } from "zod";
import { modulePath } from "../gomod/module-path.ts";
import { misuse } from "../mirror/errors.ts";
import { PUBLIC_DATABASE_KEY } from "../sumdb/known-databases.ts";
import { parseVerifierKey } from "../sumdb/note.ts";

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
const LONGEST_KEY = 256;
const LONGEST_NO_SUMDB = 1_800;

/** Functions show their environment in the console, and the template is in the clear: no secret may be in a URL. */
const plainUrl = z
  .url({ protocol: /^https?$/ })
  .max(LONGEST_URL)
  .refine((text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return url?.username === "" && url.password === "" && url.search === "" && url.hash === "";
  }, "must not hold a user name, a password, a query or a fragment: deployed functions would show it");

const endpointIds = z
  .array(z.string().regex(/^vpce-[0-9a-f]+$/, "such as vpce-0123456789abcdef0"))
  .default([]);

const shape = z.strictObject({
  /** Part of the names of all that is deployed; several mirrors in one account have different ones. */
  name: z.string().regex(/^[a-z][a-z0-9-]{1,19}$/, "2 to 20 lower-case letters, digits and hyphens"),
  upstream: z.strictObject({
    /** A GOPROXY, perhaps with a path. */
    url: plainUrl,
    /** The checksum database's verifier key, as GOSUMDB has it. */
    sumdbKey: parsedBy(parseVerifierKey)
      .refine((key) => key.length <= LONGEST_KEY, `longer than ${LONGEST_KEY} bytes`)
      .default(PUBLIC_DATABASE_KEY),
    /** The database's own address; without it, it is asked through the upstream's /sumdb/. */
    sumdbUrl: plainUrl.optional(),
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
    })
    .default({ vpcEndpointIds: [], s3VpcEndpointIds: [] }),
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
