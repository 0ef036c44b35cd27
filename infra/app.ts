import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { App } from "aws-cdk-lib";
import type { Configuration } from "./configuration.ts";
import { addMirror } from "./mirror-app.ts";

/** `-c configuration=FILE` deploys another mirror than modferry.config.ts. */
async function readConfiguration(app: App): Promise<Configuration> {
  const file = String(app.node.tryGetContext("configuration") ?? "modferry.config.ts");
  const module: { default: Configuration } = await import(pathToFileURL(resolve(file)).href);
  return module.default;
}

const app = new App();
try {
  addMirror(app, await readConfiguration(app));
  app.synth();
} catch (error) {
  console.error(`modferry: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(2);
}
