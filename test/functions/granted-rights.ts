import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { type ConfigurationInput, defineMirror } from "../../infra/configuration.ts";
import { addMirror } from "../../infra/mirror-app.ts";
import type { Needed } from "./recorded-calls.ts";

interface Statement {
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
}
interface Resource {
  readonly Type: string;
  readonly Properties?: { readonly PolicyDocument?: { readonly Statement: readonly Statement[] } } & Record<
    string,
    unknown
  >;
}

/** The secret with the token of the mirror's desk. */
export const REQUEST_TOKEN = "modferry/requests";

/** What comes with every function and is not its own calls: its log, and Lambda's polling of its queues. */
const BY_LAMBDA = /^(logs:|sqs:(ReceiveMessage|DeleteMessage|GetQueueAttributes)$)/;

/**
 * By function's construct (`Plan`, `Work`, …): each action on each resource pattern that its role allows, in a mirror with
 * the checksum database of this verifier key.
 */
export function grantedRights(key: string, more: Partial<ConfigurationInput> = {}): Map<string, Needed[]> {
  const stacks = addMirror(
    new App(),
    defineMirror({
      name: "mirror",
      upstreams: [{ name: "public", url: "https://goproxy.example.com" }],
      sumdb: [{ key }],
      feeds: { poll: {} },
      snapshots: {},
      garbage: { every: "1d" },
      schedule: { scrub: {} },
      endpoint: { requests: { tokenSecret: REQUEST_TOKEN } },
      ...more,
    }),
  );
  const granted = new Map<string, Needed[]>();
  for (const stack of [stacks.pipeline, stacks.endpoint]) {
    const resources = Template.fromStack(stack).toJSON().Resources as Record<string, Resource>;
    for (const [id, { Type, Properties }] of Object.entries(resources)) {
      const owner = /^(.+?)RoleDefaultPolicy/.exec(id)?.[1];
      if (Type !== "AWS::IAM::Policy" || owner === undefined || owner.endsWith("Schedule")) continue;
      const rights = (Properties?.PolicyDocument?.Statement ?? []).flatMap(({ Action, Resource }) =>
        [Action]
          .flat()
          .flatMap((action) =>
            [Resource]
              .flat()
              .map((resource) => ({ action, resource: shortName(print(resource, resources)) })),
          ),
      );
      granted.set(
        owner,
        rights.filter(({ action }) => !BY_LAMBDA.test(action)),
      );
    }
  }
  return granted;
}

/** Whether a granted right covers a needed one; IAM's `*` matches slashes too. */
export function covers(granted: Needed, needed: Needed): boolean {
  const escaped = granted.resource.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*");
  return granted.action === needed.action && new RegExp(`^${escaped}$`).test(needed.resource);
}

function print(value: unknown, resources: Readonly<Record<string, Resource>>): string {
  if (typeof value === "string") return value;
  const object = value as Record<string, unknown>;
  if (typeof object.Ref === "string") return `<${object.Ref}>`;
  if (Array.isArray(object["Fn::GetAtt"])) {
    const [id] = object["Fn::GetAtt"] as [string];
    return `arn:queue:${resources[id]?.Properties?.QueueName}`;
  }
  const [separator, parts] = object["Fn::Join"] as [string, unknown[]];
  return parts.map((part) => print(part, resources)).join(separator);
}

function shortName(arn: string): string {
  const [, bucket, key] = /:::mirror-(tree|vault|bundles)-[^/]*(\/.*)?$/.exec(arn) ?? [];
  if (bucket !== undefined) return `${bucket}${key ?? ""}`;
  const [, index] = /:table\/mirror-ledger(\/.*)?$/.exec(arn) ?? [];
  if (arn.includes(":table/")) return `table${index ?? ""}`;
  const [, secret] = /:secret:(.*)-\?{6}$/.exec(arn) ?? [];
  if (secret !== undefined) return `secret/${secret}`;
  if (arn.endsWith(":mirror-bundles")) return "bundles-queue";
  return arn.replace(/^arn:queue:mirror-/, "");
}
