import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AwsSettings } from "../../adapters/aws/clients.ts";
import { choosePort } from "../../infra/local/free-port.ts";
import { goProgram, VERSITYGW } from "../peers/go-program.ts";
import { startProgram } from "./loopback-program.ts";

const REGION = "us-east-1";
const ACCESS_KEY = "modferry-test";
const SECRET_KEY = "modferry-test-secret";
/** It listens within a second; the machine may be busy. */
const START_TIMEOUT = 60_000;

export interface S3Server {
  readonly settings: AwsSettings;
  stop(): Promise<void>;
}

/**
 * versitygw's S3 over an empty temporary folder, which checks signatures, conditions and checksums as S3 does. Metadata
 * lie in extended attributes. Not in its folder beside (`--sidecar`): there a GET may pair the old body with the new ETag
 * while a PUT is under way, so that conditional writers lose each other's lines (15 of 40 rounds of twelve, v1.8.0).
 * @throws Error when it was not built or does not start.
 */
export async function startVersitygw(): Promise<S3Server> {
  const program = await goProgram(VERSITYGW);
  const folder = await mkdtemp(join(tmpdir(), "modferry-versitygw-"));
  const objects = join(folder, "objects");
  try {
    await mkdir(objects);
    const address = `127.0.0.1:${await choosePort(0, 0)}`;
    const keys = ["--access", ACCESS_KEY, "--secret", SECRET_KEY, "--region", REGION];
    const command = [program, "--port", address, "--quiet", ...keys, "posix", objects];
    const running = await startProgram(command, {
      url: `http://${address}/`,
      env: { PATH: process.env.PATH, HOME: folder, TMPDIR: folder },
      log: join(folder, "log"),
      patience: START_TIMEOUT,
    });
    return {
      settings: {
        region: REGION,
        endpointUrl: `http://${address}`,
        credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
      },
      stop: async () => {
        await running.stop();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}
