/** `npm run test:localstack`: the S3 and SQS contract suites over LocalStack in host mode, never part of `npm test`. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensureLocalStack } from "./localstack-install.ts";

const vitest = join(import.meta.dirname, "../../node_modules/vitest/vitest.mjs");
const config = join(import.meta.dirname, "suites.config.ts");

try {
  const python = await ensureLocalStack();
  const args = [vitest, "run", "--config", config, "localstack", ...process.argv.slice(2)];
  const env = { ...process.env, MODFERRY_LOCALSTACK_PYTHON: python };
  spawn(process.execPath, args, { stdio: "inherit", env }).on("exit", (code) => {
    process.exitCode = code ?? 1;
  });
} catch (error) {
  console.error(`test:localstack: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
