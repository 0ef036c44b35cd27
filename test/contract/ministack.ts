import { join } from "node:path";
import { describe } from "vitest";
import type { AwsSettings } from "../../adapters/aws/clients.ts";
import { findEndpoint } from "../../infra/local/endpoint.ts";
import {
  emulatorFolder,
  ensureMiniStack,
  type MiniStack,
  startMiniStack,
} from "../../infra/local/ministack.ts";
import { findPython } from "../../infra/local/python.ts";

const folder = emulatorFolder(process.cwd());
const asError = (error: Error): Error => error;
/** Found once for each test file; the emulator itself is started by the first suite that needs it. */
const found = await findEndpoint(process.env).catch(asError);
const python = await findPython().catch(asError);
let running: Promise<MiniStack> | undefined;

/**
 * `describe` for suites that need an AWS endpoint: the one at AWS_ENDPOINT_URL, else MiniStack. Without Python they
 * say so and count as skipped; with CI=true that is a failure, so that a green CI cannot hide a missing emulator.
 */
export function describeWithEmulator(name: string, body: () => void): void {
  describeWith(found, name, body);
}

/** As `describeWithEmulator`, for suites of MiniStack itself. */
export function describeWithMiniStack(name: string, body: () => void): void {
  describeWith(python, name, body);
}

function describeWith(needed: unknown, name: string, body: () => void): void {
  if (!(needed instanceof Error)) {
    describe(name, body);
    return;
  }
  if (process.env.CI === "true") throw new Error(`${name}: ${needed.message}`);
  console.log(`skipped: ${name}: ${needed.message}`);
  describe.skip(`${name} (no emulator)`, body);
}

/**
 * Settings of the endpoint, started and, the first time in a checkout, installed. One instance serves all suites of a
 * test file: each makes buckets and tables of its own. It keeps no data, and ends with the test process at the latest.
 */
export async function emulatedAws(): Promise<AwsSettings> {
  if (found instanceof Error) throw found;
  const endpointUrl = found.kind === "given" ? found.url : (await start()).endpoint;
  return { region: "us-east-1", endpointUrl, credentials: { accessKeyId: "test", secretAccessKey: "test" } };
}

/** Stops the emulator if it is ours; for `afterAll` of a file. */
export async function stopEmulator(): Promise<void> {
  await (await running?.catch(() => undefined))?.stop();
}

function start(): Promise<MiniStack> {
  running ??= ensureMiniStack(folder).then(() => {
    const log = join(folder, `test-${process.env.VITEST_POOL_ID ?? process.pid}.log`);
    return startMiniStack({ folder, persist: false, log });
  });
  return running;
}
