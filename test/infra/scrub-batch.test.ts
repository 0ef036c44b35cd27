import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { describe, expect, test } from "vitest";
import { batchRoleName } from "../../adapters/aws/physical-names.ts";
import { type ConfigurationInput, defineMirror } from "../../infra/configuration.ts";
import { addMirror } from "../../infra/mirror-app.ts";

interface Resource {
  readonly Type: string;
  readonly Properties: Record<string, unknown>;
}
interface Statement {
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: unknown;
}
type Scrub = NonNullable<NonNullable<ConfigurationInput["schedule"]>["scrub"]>;

const TIMEOUT = 120_000;
const TRUST = "batchoperations.s3.amazonaws.com";

function pipelineOf(scrub: Scrub): [string, Resource][] {
  const upstreams = [{ name: "public", url: "https://goproxy.example.com" }];
  const { pipeline } = addMirror(new App(), defineMirror({ name: "mirror", upstreams, schedule: { scrub } }));
  return Object.entries(Template.fromStack(pipeline).toJSON().Resources as Record<string, Resource>);
}

const statementsOf = (resources: readonly [string, Resource][], owner: RegExp): readonly Statement[] =>
  resources.flatMap(([id, { Type, Properties }]) =>
    Type === "AWS::IAM::Policy" && owner.test(id)
      ? (Properties.PolicyDocument as { Statement: Statement[] }).Statement
      : [],
  );
/** `arn:…:s3:::mirror-tree-…/*` as `tree/*`. */
const short = (resource: unknown) =>
  JSON.stringify(resource)
    .replace(/^.*"(:s3:::)mirror-(tree|vault)-.*"\/?([^"]*)"\]\]\}$/, "$2/$3")
    .replace(/^"|"$/g, "");

describe("checksum jobs", () => {
  test("are not there, nor any right to order them, unless they are configured", { timeout: TIMEOUT }, () => {
    const text = JSON.stringify(pipelineOf({ deep: "rate(1 hour)" }));
    expect(text).not.toMatch(/batchoperations|CreateJob|PassRole|MODFERRY_BATCH_ROLE/);
  });

  test("are run by a role that S3 alone assumes, which reads the tree and manifests and writes reports", {
    timeout: TIMEOUT,
  }, () => {
    const resources = pipelineOf({ batch: "30d" });
    const roles = resources.filter(
      ([, { Type, Properties }]) => Type === "AWS::IAM::Role" && JSON.stringify(Properties).includes(TRUST),
    );
    expect(roles).toHaveLength(1);
    const [id, { Properties }] = roles[0] ?? expect.fail("no role");
    expect(Properties.AssumeRolePolicyDocument).toMatchObject({
      Statement: [{ Action: "sts:AssumeRole", Effect: "Allow", Principal: { Service: TRUST } }],
    });
    expect(JSON.stringify(Properties.RoleName)).toBe(
      '{"Fn::Join":["",["mirror-scrub-batch-",{"Ref":"AWS::Region"}]]}',
    );
    const rights = statementsOf(resources, new RegExp(`^${id.replace(/[0-9A-F]{8}$/, "")}DefaultPolicy`)).map(
      ({ Action, Resource }) => [Action, short(Resource)],
    );
    expect(rights).toEqual([
      ["s3:GetObject", "tree/*"],
      [["s3:GetObject", "s3:GetObjectVersion"], "vault/scrub/*/manifest-*.csv"],
      ["s3:PutObject", "vault/scrub/*"],
    ]);
  });

  test("are ordered by the scrub function alone, of this operation, with this role passed to S3", {
    timeout: TIMEOUT,
  }, () => {
    const resources = pipelineOf({ batch: "30d" });
    const of = (action: string) =>
      resources.flatMap(([id]) =>
        statementsOf(resources, new RegExp(`^${id}$`))
          .filter(({ Action }) => [Action].flat().includes(action))
          .map((statement) => ({ id, ...statement })),
      );
    expect(of("s3:CreateJob")).toMatchObject([
      {
        id: expect.stringMatching(/^ScrubRole/),
        Resource: "*",
        Condition: { StringEquals: { "s3:RequestJobOperation": "S3ComputeObjectChecksum" } },
      },
    ]);
    expect(of("s3:DescribeJob")).toMatchObject([{ id: expect.stringMatching(/^ScrubRole/) }]);
    expect(JSON.stringify(of("s3:DescribeJob")[0]?.Resource)).toContain(":job/*");
    expect(of("iam:PassRole")).toMatchObject([
      {
        id: expect.stringMatching(/^ScrubRole/),
        Resource: { "Fn::GetAtt": [expect.stringMatching(/^ScrubBatchRole/), "Arn"] },
        Condition: { StringEquals: { "iam:PassedToService": TRUST } },
      },
    ]);
    const scrub = resources.find(
      ([, { Type, Properties }]) =>
        Type === "AWS::Lambda::Function" && Properties.FunctionName === "mirror-scrub",
    );
    expect(JSON.stringify(scrub)).toMatch(/"MODFERRY_BATCH_ROLE":.*:role\/mirror-scrub-batch-/);
    const others = resources.filter(
      ([, { Type, Properties }]) =>
        Type === "AWS::Lambda::Function" && Properties.FunctionName !== "mirror-scrub",
    );
    expect(JSON.stringify(others)).not.toContain("MODFERRY_BATCH_ROLE");
  });

  test("are looked at every hour, one for each part", { timeout: TIMEOUT }, () => {
    const inputs = pipelineOf({ batch: "30d", shards: 2 }).flatMap(([, { Type, Properties }]) => {
      const { ScheduleExpression, Target } = Properties as {
        ScheduleExpression?: string;
        Target?: { Input?: string };
      };
      const input = Target?.Input;
      return Type === "AWS::Scheduler::Schedule" && input?.includes("batch")
        ? [[ScheduleExpression, JSON.parse(input)]]
        : [];
    });
    expect(inputs).toEqual([
      ["rate(1 hour)", { level: "batch", every: "30d", shard: "1/2" }],
      ["rate(1 hour)", { level: "batch", every: "30d", shard: "2/2" }],
    ]);
  });

  test.each(["0d", "23h", "1", "rate(1 day)"])("every %s is refused by its field", (batch) => {
    expect(() => pipelineOf({ batch })).toThrow(/^configuration: schedule\.scrub\.batch: /);
  });

  test("a role's name fits, with the longest names there are", () => {
    // IAM: 64 characters.
    expect(batchRoleName("a".repeat(20), "ap-southeast-10").length).toBeLessThanOrEqual(64);
  });
});
