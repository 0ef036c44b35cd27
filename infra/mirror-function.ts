import { readFileSync } from "node:fs";
import { ArnFormat, type Duration, RemovalPolicy, Size, Stack, Validations } from "aws-cdk-lib";
import { Effect, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import {
  Architecture,
  type CfnFunction,
  Code,
  Function as LambdaFunction,
  RecursiveLoop,
  Runtime,
} from "aws-cdk-lib/aws-lambda";
import { LogGroup, type RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { ENGINE_FILE, EXTRA_CA_FILE, engineOf } from "../adapters/configuration/engine.ts";
import { misuse } from "../mirror/errors.ts";
import type { Configuration } from "./configuration.ts";
import { bundleFunction, type FunctionName } from "./function-bundle.ts";
import { Names } from "./names.ts";

export interface MirrorFunctionProps {
  readonly configuration: Configuration;
  readonly function: FunctionName;
  readonly timeout: Duration;
  readonly memoryMiB: number;
  /** What spools need beside Lambda's own 512 MB. */
  readonly temporaryMiB?: number;
  readonly environment?: Readonly<Record<string, string>>;
  /** It sends to the queue that it is fed from, which Lambda would stop after 16 rounds. */
  readonly feedsItself?: boolean;
}

const NETWORK_ACTIONS = {
  described: ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"],
  changed: [
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
  ],
};

/** One function of the mirror: its bundle, a role with nothing but its log group, and its log group. */
export class MirrorFunction extends Construct {
  readonly function: LambdaFunction;
  readonly logs: LogGroup;
  readonly names: Names;
  readonly #role: Role;

  constructor(scope: Construct, id: string, props: MirrorFunctionProps) {
    super(scope, id);
    const { configuration } = props;
    this.names = new Names(configuration, Stack.of(this));
    const functionName = `${configuration.name}-${props.function}`;
    this.logs = new LogGroup(this, "Logs", {
      logGroupName: `/modferry/${functionName}`,
      retention: configuration.aws.logRetentionDays as RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.#role = new Role(this, "Role", {
      assumedBy: new ServicePrincipal("lambda.amazonaws.com"),
    });
    // Its own streams only; the group is made here, not by Lambda.
    this.grant(["logs:CreateLogStream", "logs:PutLogEvents"], [this.logs.logGroupArn]);
    const { vpc } = configuration.network;
    if (vpc !== undefined) this.#grantNetwork(functionName);
    this.function = new LambdaFunction(this, "Function", {
      functionName,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      code: Code.fromAsset(bundleFunction(props.function, engineFiles(configuration))),
      handler: "index.handler",
      timeout: props.timeout,
      memorySize: props.memoryMiB,
      ...(props.temporaryMiB === undefined
        ? {}
        : { ephemeralStorageSize: Size.mebibytes(props.temporaryMiB) }),
      ...(props.feedsItself ? { recursiveLoop: RecursiveLoop.ALLOW } : {}),
      role: this.#role.withoutPolicyUpdates(),
      logGroup: this.logs,
      environment: {
        MODFERRY_NAME: configuration.name,
        MODFERRY_TREE_BUCKET: this.names.treeBucket,
        MODFERRY_VAULT_BUCKET: this.names.vaultBucket,
        MODFERRY_TABLE: this.names.table,
        ...props.environment,
      },
    });
    if (vpc !== undefined) {
      // By the L1 property: an IVpc would have to be looked up, or be described by more than Lambda takes.
      const made = this.function.node.defaultChild as CfnFunction;
      made.vpcConfig = { subnetIds: vpc.subnets, securityGroupIds: vpc.securityGroups };
    }
  }

  /**
   * What Lambda does with the role to give a function its interfaces: the actions of AWSLambdaVPCAccessExecutionRole, but
   * for those about logs. The function's own code may do none of it (AWS Lambda, Giving functions access to resources in an
   * Amazon VPC: Lambda needs `*` for what it describes, and all of EC2's resources of the region for the others; its policy
   * for code is the denial by lambda:SourceFunctionArn).
   */
  #grantNetwork(functionName: string): void {
    const interfaces = Stack.of(this).formatArn({
      service: "ec2",
      account: "*",
      resource: "*",
      resourceName: "*",
    });
    this.grant(NETWORK_ACTIONS.described, ["*"]);
    this.grant(NETWORK_ACTIONS.changed, [interfaces]);
    const arnFormat = ArnFormat.COLON_RESOURCE_NAME;
    const source = { service: "lambda", resource: "function", resourceName: functionName, arnFormat };
    this.#role.addToPolicy(
      new PolicyStatement({
        effect: Effect.DENY,
        actions: [...NETWORK_ACTIONS.described, ...NETWORK_ACTIONS.changed],
        resources: ["*"],
        conditions: { ArnEquals: { "lambda:SourceFunctionArn": Stack.of(this).formatArn(source) } },
      }),
    );
  }

  /**
   * Allows exactly these actions on exactly these resources.
   * @param only conditions of IAM, and why a resource has to be a pattern.
   */
  grant(
    actions: readonly string[],
    resources: readonly string[],
    only: { readonly conditions?: Record<string, Record<string, string>>; readonly reason?: string } = {},
  ): void {
    const { conditions } = only;
    this.#role.addToPolicy(
      new PolicyStatement({
        effect: Effect.ALLOW,
        actions: [...actions],
        resources: [...resources],
        ...(conditions && { conditions }),
      }),
    );
    for (const resource of resources) {
      if (!resource.includes("*")) continue;
      Validations.of(this.#role).acknowledge({
        id: `AwsSolutions-IAM5[Resource::${asNagPrints(Stack.of(this).resolve(resource))}]`,
        reason:
          only.reason ??
          (resource.includes(":s3:::")
            ? "Keys of one pattern in the mirror's own bucket."
            : "Lambda gives its function network interfaces with this role; the function's own code is denied the same."),
      });
    }
  }
}

/** What lies beside a function's code: its configuration, and the CA certificates that this names. */
function engineFiles(configuration: Configuration): Record<string, string> {
  const engine = engineOf(configuration);
  const { extraCa } = engine.egress;
  if (extraCa === undefined) return { [ENGINE_FILE]: JSON.stringify(engine) };
  const beside = { ...engine, egress: { ...engine.egress, extraCa: EXTRA_CA_FILE } };
  return { [ENGINE_FILE]: JSON.stringify(beside), [EXTRA_CA_FILE]: readExtraCa(extraCa) };
}

function readExtraCa(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw misuse("egress.extraCa", `configuration: egress.extraCa: ${why}; name a PEM file`, cause);
  }
}

/** A resolved ARN as cdk-nag names it in a finding: `arn:<AWS::Partition>:s3:::…`. */
export function asNagPrints(resolved: unknown): string {
  if (typeof resolved === "string") return resolved;
  if (typeof resolved !== "object" || resolved === null) return String(resolved);
  if ("Ref" in resolved) return `<${String(resolved.Ref)}>`;
  if ("Fn::GetAtt" in resolved && Array.isArray(resolved["Fn::GetAtt"]))
    return `<${resolved["Fn::GetAtt"].join(".")}>`;
  const [separator, parts] =
    "Fn::Join" in resolved ? (resolved["Fn::Join"] as [string, unknown[]]) : ["", []];
  return parts.map(asNagPrints).join(separator);
}
