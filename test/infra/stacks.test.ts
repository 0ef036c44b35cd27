import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { beforeAll, describe, expect, test } from "vitest";
import { ENGINE_FILE, engineOf, parseEngine } from "../../adapters/configuration/engine.ts";
import { FunctionLog } from "../../functions/function-log.ts";
import { SPOOL_BYTES } from "../../functions/spool-budget.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { type ConfigurationInput, defineMirror } from "../../infra/configuration.ts";
import { addMirror } from "../../infra/mirror-app.ts";
import { sha256Of } from "../../mirror/body.ts";
import type { MirrorEvent } from "../../mirror/events.ts";
import type { State } from "../../mirror/records.ts";
import { PUBLIC_DATABASE_KEY } from "../../sumdb/known-databases.ts";

interface Resource {
  readonly Type: string;
  readonly Properties?: Record<string, unknown>;
  readonly DependsOn?: readonly string[];
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
}

interface PolicyDocument {
  readonly Statement: readonly { readonly Action: string | readonly string[]; readonly Resource: unknown }[];
}

type Template_ = ReturnType<Template["toJSON"]>;

const BOUNDARY = "arn:aws:iam::123456789012:policy/teams/boundary";
const KEY = "sumdb.example.test+10968c75+AZBv9m6MKyyc9YuOdh2zQI9j0V6EAqgb36PAYuNV1HCX";
const TOPIC = "arn:aws:sns:eu-central-1:123456789012:on-call";
/** Far more than an environment of 4 KB would hold. */
const MODULES = Array.from({ length: 500 }, (_, at) => `example.com/some/longer/path/of/a/module${at}`);
/** AWS Lambda quotas: all environment variables of a function, names and values. */
const ENVIRONMENT = 4096;

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
    const upstreams = [{ name: "public", url: "https://goproxy.example.com" }];
    const endpoint = {
      vpcEndpointIds: ["vpce-0123456789abcdef0", "vpce-1"],
      s3VpcEndpointIds: ["vpce-0fedcba9876543210"],
    };
    const aws = { permissionsBoundary: BOUNDARY };
    const stacks = addMirror(
      app,
      defineMirror({
        name: "mirror",
        upstreams,
        noSumdb: ["example.com/internal/*"],
        endpoint,
        subscriptions: [{ modules: MODULES }],
        feeds: { poll: {} },
        aws,
        alarms: { topicArn: TOPIC },
      }),
    );
    for (const [name, stack] of Object.entries(stacks)) templates[name] = Template.fromStack(stack).toJSON();
  }, 120_000);

  test("storage outlives its stack, all of it, but not a creation that is rolled back", () => {
    const kept = Object.values((templates.storage?.Resources ?? {}) as Record<string, Resource>).filter(
      ({ Type }) => Type !== "AWS::CDK::Metadata",
    );
    expect(kept.map(({ Type }) => Type).sort()).toEqual([
      "AWS::DynamoDB::Table",
      ...Array<string>(2).fill("AWS::S3::Bucket"),
      ...Array<string>(2).fill("AWS::S3::BucketPolicy"),
      ...Array<string>(2).fill("AWS::SQS::Queue"),
      ...Array<string>(2).fill("AWS::SQS::QueuePolicy"),
    ]);
    for (const { Type, DeletionPolicy, UpdateReplacePolicy } of kept) {
      expect([Type, DeletionPolicy, UpdateReplacePolicy]).toEqual([Type, "RetainExceptOnCreate", "Retain"]);
    }
  });

  test("the table, which nothing can take back, is made after all else", () => {
    const [table] = resources("storage", "AWS::DynamoDB::Table");
    const others = Object.keys(templates.storage?.Resources as object).filter((id) => !/Ledger|CDK/.test(id));
    expect(new Set(table?.DependsOn)).toEqual(new Set(others.filter((id) => !id.startsWith("InboxDead"))));
  });

  test("the tree's bucket refuses writes that could overwrite, old links, and links by other endpoints", () => {
    const statements = resources("storage", "AWS::S3::BucketPolicy").flatMap(
      ({ Properties = {} }) => (Properties.PolicyDocument as PolicyDocument).Statement as readonly object[],
    );
    const denial = (sid: string) =>
      statements.filter((statement) => "Sid" in statement && statement.Sid === sid);
    const presigned = { "s3:authType": "REST-QUERY-STRING" };
    const of = (action: string, condition: object) => [
      expect.objectContaining({
        Effect: "Deny",
        Principal: { AWS: "*" },
        Action: action,
        Condition: condition,
        Resource: { "Fn::Join": ["", [{ "Fn::GetAtt": [expect.stringMatching(/^Tree/), "Arn"] }, "/*"]] },
      }),
    ];
    expect(denial("OnlyConditionalWrites")).toEqual(
      of("s3:PutObject", { Null: { "s3:if-none-match": "true", "s3:if-match": "true" } }),
    );
    expect(denial("NoOldLinks")).toEqual(
      of("s3:GetObject", {
        StringEquals: presigned,
        NumericGreaterThan: { "s3:signatureAge": "600000" },
      }),
    );
    expect(denial("LinksByNamedEndpoints")).toEqual(
      of("s3:GetObject", {
        StringEquals: presigned,
        StringNotEquals: { "aws:SourceVpce": ["vpce-0fedcba9876543210"] },
      }),
    );
  });

  test("every role has the boundary, and only this account's schedules may take theirs", () => {
    const roles = all().filter(({ Type }) => Type === "AWS::IAM::Role");
    expect(roles).toHaveLength(7);
    for (const { Properties } of roles) {
      expect(Properties?.PermissionsBoundary).toBe(BOUNDARY);
      const trust = JSON.stringify(Properties?.AssumeRolePolicyDocument);
      if (trust.includes("scheduler."))
        expect(trust).toContain('{"StringEquals":{"aws:SourceAccount":{"Ref":"AWS::AccountId"}}}');
    }
  });

  test("no environment outgrows Lambda's 4 KB, whatever the configuration, which lies beside each function's code", async () => {
    const long = (length: number) => `https://goproxy.example.com/${"p".repeat(length)}`.slice(0, length);
    const patterns = (count: number) => Array.from({ length: count }, (_, at) => `corp.example/${at}`);
    const upstreams = Array.from({ length: 20 }, (_, at) => {
      return { name: `upstream-${at}`, url: long(512), ...(at === 0 ? {} : { modules: patterns(50) }) };
    });
    const widest = defineMirror({
      name: "a".repeat(20),
      upstreams,
      sumdb: [{ key: KEY, url: long(512), modules: patterns(500) }],
      noSumdb: patterns(900),
      subscriptions: [{ modules: MODULES }],
      feeds: { poll: {} },
    });
    const app = new App({ outdir: await mkdtemp(join(tmpdir(), "modferry-stacks-")) });
    const template = Template.fromStack(addMirror(app, widest).pipeline).toJSON();
    const functions = Object.values(template.Resources as Record<string, Resource>).filter(
      ({ Type }) => Type === "AWS::Lambda::Function",
    );
    expect(functions).toHaveLength(4);
    for (const { Properties = {} } of functions) {
      const { Variables } = Properties.Environment as { Variables: Record<string, unknown> };
      // The two queues' URLs, of at most 100 bytes each, stand there as references.
      expect(JSON.stringify(Variables).length + 2 * 100).toBeLessThan(ENVIRONMENT);
      expect(JSON.stringify(Variables)).not.toContain("example");
      const { S3Key } = Properties.Code as { S3Key: string };
      const asset = join(app.outdir, `asset.${S3Key.replace(/\.zip$/, "")}`);
      const engine = parseEngine(await readFile(join(asset, ENGINE_FILE), "utf8"));
      expect(engine).toEqual(engineOf(widest));
    }
    await rm(app.outdir, { recursive: true });
  });

  test("a call of work takes two orders, and may send to its own queue; a request is parsed alone", () => {
    const sources = resources("pipeline", "AWS::Lambda::EventSourceMapping");
    const sizes = sources.map(({ Properties }) => [
      /"(Work|AcceptRequest)Function/.exec(JSON.stringify(Properties?.FunctionName))?.[1],
      Properties?.BatchSize,
    ]);
    expect(sizes.sort()).toEqual([
      ["AcceptRequest", 1],
      ["Work", 2],
      ["Work", 2],
    ]);
    const loops = resources("pipeline", "AWS::Lambda::Function").filter(
      ({ Properties }) => Properties?.RecursiveLoop === "Allow",
    );
    expect(loops.map(({ Properties }) => Properties?.FunctionName)).toEqual(["mirror-work"]);
  });

  test("work's /tmp holds all the spools that it lets in at once", () => {
    const work = resources("pipeline", "AWS::Lambda::Function").find(
      ({ Properties }) => Properties?.FunctionName === "mirror-work",
    );
    const storage = work?.Properties?.EphemeralStorage as { Size: number } | undefined;
    expect((storage?.Size ?? 0) * 1024 * 1024).toBeGreaterThan(SPOOL_BYTES);
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
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 35 },
      DeletionProtectionEnabled: true,
      SSESpecification: { SSEEnabled: true },
    });
  });

  test("what is overwritten or deleted can be had back for 90 days, and then goes with all that it leaves", () => {
    const buckets = resources("storage", "AWS::S3::Bucket");
    const rules = buckets.map(
      ({ Properties = {} }) =>
        (Properties.LifecycleConfiguration as { Rules: readonly Record<string, unknown>[] }).Rules,
    );
    expect(rules).toHaveLength(2);
    for (const [first, ...others] of rules) {
      expect(first).toEqual({
        Id: "superseded",
        Status: "Enabled",
        NoncurrentVersionExpiration: { NoncurrentDays: 90 },
        ExpiredObjectDeleteMarker: true,
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
      });
      // Nothing current ever expires, but what a scrub has found.
      expect(others.every(({ Prefix }) => Prefix === "scrub/")).toBe(true);
    }
    expect(rules.flat()).toContainEqual({
      Id: "scrub-findings",
      Status: "Enabled",
      Prefix: "scrub/",
      ExpirationInDays: 90,
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

  test("roles may delete nothing but what a block takes out, and no policy has a wildcard action or an open resource", () => {
    const statements = all()
      .filter(({ Type }) => Type === "AWS::IAM::Policy")
      .flatMap(({ Properties = {} }) => (Properties.PolicyDocument as PolicyDocument).Statement);
    expect(statements.length).toBeGreaterThan(10);
    const actions = statements.flatMap(({ Action }) => Action);
    expect(actions.filter((action) => action.includes("*"))).toEqual([]);
    const deletions = statements.filter(({ Action }) => JSON.stringify(Action).includes("s3:Delete"));
    const deleted = deletions.flatMap(({ Resource }) =>
      [...JSON.stringify(Resource).matchAll(/"(\/[^"]*)"/g)].map(([, key]) => key),
    );
    expect(new Set(deleted)).toEqual(new Set(["/*/@v/*.zip", "/*/@latest"]));
    expect(statements.filter(({ Resource }) => JSON.stringify(Resource) === '"*"')).toEqual([]);
  });

  test("the endpoint's function can write nothing but tiles, and nothing at all where it fetches none", () => {
    const actionsOf = (policies: unknown) =>
      new Set(
        [...JSON.stringify(policies).matchAll(/"((?:s3|dynamodb|sqs):[A-Za-z]+)"/g)].map(
          ([, action]) => action,
        ),
      );
    const reading = [
      "s3:GetObject",
      "s3:ListBucket",
      ...["GetItem", "BatchGetItem", "Query"].map((call) => `dynamodb:${call}`),
    ];
    const policies = resources("endpoint", "AWS::IAM::Policy");
    expect(actionsOf(policies)).toEqual(new Set([...reading, "s3:PutObject"]));
    const statements = policies.flatMap(
      ({ Properties = {} }) =>
        (Properties.PolicyDocument as { Statement: Record<string, unknown>[] }).Statement,
    );
    const writes = statements.filter(({ Action }) => Action === "s3:PutObject");
    expect(writes).toHaveLength(1);
    const written = (resource: unknown) =>
      [...JSON.stringify(resource).matchAll(/"\/(sumdb\/[^"]*)"/g)].map(([, key]) => key);
    const [publicName = ""] = PUBLIC_DATABASE_KEY.split("+");
    expect(written(writes[0]?.Resource)).toEqual([`sumdb/${publicName}/tile/8/*`]);

    const upstreams = [{ name: "public", url: "https://goproxy.example.com" }];
    // The public one covers what the other's patterns do not.
    const sumdb = [{ key: KEY, modules: ["corp.example"] }];
    const two = Template.fromStack(
      addMirror(new App(), defineMirror({ name: "mirror", upstreams, sumdb })).endpoint,
    ).toJSON();
    expect(written(two)).toEqual(["sumdb.example.test", publicName].map((name) => `sumdb/${name}/tile/8/*`));

    const island = defineMirror({ name: "mirror", upstreams, endpoint: { fetchesTiles: false } });
    const template = Template.fromStack(addMirror(new App(), island).endpoint).toJSON();
    expect(actionsOf(template)).toEqual(new Set(reading));
    expect(JSON.stringify(template)).not.toContain("goproxy.example.com");
  });

  test("secrets are read by those functions that ask with them, by name alone", () => {
    const secrets = (fields: Partial<ConfigurationInput>) => {
      const upstreams = [
        { name: "public", url: "https://goproxy.example.com" },
        {
          name: "corp",
          url: "https://corp.example",
          modules: ["corp.example"],
          token: { secret: "corp/go" },
        },
      ];
      const stacks = addMirror(new App(), defineMirror({ name: "mirror", upstreams, ...fields }));
      return [stacks.pipeline, stacks.endpoint].flatMap((stack) =>
        Object.entries(Template.fromStack(stack).toJSON().Resources as Record<string, Resource>).flatMap(
          ([id, { Type, Properties = {} }]) => {
            if (Type !== "AWS::IAM::Policy") return [];
            const { Statement } = Properties.PolicyDocument as PolicyDocument;
            const reads = Statement.filter(({ Action }) =>
              JSON.stringify(Action).includes("secretsmanager:"),
            );
            const names = [...JSON.stringify(reads).matchAll(/:secret:([^"]*)"/g)].map(([, name]) => name);
            expect(JSON.stringify(reads)).not.toContain("*");
            return names.length === 0 ? [] : [`${id.replace(/Role.*/, "")}: ${names.join(" ")}`];
          },
        ),
      );
    };
    const egress = { proxy: "http://proxy.example:3128", proxySecret: "proxy" };
    const upkeep = { snapshots: {}, garbage: { every: "1d" }, schedule: { scrub: {} } };
    // All ask AWS through the proxy; three of them nothing else.
    expect(secrets({ egress, ...upkeep }).sort()).toEqual([
      "AcceptRequest: proxy-??????",
      "Collect: proxy-??????",
      "Plan: corp/go-?????? proxy-??????",
      "Reconcile: proxy-??????",
      "Scrub: corp/go-?????? proxy-??????",
      "Serve: corp/go-?????? proxy-??????",
      "Snapshot: corp/go-?????? proxy-??????",
      "Work: corp/go-?????? proxy-??????",
    ]);
    const requests = { tokenSecret: "modferry/requests" };
    expect(secrets({ endpoint: { fetchesTiles: false, requests } })).toEqual([
      "Plan: corp/go-??????",
      "Work: corp/go-??????",
      "Serve: modferry/requests-??????",
    ]);
    for (const tokenSecret of [
      "*",
      "a*",
      "",
      "arn:aws:secretsmanager:us-east-1:123456789012:secret:x",
      "a b",
    ])
      expect(() => secrets({ endpoint: { requests: { tokenSecret } } })).toThrow(
        /endpoint.requests.tokenSecret/,
      );
    expect(() => secrets({ egress: { proxy: "http://p.example", proxySecret: "?" } })).toThrow(/proxySecret/);
  });

  test("only a mirror with a desk takes bodies, below /-/requests alone, and hands them into the inbox alone", () => {
    const methods = (template: Template_) => {
      const found = template.Resources as Record<string, Resource>;
      const pathOf = (id: string): string => {
        const { PathPart, ParentId } = found[id]?.Properties ?? {};
        const parent = (ParentId as { Ref?: string } | undefined)?.Ref;
        return `${parent === undefined ? "" : pathOf(parent)}/${PathPart}`;
      };
      return Object.values(found).flatMap(({ Type, Properties = {} }) => {
        if (Type !== "AWS::ApiGateway::Method") return [];
        const { HttpMethod, ResourceId } = Properties as { HttpMethod: string; ResourceId: { Ref?: string } };
        return [`${HttpMethod} ${ResourceId.Ref === undefined ? "/" : pathOf(ResourceId.Ref)}`];
      });
    };
    const upstreams = [{ name: "public", url: "https://goproxy.example.com" }];
    const endpoint = { requests: { tokenSecret: "requests" }, fetchesTiles: false };
    const desk = Template.fromStack(
      addMirror(new App(), defineMirror({ name: "mirror", upstreams, endpoint })).endpoint,
    ).toJSON();
    const reads = ["GET /", "HEAD /", "GET /{proxy+}", "HEAD /{proxy+}"];
    expect(methods(templates.endpoint as Template_).sort()).toEqual([...reads].sort());
    expect(methods(desk).sort()).toEqual(
      [...reads, ...["GET", "HEAD", "POST"].map((method) => `${method} /-/requests/{request+}`)].sort(),
    );
    const statements = Object.values(desk.Resources as Record<string, Resource>)
      .filter(({ Type }) => Type === "AWS::IAM::Policy")
      .flatMap(({ Properties = {} }) => (Properties.PolicyDocument as PolicyDocument).Statement);
    const keysOf = (action: string) =>
      statements
        .filter(({ Action }) => Action === action)
        .flatMap(({ Resource }) =>
          [...JSON.stringify(Resource).matchAll(/"\/([^"]*)"/g)].map(([, key]) => key),
        );
    expect(keysOf("s3:PutObject")).toEqual(["inbox/requests/*"]);
    expect(keysOf("s3:GetObject")).toEqual([
      "*",
      "snapshots/*",
      "vulndb/*",
      "inbox/requests/*",
      "requests/*",
    ]);
    const refused = Object.values(desk.Resources as Record<string, Resource>).find(
      ({ Properties }) => Properties?.ResponseType === "REQUEST_TOO_LARGE",
    );
    expect(refused?.Properties).toMatchObject({
      StatusCode: "413",
      ResponseTemplates: { "text/plain": expect.stringContaining("in parts") },
    });
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

  const evidence = sha256Of(Buffer.from("report"));
  const version = moduleVersion("example.com/a", "v1.0.0");
  const failedIn = (state: State) =>
    ({ event: "failed", version, state, class: "mismatch", message: "told" }) as const;
  test.each<[string, MirrorEvent, MirrorEvent]>([
    [
      "checksum database forked",
      { event: "forked", database: "sum.example.org", reason: "two \n histories", evidence },
      { event: "head", database: "forked", size: 1 },
    ],
    [
      "upstream refuses us",
      { event: "upstream-stopped", host: "goproxy.example.com", path: "", reason: "401" },
      { event: "refused", subject: "upstream-stopped", message: "no" },
    ],
    ["version in conflict", failedIn("CONFLICT"), failedIn("GONE")],
  ])(
    "%s: what plan, work or reconcile logs of it sets off an alarm, which the topic is told of",
    (title, event, other) => {
      const alarm = resources("pipeline", "AWS::CloudWatch::Alarm").find(
        ({ Properties }) => Properties?.AlarmName === `mirror: ${title}`,
      );
      expect(alarm?.Properties).toMatchObject({
        Statistic: "Sum",
        Threshold: 1,
        ComparisonOperator: "GreaterThanOrEqualToThreshold",
        TreatMissingData: "notBreaching",
        AlarmActions: [TOPIC],
        OKActions: [TOPIC],
      });
      // It must not end between two ticks of plan or reconcile, each of which says again what is stopped.
      expect(alarm?.Properties?.Period).toBeGreaterThanOrEqual(2 * 600);
      const { Namespace, MetricName } = alarm?.Properties ?? {};
      const counted = { MetricNamespace: Namespace, MetricName, MetricValue: "1" };
      const filters = resources("pipeline", "AWS::Logs::MetricFilter")
        .map(({ Properties = {} }) => Properties)
        .filter(({ MetricTransformations }) => isDeepStrictEqual(MetricTransformations, [counted]));
      const watched = filters.map(
        ({ LogGroupName }) => /"(Plan|Reconcile|Work)Logs/.exec(JSON.stringify(LogGroupName))?.[1],
      );
      expect(watched.sort()).toEqual(["Plan", "Reconcile", "Work"]);
      for (const { FilterPattern } of filters) {
        const pattern = String(FilterPattern);
        expect(matches(pattern, lineOf(event))).toBe(true);
        expect(matches(pattern, lineOf(other))).toBe(false);
        const forging = `","event":{"action":"${event.event}"}}\n{"event":{"action":"${event.event}"}}`;
        expect(matches(pattern, lineOf({ event: "refused", subject: "x", message: forging }))).toBe(false);
      }
    },
  );

  test("without a topic the alarms are there, and tell nobody", () => {
    const plain = addMirror(
      new App(),
      defineMirror({ name: "mirror", upstreams: [{ name: "public", url: "https://a.example" }] }),
    );
    const silent = Object.values(Template.fromStack(plain.pipeline).findResources("AWS::CloudWatch::Alarm"));
    expect(silent.map(({ Properties }) => Properties.AlarmActions)).toEqual(silent.map(() => undefined));
  });

  test("each dead-letter queue, the inbox's too, has an alarm that a single message sets off", () => {
    const redriven = ["storage", "pipeline"].flatMap((stack) =>
      resources(stack, "AWS::SQS::Queue").map(({ Properties }) => Properties),
    );
    const dead = redriven
      .filter((queue) => queue?.RedrivePolicy === undefined)
      .map((queue) => queue?.QueueName);
    expect(dead.sort()).toEqual(["mirror-backfill-dead", "mirror-fresh-dead", "mirror-inbox-dead"]);
    const alarms = resources("pipeline", "AWS::CloudWatch::Alarm")
      .map(({ Properties = {} }) => Properties)
      .filter(({ Namespace }) => Namespace === "AWS/SQS");
    const watched = alarms.map((alarm) => {
      expect(alarm).toMatchObject({
        MetricName: "ApproximateNumberOfMessagesVisible",
        Statistic: "Maximum",
        Threshold: 1,
        EvaluationPeriods: 1,
        ComparisonOperator: "GreaterThanOrEqualToThreshold",
        AlarmActions: [TOPIC],
        OKActions: [TOPIC],
      });
      const [dimension, ...others] = alarm.Dimensions as { Name: string; Value: string }[];
      expect([dimension?.Name, others]).toEqual(["QueueName", []]);
      return dimension?.Value;
    });
    expect(watched.sort()).toEqual(dead);
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
      // Without the association AWS makes no host name <api>-<endpoint>.
      EndpointConfiguration: { Types: ["PRIVATE"], VpcEndpointIds: ["vpce-0123456789abcdef0", "vpce-1"] },
      BinaryMediaTypes: ["*/*"],
    });
    expect(JSON.stringify(api?.Properties?.Policy)).toContain(
      '"aws:SourceVpce":["vpce-0123456789abcdef0","vpce-1"]',
    );
    const outputs = templates.endpoint?.Outputs as Record<string, { Value: unknown }>;
    const printed = ["Goproxy", "Goproxy2"].map((name) => {
      const joined = outputs[name]?.Value as
        | { "Fn::Join": [string, (string | { Ref: string })[]] }
        | undefined;
      const parts = joined?.["Fn::Join"][1] ?? [];
      return parts.map((part) => (typeof part === "string" ? part : `<${part.Ref}>`)).join("");
    });
    expect(printed.map((url) => url.replace(/<Api[^>]*>/, "<api>"))).toEqual([
      "https://<api>-vpce-0123456789abcdef0.execute-api.<AWS::Region>.<AWS::URLSuffix>/go",
      "https://<api>-vpce-1.execute-api.<AWS::Region>.<AWS::URLSuffix>/go",
    ]);
    expect(resources("endpoint", "AWS::ApiGateway::Account")).toEqual([]);
    const responses = resources("endpoint", "AWS::ApiGateway::GatewayResponse");
    expect(responses.map(({ Properties }) => Object.keys(Properties?.ResponseTemplates as object))).toEqual([
      ["text/plain"],
      ["text/plain"],
    ]);
  });
});

/** What a function's log gets of an event. */
function lineOf(event: Parameters<FunctionLog["report"]>[0]): string {
  const written: string[] = [];
  new FunctionLog({ mirror: "mirror", program: "plan" }, (text) => written.push(text)).report(event);
  return written.join("");
}

/** Whether a JSON filter pattern of one field matches a log event (Amazon CloudWatch Logs, filter pattern syntax). */
function matches(pattern: string, line: string): boolean {
  expect(line.endsWith("\n") && !line.slice(0, -1).includes("\n")).toBe(true);
  const inner = /^\{ (.*) \}$/.exec(pattern)?.[1] ?? expect.fail(pattern);
  return inner.split(" && ").every((term) => {
    const [, field, value] = /^\(?\$\.([\w.]+) = "([^"\\*]*)"\)?$/.exec(term) ?? expect.fail(pattern);
    const found = (field ?? "")
      .split(".")
      .reduce<unknown>((of, name) => (of as Record<string, unknown> | undefined)?.[name], JSON.parse(line));
    return found === value;
  });
}
