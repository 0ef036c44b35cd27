import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import type { GuardOrder } from "./ministack-guard.ts";
import { venvPython } from "./ministack-install.ts";

export { emulatorFolder, ensureMiniStack } from "./ministack-install.ts";

const HOST = "127.0.0.1";
const START_TIMEOUT = 60_000;
/** One try of the health check. */
const HEALTH_TIMEOUT = 1_000;
const POLL = 50;
/** The guard gives MiniStack 60 s to save; then it is this process that does not wait any longer. */
const STOP_TIMEOUT = 75_000;

const checkout = fileURLToPath(new URL("../..", import.meta.url));
const guardFile = fileURLToPath(new URL("ministack-guard.ts", import.meta.url));
/** Node 24 from npm, whatever `node` is on PATH: the guard is TypeScript, and MiniStack runs Lambdas by it. */
const nodeFolder = join(checkout, "node_modules", ".bin");

/** Settings of the user's own AWS, Python, Node and MiniStack that must not reach the emulator or its functions. */
const foreignSettings =
  /^(AWS_|MINISTACK_|LOCALSTACK_|LAMBDA_|PYTHON|NODE_OPTIONS$|NODE_ENV$|VITEST|SERVICES$|AUTH$|USE_SSL$|EDGE_PORT$)/;

export interface MiniStackOptions {
  /** Where `ensureMiniStack` installed it; see `emulatorFolder`. */
  readonly folder: string;
  /** Default: any free one. */
  readonly port?: number;
  /** Keep the data over a clean stop; a crash loses what changed since the last. */
  readonly persist: boolean;
  /** Where it is kept; default `folder`/state. */
  readonly stateDir?: string;
  /** The file that MiniStack's own output goes to, begun anew. */
  readonly log: string;
}

export interface MiniStack {
  /** `http://127.0.0.1:<port>`: for AWS_ENDPOINT_URL; any credentials do. */
  readonly endpoint: string;
  readonly port: number;
  /** Settles when it has ended, be it by `stop` or by itself. */
  readonly ended: Promise<void>;
  /** Saves, stops it and all that it started; safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts MiniStack on loopback and waits until it is healthy. It never outlives this process, however that ends.
 * @throws MirrorError misuse when the port is taken; transient when it does not come up, with its last line.
 */
export async function startMiniStack(options: MiniStackOptions): Promise<MiniStack> {
  const port = await freePort(options.port);
  mkdirSync(dirname(options.log), { recursive: true });
  const temporary = await mkdtemp(join(options.folder, "tmp."));
  // Functions are unpacked in there, and would take the checkout's "type": "module" for their own.
  await writeFile(join(temporary, "package.json"), "{}\n");
  const state = options.persist ? (options.stateDir ?? join(options.folder, "state")) : temporary;
  mkdirSync(state, { recursive: true });
  const order: GuardOrder = {
    python: venvPython(options.folder),
    host: HOST,
    port,
    temporary,
    ...(options.persist ? { state } : {}),
  };
  const log = openSync(options.log, "w");
  const guard = spawn(join(nodeFolder, "node"), [guardFile, JSON.stringify(order)], {
    // In a session of its own, so that a terminal's Ctrl-C reaches us alone and the stop is in order.
    detached: true,
    stdio: ["pipe", log, log],
    env: environmentFor(port, temporary, state, options.persist),
  });
  closeSync(log);
  guard.stdin?.on("error", () => undefined);
  const ended = new Promise<void>((resolve) => {
    guard.once("exit", () => resolve()).once("error", () => resolve());
  });
  const stop = async () => {
    guard.stdin?.end();
    const inTime = await Promise.race([ended.then(() => true), sleep(STOP_TIMEOUT, false, { ref: false })]);
    if (!inTime) guard.kill("SIGKILL");
  };
  const endpoint = `http://${HOST}:${port}`;
  try {
    await untilHealthy(endpoint, ended, options.log);
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoint, port, ended, stop };
}

/**
 * A port on loopback that nothing listens on: `wanted`, or any.
 * @throws MirrorError misuse when `wanted` is taken.
 */
function freePort(wanted = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (cause) => {
      reject(
        misuse("port", `port ${wanted}: taken on ${HOST}: stop what listens there, or choose another`, cause),
      );
    });
    server.listen(wanted, HOST, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : wanted));
    });
  });
}

function environmentFor(port: number, temporary: string, state: string, persist: boolean): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !foreignSettings.test(name));
  const flag = persist ? "1" : "0";
  return {
    ...Object.fromEntries(own),
    PATH: `${nodeFolder}${delimiter}${process.env.PATH ?? ""}`,
    // CloudFormation's JavaScript providers and functions find the AWS SDK there.
    NODE_PATH: join(checkout, "node_modules"),
    TMPDIR: temporary,
    BIND_HOST: HOST,
    GATEWAY_PORT: String(port),
    PERSIST_STATE: flag,
    STATE_DIR: state,
    S3_PERSIST: flag,
    S3_DATA_DIR: join(state, "s3"),
    PYTHONUNBUFFERED: "1",
  };
}

async function untilHealthy(endpoint: string, ended: Promise<void>, log: string): Promise<void> {
  let over = false;
  ended.then(() => {
    over = true;
  });
  const until = Date.now() + START_TIMEOUT;
  while (!over && Date.now() < until) {
    if (await isHealthy(endpoint)) return;
    await sleep(POLL);
  }
  const reason = over ? "ended at once" : `not healthy after ${START_TIMEOUT / 1000} s`;
  throw new MirrorError(
    "transient",
    "emulator",
    `emulator: MiniStack ${reason}: ${lastLine(log)} (all of it: ${log})`,
  );
}

async function isHealthy(endpoint: string): Promise<boolean> {
  try {
    const reply = await fetch(`${endpoint}/_ministack/health`, {
      signal: AbortSignal.timeout(HEALTH_TIMEOUT),
    });
    await reply.arrayBuffer();
    return reply.ok;
  } catch {
    return false;
  }
}

function lastLine(log: string): string {
  const lines = readFileSync(log, "utf8").trim().split("\n");
  return (lines.at(-1) || "it printed nothing").slice(0, 200);
}
