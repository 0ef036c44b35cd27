import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AwsSettings } from "../../adapters/aws/clients.ts";
import { choosePort } from "../../infra/local/free-port.ts";
import { startProgram } from "./loopback-program.ts";

/** 3 to 15 s on an idle machine. */
const START_TIMEOUT = 180_000;

export interface LocalStack {
  readonly settings: AwsSettings;
  stop(): Promise<void>;
}

/**
 * LocalStack in host mode, without Docker: its S3 and SQS on loopback, all its files below one temporary folder.
 * @param python as `ensureLocalStack` returns it.
 */
export async function startLocalStack(python: string): Promise<LocalStack> {
  const folder = await mkdtemp(join(tmpdir(), "modferry-localstack-"));
  try {
    const port = await choosePort(0, 0);
    const running = await startProgram([python, "-m", "localstack.runtime.main"], {
      url: `http://127.0.0.1:${port}/_localstack/health`,
      env: {
        PATH: process.env.PATH,
        HOME: folder,
        TMPDIR: folder,
        OVERRIDE_IN_DOCKER: "0",
        FILESYSTEM_ROOT: join(folder, "root"),
        SERVICES: "s3,sqs",
        DISABLE_EVENTS: "1",
        SKIP_SSL_CERT_DOWNLOAD: "1",
        DNS_ADDRESS: "0",
        GATEWAY_LISTEN: `127.0.0.1:${port}`,
        LOCALSTACK_HOST: `localhost:${port}`,
        S3_SKIP_SIGNATURE_VALIDATION: "0",
      },
      log: join(folder, "log"),
      patience: START_TIMEOUT,
    });
    return {
      settings: {
        region: "us-east-1",
        endpointUrl: `http://127.0.0.1:${port}`,
        credentials: { accessKeyId: "test", secretAccessKey: "test" },
      },
      stop: async () => {
        await running.stop();
        await rm(folder, { recursive: true, force: true, maxRetries: 5 });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}
