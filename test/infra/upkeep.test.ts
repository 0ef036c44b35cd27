import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { describe, expect, test } from "vitest";
import { FunctionLog } from "../../functions/function-log.ts";
import { type ConfigurationInput, defineMirror } from "../../infra/configuration.ts";
import { addMirror } from "../../infra/mirror-app.ts";

interface Resource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
}
interface Statement {
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
}

const TOPIC = "arn:aws:sns:eu-central-1:123456789012:on-call";
/** Loaded machines synthesize slowly. */
const TIMEOUT = 120_000;

function pipelineOf(fields: Partial<ConfigurationInput>): [string, Resource][] {
  const upstreams = [{ name: "public", url: "https://goproxy.example.com", token: { secret: "corp/go" } }];
  const { pipeline } = addMirror(new App(), defineMirror({ name: "mirror", upstreams, ...fields }));
  return Object.entries(Template.fromStack(pipeline).toJSON().Resources as Record<string, Resource>);
}

const ofType = (resources: readonly [string, Resource][], type: string) =>
  resources.flatMap(([id, { Type, Properties = {} }]) => (Type === type ? [{ id, ...Properties }] : []));

const functionsOf = (resources: readonly [string, Resource][]) =>
  ofType(resources, "AWS::Lambda::Function")
    .map((made) => String((made as { FunctionName?: unknown }).FunctionName).replace("mirror-", ""))
    .sort();

/** Schedules by name: how often, and what the function is told. */
const schedulesOf = (resources: readonly [string, Resource][]) =>
  Object.fromEntries(
    ofType(resources, "AWS::Scheduler::Schedule").map((schedule) => {
      const { Name, ScheduleExpression, Target } = schedule as unknown as {
        Name: unknown;
        ScheduleExpression: string;
        Target: { Input?: string };
      };
      const [, id, rest = ""] =
        /"Ref":"([A-Za-z]+?)Function[^"]*"}(?:,"(-[^"]*)")?/.exec(JSON.stringify(Name)) ?? [];
      return [`${id}${rest}`, [ScheduleExpression, Target.Input && JSON.parse(Target.Input)]];
    }),
  );

describe("functions that keep a mirror through the years", () => {
  const basic = ["accept-request", "plan", "reconcile", "work"];

  test("are not there, nor their alarms and rights to delete, unless the configuration has them", {
    timeout: TIMEOUT,
  }, () => {
    const resources = pipelineOf({ garbage: { review: "2d" } });
    expect(functionsOf(resources)).toEqual(basic);
    const titles = ofType(resources, "AWS::CloudWatch::Alarm").map((alarm) => JSON.stringify(alarm));
    expect(titles.filter((text) => /garbage|scrub/.test(text))).toEqual([]);
    const rights = JSON.stringify(ofType(resources, "AWS::IAM::Policy"));
    expect(rights).toContain("s3:DeleteObject");
    expect(rights).not.toMatch(/snapshots|garbage|scrub/);
  });

  test.each<[string, Partial<ConfigurationInput>, string, Record<string, unknown>]>([
    ["snapshot", { snapshots: { every: "1d" } }, "snapshot", { Snapshot: ["rate(1 day)", undefined] }],
    ["collect", { garbage: { every: "36h" } }, "collect", { Collect: ["rate(36 hours)", undefined] }],
    [
      "scrub",
      { schedule: { scrub: { quick: "rate(6 hours)", deep: "rate(1 hour)", shards: 2 } } },
      "scrub",
      {
        "Scrub-quick": ["rate(6 hours)", { level: "quick" }],
        "Scrub-stored": ["rate(1 day)", { level: "stored" }],
        "Scrub-deep-1": ["rate(1 hour)", { level: "deep", shard: "1/2" }],
        "Scrub-deep-2": ["rate(1 hour)", { level: "deep", shard: "2/2" }],
      },
    ],
    [
      "scrub without a deep one",
      { schedule: { scrub: {} } },
      "scrub",
      {
        "Scrub-quick": ["rate(1 day)", { level: "quick" }],
        "Scrub-stored": ["rate(1 day)", { level: "stored" }],
      },
    ],
  ])(
    "%s is there by itself, called as often as it is configured",
    { timeout: TIMEOUT },
    (_name, fields, made, schedules) => {
      const resources = pipelineOf(fields);
      expect(functionsOf(resources)).toEqual([...basic, made].sort());
      const { Plan: _plan, Reconcile: _reconcile, ...others } = schedulesOf(resources);
      expect(others).toEqual(schedules);
      const invokes = ofType(resources, "AWS::Lambda::EventInvokeConfig");
      expect(invokes).toHaveLength(3);
      for (const config of invokes) expect(config).toMatchObject({ MaximumRetryAttempts: 0 });
      const logs = ofType(resources, "AWS::Logs::LogGroup").map((group) => JSON.stringify(group));
      expect(logs.filter((text) => text.includes(`/modferry/mirror-${made}`))).toHaveLength(1);
    },
  );

  const told = (write: (log: FunctionLog) => void): string => {
    const written: string[] = [];
    write(new FunctionLog({ mirror: "mirror", program: "collect" }, (text) => written.push(text)));
    return (JSON.parse(written.join("")) as { event: { action: string } }).event.action;
  };
  const stopped = told((log) =>
    log.report({ event: "garbage-stopped", run: "20260101T000000000Z", versions: 1, bytes: 1, share: 0.5 }),
  );
  test.each([
    ["garbage collection stopped", { garbage: { every: "1d" } }, "Collect", stopped],
    ["scrub found something", { schedule: { scrub: {} } }, "Scrub", "scrub-finding"],
  ])(
    "%s: what the function logs of it sets off an alarm for a day, which the topic is told of",
    {
      timeout: TIMEOUT,
    },
    (title, fields, id, action) => {
      const resources = pipelineOf({ ...fields, alarms: { topicArn: TOPIC } });
      const alarms = ofType(resources, "AWS::CloudWatch::Alarm") as unknown as Record<string, unknown>[];
      const alarm = alarms.find(({ AlarmName }) => AlarmName === `mirror: ${title}`);
      expect(alarm).toMatchObject({
        Statistic: "Sum",
        Threshold: 1,
        Period: 86_400,
        EvaluationPeriods: 1,
        TreatMissingData: "notBreaching",
        AlarmActions: [TOPIC],
        OKActions: [TOPIC],
        AlarmDescription: expect.stringContaining(`docs/deploy.md, Alarms, ${title}`),
      });
      const filters = (
        ofType(resources, "AWS::Logs::MetricFilter") as unknown as Record<string, unknown>[]
      ).filter(
        ({ MetricTransformations: [counted] = [] }: { MetricTransformations?: { MetricName?: unknown }[] }) =>
          counted?.MetricName === alarm?.MetricName,
      );
      expect(filters).toHaveLength(1);
      expect(filters[0]?.FilterPattern).toBe(`{ $.event.action = "${action}" }`);
      expect(JSON.stringify(filters[0]?.LogGroupName)).toContain(`"${id}Logs`);
    },
  );

  test("may delete what is collected, and what is damaged; reconcile what a collection has died over", {
    timeout: TIMEOUT,
  }, () => {
    const resources = pipelineOf({ garbage: { every: "1d" }, schedule: { scrub: {} } });
    const deleted = ofType(resources, "AWS::IAM::Policy").flatMap((policy) => {
      const { Statement } = (policy as unknown as { PolicyDocument: { Statement: Statement[] } })
        .PolicyDocument;
      const keys = Statement.filter(({ Action }) => Action === "s3:DeleteObject").flatMap(({ Resource }) =>
        [...JSON.stringify(Resource).matchAll(/"(\/[^"]*)"/g)].map(([, key]) => key),
      );
      return keys.length === 0 ? [] : [[policy.id.replace(/Role.*/, ""), keys]];
    });
    const tree = ["/*/@v/*.info", "/*/@v/*.mod", "/*/@v/*.zip", "/*/@latest"];
    expect(Object.fromEntries(deleted)).toMatchObject({
      Collect: [...tree, "/inbox/requests/*", "/requests/*", "/quarantine/*", "/snapshots/*"],
      Reconcile: ["/*/@v/*.zip", "/*/@latest", "/*/@v/*.info", "/*/@v/*.mod"],
      Work: ["/*/@v/*.zip", "/*/@latest"],
    });
    // No part of the vault that keeps what was decided, found and proven.
    expect(JSON.stringify(deleted)).not.toMatch(/"\/(decisions|evidence|garbage|scrub)/);
  });

  test.each<[unknown, string]>([
    [{ scrub: { quick: "1d" } }, "schedule.scrub.quick"],
    [{ scrub: { deep: "rate(1 hour)", shards: 31 } }, "schedule.scrub.shards"],
    [{ scrub: { deep: "rate(1 hour)", shards: 0 } }, "schedule.scrub.shards"],
    [{ scrub: { shard: 2 } }, "schedule.scrub.shard"],
  ])("%j is refused by its field", (schedule, field) => {
    const upstreams = [{ name: "public", url: "https://goproxy.example.com" }];
    const input = { name: "mirror", upstreams, schedule } as ConfigurationInput;
    expect(() => defineMirror(input)).toThrow(
      new RegExp(`^configuration: ${field.replaceAll(".", "\\.")}: `),
    );
  });
});
