import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { beforeAll, describe, expect, test } from "vitest";
import { type ConfigurationInput, defineMirror } from "../../infra/configuration.ts";
import { addMirror } from "../../infra/mirror-app.ts";

interface Resource {
  readonly Type: string;
  readonly Properties?: Record<string, unknown>;
  readonly DependsOn?: readonly string[];
}
interface Statement {
  readonly Effect: "Allow" | "Deny";
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: unknown;
}

const project = join(import.meta.dirname, "../..");
/** Loaded machines synthesize slowly. */
const TIMEOUT = 240_000;
const SUBNETS = ["subnet-0123456789abcdef0", "subnet-1a2b3c4d"];
const GROUPS = ["sg-0123456789abcdef0"];
const vpc = { subnets: SUBNETS, securityGroups: GROUPS };
/** Everything that can be configured besides. */
const upkeep: Partial<ConfigurationInput> = {
  snapshots: {},
  garbage: { every: "1d" },
  schedule: { scrub: { deep: "rate(1 hour)", shards: 2 } },
};
const base = { name: "mirror", upstreams: [{ name: "public", url: "https://goproxy.example.com" }] };

function resourcesOf(fields: Partial<ConfigurationInput>): [string, Resource][] {
  const { storage, pipeline, endpoint } = addMirror(new App(), defineMirror({ ...base, ...fields }));
  return [storage, pipeline, endpoint].flatMap((stack) =>
    Object.entries(Template.fromStack(stack).toJSON().Resources as Record<string, Resource>),
  );
}

const ofType = (resources: readonly [string, Resource][], type: string) =>
  resources.filter(([, { Type }]) => Type === type);

/** What the policies of functions' roles say of EC2, by function. */
function networkRights(resources: readonly [string, Resource][]): Map<string, Statement[]> {
  const found = new Map<string, Statement[]>();
  for (const [id, { Properties = {} }] of ofType(resources, "AWS::IAM::Policy")) {
    const { Statement: statements } = Properties.PolicyDocument as { Statement: Statement[] };
    const about = statements.filter(({ Action }) => JSON.stringify(Action).includes("ec2:"));
    if (about.length > 0) found.set(id.replace(/Role.*/, ""), about);
  }
  return found;
}

describe("functions in a VPC", () => {
  let inside: [string, Resource][];
  beforeAll(() => {
    inside = resourcesOf({ ...upkeep, network: { vpc } });
  }, TIMEOUT);

  test("are all in its subnets, with its security groups, and are made after the right to be there", () => {
    const functions = ofType(inside, "AWS::Lambda::Function");
    expect(functions.length).toBeGreaterThanOrEqual(8);
    for (const [id, { Properties, DependsOn = [] }] of functions) {
      expect([id, Properties?.VpcConfig]).toEqual([id, { SubnetIds: SUBNETS, SecurityGroupIds: GROUPS }]);
      expect(DependsOn.filter((other) => other.includes("RoleDefaultPolicy"))).toHaveLength(1);
    }
  });

  test("have roles with which Lambda makes interfaces, and their own code nothing", () => {
    const rights = networkRights(inside);
    const functions = ofType(inside, "AWS::Lambda::Function").map(([id]) => id.replace(/Function.*/, ""));
    expect(functions).toEqual(
      expect.arrayContaining([
        "AcceptRequest",
        "Collect",
        "Plan",
        "Reconcile",
        "Scrub",
        "Serve",
        "Snapshot",
        "Work",
      ]),
    );
    expect([...rights.keys()].sort()).toEqual(functions.sort());
    for (const [name, statements] of rights) {
      const described = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"];
      const changed = [
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
      ];
      expect(statements).toEqual([
        { Effect: "Allow", Action: described, Resource: "*" },
        { Effect: "Allow", Action: changed, Resource: expect.anything() },
        {
          Effect: "Deny",
          Action: [...described, ...changed],
          Resource: "*",
          Condition: { ArnEquals: { "lambda:SourceFunctionArn": expect.anything() } },
        },
      ]);
      expect(print(statements[1]?.Resource)).toBe("arn:<AWS::Partition>:ec2:<AWS::Region>:*:*/*");
      const file = name.replace(/(?<=.)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
      const { Condition } = statements[2] as { Condition: { ArnEquals: Record<string, unknown> } };
      expect(print(Condition.ArnEquals["lambda:SourceFunctionArn"])).toBe(
        `arn:<AWS::Partition>:lambda:<AWS::Region>:<AWS::AccountId>:function:mirror-${file}`,
      );
    }
  });

  test("make nothing of the network itself, and look nothing up", () => {
    expect(inside.filter(([, { Type }]) => Type.startsWith("AWS::EC2::"))).toEqual([]);
  });

  test("are in none unless it is named, and then have no right to one", () => {
    const open = resourcesOf({});
    for (const [, { Properties }] of ofType(open, "AWS::Lambda::Function"))
      expect(Properties?.VpcConfig).toBeUndefined();
    expect([...networkRights(open)]).toEqual([]);
  });

  test("read the proxy's login, each of them, since all of AWS is asked through it", () => {
    const egress = { proxy: "http://proxy.example:3128", proxySecret: "proxy" };
    const through = resourcesOf({ ...upkeep, network: { vpc }, egress, endpoint: { fetchesTiles: false } });
    const readers = ofType(through, "AWS::IAM::Policy").filter(([, { Properties }]) =>
      JSON.stringify(Properties).includes(":secret:proxy-??????"),
    );
    expect(readers).toHaveLength(ofType(through, "AWS::Lambda::Function").length);
  });

  test.each<[unknown, string]>([
    [{ vpc: { subnets: [], securityGroups: GROUPS } }, "network.vpc.subnets"],
    [{ vpc: { subnets: SUBNETS, securityGroups: [] } }, "network.vpc.securityGroups"],
    [{ vpc: { subnets: SUBNETS } }, "network.vpc.securityGroups"],
    [{ vpc: { subnets: ["vpc-0123456789abcdef0"], securityGroups: GROUPS } }, "network.vpc.subnets.0"],
    [{ vpc: { subnets: ["subnet-0123"], securityGroups: GROUPS } }, "network.vpc.subnets.0"],
    [{ vpc: { subnets: [SUBNETS[0], SUBNETS[0]], securityGroups: GROUPS } }, "network.vpc.subnets"],
    [
      {
        vpc: {
          subnets: SUBNETS,
          securityGroups: Array.from({ length: 6 }, (_, at) => `sg-0123456789abcdef${at}`),
        },
      },
      "network.vpc.securityGroups",
    ],
    [{ vpc: { ...vpc, id: "vpc-1" } }, "network.vpc.id"],
    [{ vpcs: {} }, "network.vpcs"],
  ])("%j is refused by its field", (network, field) => {
    expect(() => defineMirror({ ...base, network } as ConfigurationInput)).toThrow(
      new RegExp(`^configuration: ${field.replaceAll(".", "\\.")}: `),
    );
  });

  test("are synthesized without account and credentials, and AwsSolutions finds nothing", {
    timeout: TIMEOUT,
  }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "modferry-network-"));
    try {
      const file = join(folder, "mirror.config.ts");
      const module = JSON.stringify(join(project, "infra/configuration.ts"));
      const fields = JSON.stringify({ ...base, ...upkeep, network: { vpc } });
      await writeFile(
        file,
        `import { defineMirror } from ${module};\nexport default defineMirror(${fields});\n`,
      );
      const cdk = join(project, "node_modules/aws-cdk/bin/cdk");
      const args = [cdk, "synth", "--quiet", "--output", join(folder, "out"), "-c", `configuration=${file}`];
      const env = {
        PATH: dirname(process.execPath),
        HOME: folder,
        CDK_DISABLE_VERSION_CHECK: "1",
        CI: "true",
      };
      const run = promisify(execFile)(process.execPath, args, { cwd: project, env, timeout: TIMEOUT });
      const { code, output } = await run.then(
        ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
        (error: { code: number; stdout: string; stderr: string }) => ({
          code: error.code,
          output: error.stdout + error.stderr,
        }),
      );
      expect([code, output]).toEqual([0, output]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

/** An ARN of a template, with what it refers to in angle brackets. */
function print(value: unknown): string {
  if (typeof value === "string") return value;
  const object = value as Record<string, unknown>;
  if (typeof object.Ref === "string") return `<${object.Ref}>`;
  const [separator, parts] = object["Fn::Join"] as [string, unknown[]];
  return parts.map(print).join(separator);
}
