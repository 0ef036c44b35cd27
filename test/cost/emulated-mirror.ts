/**
 * The deployed mirror in small: its functions, each in a process of its own, over an emulator's stores, with SQS, S3's
 * notifications and the schedules played by us, and every AWS call metered on its way.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import type { APIGatewayProxyResult, SQSBatchResponse } from "aws-lambda";
import type { AwsSettings } from "../../adapters/aws/clients.ts";
import { type ConfigurationInput, defineMirror } from "../../infra/configuration.ts";
import { addMirror } from "../../infra/mirror-app.ts";
import type { Ledger, Tree, Vault } from "../../mirror/ports.ts";
import { newLedger, newQueue, newTree, newVault } from "../contract/aws-stores.ts";
import type { Call } from "./function-host.ts";
import { startRelay } from "./metered-endpoint.ts";
import { assumedLatency, Meter, UPSTREAM_LATENCY } from "./tally.ts";

/** Lambda gives a whole core at so much memory, and less of one below (AWS Lambda, Configure memory). */
const ONE_CORE_MIB = 1_769;
/** As infra/pipeline-stack.ts feeds work. */
const ORDERS_PER_CALL = 2;
const NAME = "modferry";
const HOST = join(import.meta.dirname, "function-host.ts");

type Program = "plan" | "accept-request" | "work" | "reconcile" | "serve";

export interface EmulatedMirror extends AsyncDisposable {
  readonly meter: Meter;
  readonly vault: Vault;
  /** As the functions have them, but not metered. */
  readonly tree: Tree;
  readonly ledger: Ledger;
  /** A GOPROXY, as the gateway is to clients. */
  readonly goproxy: string;
  /** Calls of a month, by the schedules. */
  readonly ticksPerMonth: { readonly plan: number; readonly reconcile: number };
  tick(program: "plan" | "reconcile"): Promise<void>;
  /** Notifications and orders, until nothing is left. */
  drain(): Promise<void>;
}

/**
 * @param folder where the stacks are synthesized.
 * @param engine what the configuration says besides, such as feeds.
 */
export async function emulatedMirror(
  settings: AwsSettings,
  upstream: { readonly url: string; readonly vkey: string },
  folder: string,
  engine: Partial<ConfigurationInput> = {},
): Promise<EmulatedMirror> {
  const [tree, vault, ledger, queue] = await Promise.all([
    newTree(settings),
    newVault(settings),
    newLedger(settings),
    newQueue(settings),
  ]);
  const meter = new Meter();
  const aws = await startRelay(settings.endpointUrl ?? "", assumedLatency, meter.see);
  const modules = await startRelay(
    upstream.url,
    () => UPSTREAM_LATENCY,
    () => meter.tally.add("upstream", 1),
  );
  const deployed = functionsAsDeployed(modules.url, upstream.vkey, folder, engine);
  const hosts = new Map<Program, ChildProcess>();
  const environment = {
    ...process.env,
    AWS_REGION: settings.region,
    AWS_ENDPOINT_URL: aws.url,
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    MODFERRY_TREE_BUCKET: tree.bucket,
    MODFERRY_VAULT_BUCKET: vault.bucket,
    MODFERRY_TABLE: ledger.table,
    // The SDK sends to the host that is in the queue's URL.
    MODFERRY_FRESH_QUEUE_URL: `${aws.url}${new URL(queue.urls.fresh).pathname}`,
    MODFERRY_BACKFILL_QUEUE_URL: `${aws.url}${new URL(queue.urls.backfill).pathname}`,
  };
  const deployedAs = (program: Program): Deployed => {
    const found = deployed.get(program);
    if (found === undefined) throw new Error(`${program}: no such function in the stacks`);
    return found;
  };

  const hostOf = async (program: Program) => {
    const known = hosts.get(program);
    if (known !== undefined) return known;
    const { code, environment: own } = deployedAs(program);
    const env = { ...own, ...environment, AWS_LAMBDA_FUNCTION_NAME: `${NAME}-${program}` };
    const host = fork(HOST, [code], { env });
    hosts.set(program, host);
    await once(host, "message");
    return host;
  };
  const invoke = async <T>(program: Program, event: unknown): Promise<T> => {
    const host = await hostOf(program);
    host.send(event as object);
    const [call] = (await once(host, "message")) as [Call];
    if (call.error !== undefined) throw new Error(`${program}: ${call.error}`);
    const { memoryMiB: memory } = deployedAs(program);
    // What waits does so as long anywhere; what computes takes the longer, the less of a core there is.
    const stretched = call.cpuMs * Math.max(1, ONE_CORE_MIB / memory);
    const billedMs = Math.max(0, call.wallMs - call.cpuMs) + stretched;
    meter.tally.add(`lambda ${program}`, 1);
    meter.tally.add("lambda-ms", billedMs);
    meter.tally.add("lambda-gb-s", (billedMs / 1_000) * (memory / 1_024));
    meter.tally.add("log-bytes", call.logBytes);
    return call.reply as T;
  };
  /** What Lambda's poller asks of SQS for each call: to receive the batch and to delete it. */
  const deliver = async (program: Program, bodies: readonly string[]) => {
    meter.tally.add("sqs ReceiveMessage", 1);
    meter.tally.add("sqs DeleteMessageBatch", 1);
    const records = bodies.map((body, at) => ({ messageId: String(at), body }));
    const reply = await invoke<SQSBatchResponse>(program, { Records: records });
    if (reply.batchItemFailures.length > 0) throw new Error(`${program}: an order failed as a whole`);
  };
  const notified = new Set<string>();
  const drain = async () => {
    for (;;) {
      const orders = (await queue.receive()).map(({ order }) => JSON.stringify(order));
      const inbox: string[] = [];
      for await (const key of vault.vault.keys("inbox/requests/")) if (!notified.has(key)) inbox.push(key);
      if (orders.length + inbox.length === 0) return;
      for (const key of inbox) {
        notified.add(key);
        meter.tally.add("sqs SendMessage by S3", 1);
        await deliver("accept-request", [JSON.stringify({ Records: [{ s3: { object: { key } } }] })]);
      }
      for (let at = 0; at < orders.length; at += ORDERS_PER_CALL)
        await deliver("work", orders.slice(at, at + ORDERS_PER_CALL));
    }
  };

  const turns = { last: Promise.resolve() as Promise<unknown> };
  const gateway = createServer(async (request, reply) => {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const event = {
      httpMethod: request.method,
      path,
      headers: request.headers,
      pathParameters: { proxy: path.slice(1) },
    };
    meter.tally.add("gateway", 1);
    // An environment serves one request at a time.
    const turn = turns.last.then(() => invoke<APIGatewayProxyResult>("serve", event));
    turns.last = turn.catch(() => undefined);
    const { statusCode, headers = {}, body, isBase64Encoded } = await turn;
    reply.writeHead(statusCode, headers as Record<string, string>);
    reply.end(Buffer.from(body, isBase64Encoded ? "base64" : "utf8"));
  });
  await new Promise<void>((resolve) => gateway.listen(0, "127.0.0.1", resolve));

  return {
    meter,
    vault: vault.vault,
    tree: tree.tree,
    ledger: ledger.ledger,
    goproxy: `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`,
    ticksPerMonth: {
      plan: deployedAs("plan").perMonth,
      reconcile: deployedAs("reconcile").perMonth,
    },
    tick: async (program) => {
      meter.tally.add("scheduler", 1);
      await invoke(program, {});
    },
    drain,
    [Symbol.asyncDispose]: async () => {
      for (const host of hosts.values()) host.disconnect();
      gateway.closeAllConnections();
      gateway.close();
      await Promise.all([aws[Symbol.asyncDispose](), modules[Symbol.asyncDispose]()]);
    },
  };
}

interface Deployed {
  readonly memoryMiB: number;
  /** Calls, by its schedule. */
  readonly perMonth: number;
  /** What its code is, as deployed: bundled, with its configuration beside it. */
  readonly code: string;
  /** Of its environment what is no reference to a resource. */
  readonly environment: Readonly<Record<string, string>>;
}

interface FunctionResource {
  readonly Properties: {
    readonly FunctionName: string;
    readonly MemorySize: number;
    readonly Environment: { readonly Variables: Readonly<Record<string, unknown>> };
  };
  readonly Metadata: { readonly "aws:asset:path": string };
}

/** The functions as the stacks deploy them by default, synthesized into `folder`. */
function functionsAsDeployed(
  url: string,
  key: string,
  folder: string,
  engine: Partial<ConfigurationInput>,
): Map<string, Deployed> {
  const upstreams = [{ name: "proxy", url }];
  const configuration = defineMirror({ ...engine, name: NAME, upstreams, sumdb: [{ key }] });
  // It makes each function say where its asset lies.
  const app = new App({ outdir: folder, context: { "aws:cdk:enable-asset-metadata": true } });
  const stacks = addMirror(app, configuration);
  const found = new Map<string, Deployed>();
  for (const stack of [stacks.pipeline, stacks.endpoint]) {
    const made = Template.fromStack(stack).findResources("AWS::Lambda::Function");
    for (const { Properties, Metadata } of Object.values(made) as FunctionResource[]) {
      const program = Properties.FunctionName.slice(`${NAME}-`.length);
      const schedule =
        program === "plan" || program === "reconcile" ? configuration.schedule[program] : undefined;
      const literals = Object.entries(Properties.Environment.Variables).filter(
        (entry): entry is [string, string] => typeof entry[1] === "string",
      );
      found.set(program, {
        memoryMiB: Properties.MemorySize,
        perMonth: schedule === undefined ? 0 : monthly(schedule),
        code: join(folder, Metadata["aws:asset:path"], "index.mjs"),
        environment: Object.fromEntries(literals),
      });
    }
  }
  return found;
}

const MINUTES = { minute: 1, hour: 60, day: 1_440 };
const MONTH_MINUTES = 730 * 60;

function monthly(schedule: string): number {
  const [, count = "1", unit = "minute"] = /^rate\((\d+) (minute|hour|day)s?\)$/.exec(schedule) ?? [];
  return MONTH_MINUTES / (Number(count) * MINUTES[unit as keyof typeof MINUTES]);
}
