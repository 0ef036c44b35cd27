import { type App, type Stack, Tags, Validations } from "aws-cdk-lib";
import { ManagedPolicy, PermissionsBoundary } from "aws-cdk-lib/aws-iam";
import { AwsSolutionsChecks } from "cdk-nag";
import type { Configuration } from "./configuration.ts";
import { EndpointStack } from "./endpoint-stack.ts";
import { PipelineStack } from "./pipeline-stack.ts";
import { stackNames } from "./stack-names.ts";
import { StorageStack } from "./storage-stack.ts";

/** The stacks of one mirror. */
export interface MirrorStacks {
  readonly storage: StorageStack;
  readonly pipeline: PipelineStack;
  readonly endpoint: EndpointStack;
}

/** Adds a mirror's stacks, apart by life span, and the checks that synth runs over them. */
export function addMirror(app: App, configuration: Configuration): MirrorStacks {
  const { account, region, tags } = configuration.aws;
  const env = { ...(account === undefined ? {} : { account }), ...(region === undefined ? {} : { region }) };
  const props = { configuration, env };
  const names = stackNames(configuration.name);
  const storage = new StorageStack(app, names.storage, props);
  const pipeline = new PipelineStack(app, names.pipeline, props);
  const endpoint = new EndpointStack(app, names.endpoint, props);
  // By name only: nothing is exported from one stack to another.
  for (const stack of [pipeline, endpoint]) stack.addStackDependency(storage);
  for (const stack of [storage, pipeline, endpoint])
    setBoundary(stack, configuration.aws.permissionsBoundary);
  for (const [key, value] of Object.entries(tags)) Tags.of(app).add(key, value);
  Validations.of(app).addPlugins(new AwsSolutionsChecks());
  return { storage, pipeline, endpoint };
}

/** On every role of the stack, whoever makes it: an account that demands a boundary refuses a role without one. */
function setBoundary(stack: Stack, arn: string | undefined): void {
  if (arn === undefined) return;
  PermissionsBoundary.of(stack).apply(ManagedPolicy.fromManagedPolicyArn(stack, "Boundary", arn));
}
