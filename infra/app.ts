import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { App, Tags, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import type { Configuration } from "./configuration.ts";
import { EndpointStack } from "./endpoint-stack.ts";
import { PipelineStack } from "./pipeline-stack.ts";
import { StorageStack } from "./storage-stack.ts";

/** `-c configuration=FILE` deploys another mirror than modferry.config.ts. */
async function readConfiguration(app: App): Promise<Configuration> {
  const file = String(app.node.tryGetContext("configuration") ?? "modferry.config.ts");
  const module: { default: Configuration } = await import(pathToFileURL(resolve(file)).href);
  return module.default;
}

const app = new App();
try {
  const configuration = await readConfiguration(app);
  const { account, region, tags } = configuration.aws;
  const env = { ...(account === undefined ? {} : { account }), ...(region === undefined ? {} : { region }) };
  const props = { configuration, env };
  const { name } = configuration;
  const storage = new StorageStack(app, `${name}-storage`, props);
  // By name only: nothing is exported from one stack to another.
  new PipelineStack(app, `${name}-pipeline`, props).addStackDependency(storage);
  new EndpointStack(app, `${name}-endpoint`, props).addStackDependency(storage);
  for (const [key, value] of Object.entries(tags)) Tags.of(app).add(key, value);
  Validations.of(app).addPlugins(new AwsSolutionsChecks());
  app.synth();
} catch (error) {
  console.error(`modferry: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(2);
}
