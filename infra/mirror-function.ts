import { readFileSync } from "node:fs";
import { type Duration, RemovalPolicy, Size, Stack, Validations } from "aws-cdk-lib";
import { Effect, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import {
  Architecture,
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
  }

  /** Allows exactly these actions on exactly these resources. */
  grant(actions: readonly string[], resources: readonly string[]): void {
    this.#role.addToPolicy(
      new PolicyStatement({ effect: Effect.ALLOW, actions: [...actions], resources: [...resources] }),
    );
    for (const resource of resources) {
      if (!resource.includes("*")) continue;
      Validations.of(this.#role).acknowledge({
        id: `AwsSolutions-IAM5[Resource::${asNagPrints(Stack.of(this).resolve(resource))}]`,
        reason: "Keys of one pattern in the mirror's own bucket.",
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
function asNagPrints(resolved: unknown): string {
  if (typeof resolved === "string") return resolved;
  if (typeof resolved !== "object" || resolved === null) return String(resolved);
  if ("Ref" in resolved) return `<${String(resolved.Ref)}>`;
  if ("Fn::GetAtt" in resolved && Array.isArray(resolved["Fn::GetAtt"]))
    return `<${resolved["Fn::GetAtt"].join(".")}>`;
  const [separator, parts] =
    "Fn::Join" in resolved ? (resolved["Fn::Join"] as [string, unknown[]]) : ["", []];
  return parts.map(asNagPrints).join(separator);
}
