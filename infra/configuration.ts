import { z } from "zod";
import { checkEngine, engineFields } from "../adapters/configuration/engine.ts";
import { secretName } from "../adapters/configuration/fields.ts";
import { issueText } from "../adapters/configuration/issue-text.ts";
import { duration, milliseconds } from "../mirror/duration.ts";
import { misuse } from "../mirror/errors.ts";

/** EventBridge Scheduler's rates, singular for 1 and never 0, and cron lines of six fields (User Guide, Schedule types). */
const schedule = z
  .string()
  .regex(
    /^(rate\((1 (minute|hour|day)|([2-9]|[1-9]\d{1,4}) (minutes|hours|days))\)|cron\(\S{1,64}( \S{1,64}){5}\))$/,
    "give rate(1 minute), rate(10 minutes) or cron(…) with six fields",
  );

/** Between two scrubs by checksum jobs, in ms. */
const LEAST_BATCH = 86_400_000;

const endpointIds = z
  .array(z.string().regex(/^vpce-[0-9a-f]+$/, "such as vpce-0123456789abcdef0"))
  .default([]);

/** An id of EC2: eight digits where it is old, else seventeen. */
const ec2Ids = (kind: "subnet" | "sg", most: number) =>
  z
    .array(
      z
        .string()
        .regex(new RegExp(`^${kind}-([0-9a-f]{8}|[0-9a-f]{17})$`), `such as ${kind}-0123456789abcdef0`),
    )
    .min(1)
    .max(most)
    .refine((ids) => new Set(ids).size === ids.length, "one of them is there twice");

/** All fields; docs/configuration.md says what each means. */
export const configurationShape = z.strictObject({
  /** Part of the names of all that is deployed; several mirrors in one account have different ones. */
  name: z.string().regex(/^[a-z][a-z0-9-]{1,19}$/, "2 to 20 lower-case letters, digits and hyphens"),
  ...engineFields,
  schedule: z
    .strictObject({
      plan: schedule.default("rate(10 minutes)"),
      reconcile: schedule.default("rate(1 minute)"),
      /** What looks whether tree and ledger agree (docs/recovery.md), how often each level; left out: nothing does. */
      scrub: z
        .strictObject({
          quick: schedule.default("rate(1 day)"),
          stored: schedule.default("rate(1 day)"),
          /** Left out: never. What a call has no time for is the next one's, so it goes round by itself. */
          deep: schedule.optional(),
          /** How often S3 itself is to recompute the SHA-256 of all files, by jobs that cost money; left out: never. */
          batch: duration
            .refine(
              (text) => milliseconds(text) >= LEAST_BATCH,
              "give at least 1d, such as 30d: each costs money",
            )
            .optional(),
          /** Of a deep one, and of jobs: so many side by side, each for a part of the modules. */
          shards: z.int().min(1).max(30).default(1),
        })
        .optional(),
    })
    .default({ plan: "rate(10 minutes)", reconcile: "rate(1 minute)" }),
  /** Where the functions run; left out: in Lambda's own network, with the internet. */
  network: z
    .strictObject({
      /** Existing ones, by their ids: nothing is looked up, and nothing of the network is made (AWS Lambda, VpcConfig). */
      vpc: z
        .strictObject({
          subnets: ec2Ids("subnet", 16),
          securityGroups: ec2Ids("sg", 5),
        })
        .optional(),
    })
    .default({}),
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
        .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, "give a region, such as eu-central-1")
        .optional(),
      account: z
        .string()
        .regex(/^\d{12}$/, "give an account's 12 digits")
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
  const { field, problem } = issueText(parsed.error.issues);
  throw misuse(field, `configuration: ${field}: ${problem}`);
}

/** What a function that asks AWS through a proxy logs in there with. */
export function proxySecret({ egress }: Pick<Configuration, "egress">): string[] {
  return egress.proxySecret === undefined ? [] : [egress.proxySecret];
}

/** The secrets that upstreams and the way to them are asked with. */
export function sourceSecrets({ upstreams, egress }: Pick<Configuration, "upstreams" | "egress">): string[] {
  const tokens = upstreams.map(({ token }) => token?.secret);
  return [...tokens, egress.proxySecret].filter((name) => name !== undefined);
}
