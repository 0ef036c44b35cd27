import { App, type Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { describe, expect, test } from "vitest";
import { KEPT_BYTES } from "../../functions/bundle-parts.ts";
import { SPOOL_BYTES } from "../../functions/spool-budget.ts";
import { type ConfigurationInput, defineMirror } from "../../infra/configuration.ts";
import { addMirror } from "../../infra/mirror-app.ts";

interface Resource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
  readonly DeletionPolicy?: string;
}

const KEY = "sumdb.example.test+10968c75+AZBv9m6MKyyc9YuOdh2zQI9j0V6EAqgb36PAYuNV1HCX";
const KMS = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const TIMEOUT = 120_000;
const upstreams = [{ name: "public", url: "https://goproxy.example.com" }];

function stacksOf(bundles?: ConfigurationInput["bundles"]) {
  const input: ConfigurationInput = { name: "mirror", upstreams, ...(bundles && { bundles }) };
  const { storage, pipeline } = addMirror(new App(), defineMirror(input));
  const resources = (stack: Stack) =>
    Object.entries(Template.fromStack(stack).toJSON().Resources as Record<string, Resource>);
  return { storage: resources(storage), pipeline: resources(pipeline) };
}

const island = () => stacksOf({ inbox: true, trust: [{ key: KEY }], signer: { name: "island", key: KMS } });
const propertiesOf = (resources: readonly [string, Resource][], id: RegExp) =>
  resources.find(([name]) => id.test(name))?.[1].Properties ?? {};

describe("the inbox of bundles", { timeout: TIMEOUT }, () => {
  test("is not there, nor anything about it, unless the configuration has it", () => {
    for (const stacks of [stacksOf(), stacksOf({})])
      expect(JSON.stringify(Object.values(stacks))).not.toMatch(/[Bb]undle|Import[A-Z]/);
  });

  test("is a closed bucket that outlives its stack, and tells of each file that a bundle must have", () => {
    const { storage } = island();
    const bucket = propertiesOf(storage, /^Bundles[0-9A-F]{8}$/);
    expect(bucket).toMatchObject({
      PublicAccessBlockConfiguration: { BlockPublicAcls: true, RestrictPublicBuckets: true },
      OwnershipControls: { Rules: [{ ObjectOwnership: "BucketOwnerEnforced" }] },
    });
    expect(bucket.VersioningConfiguration).toBeUndefined();
    const { QueueConfigurations: told = [] } = bucket.NotificationConfiguration as {
      QueueConfigurations?: { Filter: { S3Key: { Rules: { Name: string; Value: string }[] } } }[];
    };
    expect(told.map(({ Filter }) => Filter.S3Key.Rules.map(({ Value }) => Value))).toEqual(
      [".tar", "bundle.json.note", "bundle.json", "README.txt"].map((suffix) => ["inbox/", suffix]),
    );
    // S3 refuses two that could tell of one object (Amazon S3, Configuring event notifications, overlapping suffixes).
    const suffixes = told.map(({ Filter }) => Filter.S3Key.Rules[1]?.Value ?? "");
    for (const a of suffixes) for (const b of suffixes) expect(a !== b && a.endsWith(b)).toBe(false);
    for (const [, { Type, DeletionPolicy }] of storage.filter(([id]) => id.startsWith("Bundles")))
      expect([Type, DeletionPolicy]).toEqual([Type, "RetainExceptOnCreate"]);
    const policy = JSON.stringify(propertiesOf(storage, /^BundlesInboxPolicy/));
    expect(policy).toContain('"Service":"s3.amazonaws.com"');
    expect(policy).toContain('"aws:SourceAccount"');
  });

  test("has one function, whose call ends with its lease, and whose /tmp holds what it spools and keeps", () => {
    const { pipeline, storage } = island();
    const imports = propertiesOf(pipeline, /^ImportFunction/);
    expect(imports).toMatchObject({ FunctionName: "mirror-import", Timeout: 300, RecursiveLoop: "Allow" });
    const { Size } = imports.EphemeralStorage as { Size: number };
    expect(Size * 1024 * 1024).toBeGreaterThan(KEPT_BYTES + SPOOL_BYTES);
    const queue = propertiesOf(storage, /^BundlesInbox[0-9A-F]{8}$/);
    // Lambda takes no queue whose messages come back before a call has ended.
    expect(queue.VisibilityTimeout).toBeGreaterThan(Number(imports.Timeout));
    const sources = pipeline.filter(([id]) => /^ImportFunctionSqsEventSource/.test(id));
    expect(sources).toHaveLength(1);
    expect(sources[0]?.[1].Properties).toMatchObject({
      BatchSize: 10,
      ScalingConfig: { MaximumConcurrency: 2 },
    });
  });

  test("a refused bundle, and a message that comes to nothing, set off an alarm", () => {
    const { pipeline } = island();
    const names = pipeline.flatMap(([, { Type, Properties = {} }]) =>
      Type === "AWS::CloudWatch::Alarm" ? [Properties.AlarmName] : [],
    );
    expect(names).toContain("mirror: bundle refused");
    expect(names).toContain("mirror: dead letters in mirror-bundles-dead");
    const filter = propertiesOf(pipeline, /^BundleRefusedAlarm/);
    expect(JSON.stringify(filter)).toContain('$.event.action = \\"bundle-refused\\"');
  });

  test("the function may write its answers beside a bundle and nothing else there, and use one key", () => {
    const policy = propertiesOf(island().pipeline, /^ImportRoleDefaultPolicy/);
    const { Statement } = policy.PolicyDocument as {
      Statement: { Action: string | string[]; Resource: unknown }[];
    };
    const keysOf = (action: string) =>
      Statement.filter(({ Action }) => [Action].flat().includes(action)).flatMap(({ Resource }) =>
        [...JSON.stringify(Resource).matchAll(/"(\/inbox[^"]*)"/g)].map(([, key]) => key),
      );
    expect(keysOf("s3:PutObject").sort()).toEqual([
      "/inbox/*needs.json",
      "/inbox/*receipt.json",
      "/inbox/*receipt.note",
      "/inbox/*refused.json",
    ]);
    expect(keysOf("s3:DeleteObject").sort()).toEqual(["/inbox/*needs.json", "/inbox/*refused.json"]);
    const kms = Statement.filter(({ Action }) => JSON.stringify(Action).includes("kms:"));
    expect(kms).toEqual([{ Effect: "Allow", Action: ["kms:GetPublicKey", "kms:Sign"], Resource: KMS }]);
  });

  test.each<[unknown, string]>([
    [{ inbox: true }, "bundles.trust"],
    [{ inbox: true, trust: [{ key: "no key" }] }, "bundles.trust.0.key"],
    [{ inbox: true, trust: [{ key: KEY, notAfter: "soon" }] }, "bundles.trust.0.notAfter"],
    [{ signer: { name: "island", key: "alias/bundles" } }, "bundles.signer.key"],
    [{ signer: { name: "two words", key: KMS } }, "bundles.signer.name"],
    [{ outbox: true }, "bundles.outbox"],
  ])("%j is refused by its field", (bundles, field) => {
    const input = { name: "mirror", upstreams, bundles } as ConfigurationInput;
    expect(() => defineMirror(input)).toThrow(
      new RegExp(`^configuration: ${field.replace(/[.[\]]/g, "\\$&")}: `),
    );
  });
});
