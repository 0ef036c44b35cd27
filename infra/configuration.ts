import { z } from "zod";
import { checkEngine, engineFields } from "../adapters/configuration/engine.ts";
import { secretName } from "../adapters/configuration/fields.ts";
import { misuse } from "../mirror/errors.ts";

/** EventBridge Scheduler's rates, singular for 1 and never 0, and cron lines of six fields (User Guide, Schedule types). */
const schedule = z
  .string()
  .regex(
    /^(rate\((1 (minute|hour|day)|([2-9]|[1-9]\d{1,4}) (minutes|hours|days))\)|cron\(\S{1,64}( \S{1,64}){5}\))$/,
    "give rate(1 minute), rate(10 minutes) or cron(…) with six fields",
  );

const endpointIds = z
  .array(z.string().regex(/^vpce-[0-9a-f]+$/, "such as vpce-0123456789abcdef0"))
  .default([]);

/** All fields; docs/configuration.md says what each means. */
export const configurationShape = z.strictObject({
  /** Part of the names of all that is deployed; several mirrors in one account have different ones. */
  name: z.string().regex(/^[a-z][a-z0-9-]{1,19}$/, "2 to 20 lower-case letters, digits and hyphens"),
  ...engineFields,
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
      /** Takes requests below /-/requests from whoever has the token; left out: from nobody. */
      requests: z
        .strictObject({
          /** Name of the secret in Secrets Manager; its value is the token, one line of text. */
          tokenSecret: secretName,
        })
        .optional(),
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

export type Configuration = z.output<typeof configurationShape>;
export type ConfigurationInput = z.input<typeof configurationShape>;

/** Checks a configuration. @throws MirrorError misuse naming the field and what would be right, one line. */
export function defineMirror(input: ConfigurationInput): Configuration {
  const parsed = configurationShape.superRefine(checkEngine).safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const field =
    [...(issue?.path ?? []), ...(unknown === undefined ? [] : [unknown])].join(".") || "configuration";
  const problem =
    unknown === undefined ? issue?.message : "no such field; docs/configuration.md lists them all";
  throw misuse(field, `configuration: ${field}: ${problem ?? "not understood"}`);
}

/** The secrets that upstreams and the way to them are asked with. */
export function sourceSecrets({ upstreams, egress }: Pick<Configuration, "upstreams" | "egress">): string[] {
  const tokens = upstreams.map(({ token }) => token?.secret);
  return [...tokens, egress.proxySecret].filter((name) => name !== undefined);
}
