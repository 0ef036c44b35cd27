import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { beforeAll, describe, expect, test } from "vitest";
import { defineMirror } from "../../infra/configuration.ts";
import { addMirror } from "../../infra/mirror-app.ts";

interface Resource {
  readonly Type: string;
  readonly Properties?: Record<string, unknown>;
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
}

interface PolicyDocument {
  readonly Statement: readonly { readonly Action: string | readonly string[]; readonly Resource: unknown }[];
}

type Template_ = ReturnType<Template["toJSON"]>;

describe("the stacks", () => {
  const templates: Record<string, Template_> = {};
  const resources = (stack: string, type: string): Resource[] =>
    Object.values((templates[stack]?.Resources ?? {}) as Record<string, Resource>).filter(
      (resource) => resource.Type === type,
    );
  const all = () =>
    Object.values(templates).flatMap((template) => Object.values(template.Resources as object)) as Resource[];

  beforeAll(() => {
    const app = new App();
    const upstream = { url: "https://goproxy.example.com", noSumdb: ["example.com/internal/*"] };
    const endpoint = { vpcEndpointIds: ["vpce-0123456789abcdef0"] };
    const stacks = addMirror(
      app,
      defineMirror({ name: "mirror", upstream, endpoint, modules: ["example.com/a"] }),
    );
    for (const [name, stack] of Object.entries(stacks)) templates[name] = Template.fromStack(stack).toJSON();
  }, 120_000);

  test("storage outlives its stack: buckets, table and inbox are retained", () => {
    const kept = ["AWS::S3::Bucket", "AWS::DynamoDB::Table"].flatMap((type) => resources("storage", type));
    expect(kept).toHaveLength(3);
    for (const resource of kept) {
      expect([resource.Type, resource.DeletionPolicy, resource.UpdateReplacePolicy]).toEqual([
        resource.Type,
        "Retain",
        "Retain",
      ]);
    }
    const inbox = resources("storage", "AWS::SQS::Queue").filter(
      (queue) => queue.Properties?.RedrivePolicy !== undefined,
    );
    expect(inbox.map((queue) => queue.DeletionPolicy)).toEqual(["Retain"]);
  });

  test("buckets are versioned, encrypted and closed; the table has point-in-time recovery and deletion protection", () => {
    for (const bucket of resources("storage", "AWS::S3::Bucket")) {
      expect(bucket.Properties).toMatchObject({
        VersioningConfiguration: { Status: "Enabled" },
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
      });
      expect(bucket.Properties?.BucketEncryption).toBeDefined();
    }
    expect(resources("storage", "AWS::DynamoDB::Table")[0]?.Properties).toMatchObject({
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      DeletionProtectionEnabled: true,
      SSESpecification: { SSEEnabled: true },
    });
  });

  test("only the inbox prefix of the vault triggers", () => {
    const configured = resources("storage", "AWS::S3::Bucket").map(
      (bucket) => bucket.Properties?.NotificationConfiguration,
    );
    const filters = configured.filter((configuration) => configuration !== undefined);
    expect(filters).toHaveLength(1);
    expect(JSON.stringify(filters)).toContain('"Value":"inbox/requests/"');
  });

  test("there is no custom resource and nothing is exported from stack to stack", () => {
    expect(
      all().filter(({ Type }) => Type.startsWith("Custom::") || Type.includes("CustomResource")),
    ).toEqual([]);
    expect(JSON.stringify(templates)).not.toContain("Fn::ImportValue");
    expect(JSON.stringify(templates)).not.toContain('"Export"');
  });

  test("no role may delete an object, and no policy has a wildcard action or an open resource", () => {
    const statements = all()
      .filter(({ Type }) => Type === "AWS::IAM::Policy")
      .flatMap(({ Properties = {} }) => (Properties.PolicyDocument as PolicyDocument).Statement);
    expect(statements.length).toBeGreaterThan(10);
    const actions = statements.flatMap(({ Action }) => Action);
    expect(actions.filter((action) => action.includes("*") || action.startsWith("s3:Delete"))).toEqual([]);
    expect(statements.filter(({ Resource }) => JSON.stringify(Resource) === '"*"')).toEqual([]);
  });

  test("the endpoint's function can write nothing", () => {
    const policies = resources("endpoint", "AWS::IAM::Policy");
    const actions = [...JSON.stringify(policies).matchAll(/"((?:s3|dynamodb|sqs):[A-Za-z]+)"/g)].map(
      ([, action]) => action,
    );
    expect(new Set(actions)).toEqual(
      new Set([
        "s3:GetObject",
        "s3:ListBucket",
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
      ]),
    );
  });

  test("queues give a worker six times its time-out and send what crashes five times aside", () => {
    const functions = resources("pipeline", "AWS::Lambda::Function");
    const longest = Math.max(...functions.map(({ Properties }) => Number(Properties?.Timeout)));
    const queues = resources("pipeline", "AWS::SQS::Queue").filter(
      ({ Properties }) => Properties?.RedrivePolicy !== undefined,
    );
    expect(queues).toHaveLength(2);
    for (const { Properties } of queues) {
      expect(Number(Properties?.VisibilityTimeout)).toBeGreaterThanOrEqual(6 * longest);
      expect(Properties?.RedrivePolicy).toMatchObject({ maxReceiveCount: 5 });
    }
  });

  test("schedules do not retry, nor does Lambda behind them", () => {
    const schedules = resources("pipeline", "AWS::Scheduler::Schedule");
    expect(schedules).toHaveLength(2);
    for (const { Properties } of schedules) {
      expect(Properties?.Target).toMatchObject({
        RetryPolicy: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 },
      });
    }
    const invokes = resources("pipeline", "AWS::Lambda::EventInvokeConfig");
    expect(invokes.map(({ Properties }) => Properties?.MaximumRetryAttempts)).toEqual([0, 0]);
  });

  test("the API is private, admits the named VPC endpoints only, and answers errors as text/plain", () => {
    const [api] = resources("endpoint", "AWS::ApiGateway::RestApi");
    expect(api?.Properties).toMatchObject({
      EndpointConfiguration: { Types: ["PRIVATE"] },
      BinaryMediaTypes: ["*/*"],
    });
    expect(JSON.stringify(api?.Properties?.Policy)).toContain('"aws:SourceVpce":["vpce-0123456789abcdef0"]');
    expect(resources("endpoint", "AWS::ApiGateway::Account")).toEqual([]);
    const responses = resources("endpoint", "AWS::ApiGateway::GatewayResponse");
    expect(responses.map(({ Properties }) => Object.keys(Properties?.ResponseTemplates as object))).toEqual([
      ["text/plain"],
      ["text/plain"],
    ]);
  });
});
