import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

/** A way to an emulator that notes which rights the calls that go through it would need of AWS. */
export interface RecordedEndpoint {
  readonly url: string;
  /** Since the last time: `dynamodb:GetItem`, `s3:PutObject vault decisions/block/`, sorted. */
  taken(): string[];
  close(): Promise<void>;
}

/** What a transaction consists of (Amazon DynamoDB, IAM policies for transactions). */
const IN_TRANSACTION: Readonly<Record<string, string>> = {
  Put: "PutItem",
  Update: "UpdateItem",
  Delete: "DeleteItem",
  ConditionCheck: "ConditionCheckItem",
};

export async function recordedEndpoint(emulator: string): Promise<RecordedEndpoint> {
  const noted = new Set<string>();
  const server = createServer((incoming, reply) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("error", () => reply.destroy());
    incoming.on("end", () => {
      const body = Buffer.concat(chunks);
      for (const right of rightsOf(incoming, body)) noted.add(right);
      const { expect: _expect, ...headers } = incoming.headers;
      const options = { method: incoming.method, headers };
      const outgoing = request(new URL(incoming.url ?? "/", emulator), options, (answer) => {
        reply.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(reply);
      });
      outgoing.on("error", () => reply.destroy());
      outgoing.end(body);
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    taken: () => {
      const all = [...noted].sort();
      noted.clear();
      return all;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** AWS Service Authorization Reference, by the protocols of DynamoDB and SQS (X-Amz-Target) and S3 (path style). */
function rightsOf(
  {
    method = "",
    url = "",
    headers,
  }: {
    readonly method?: string | undefined;
    readonly url?: string | undefined;
    readonly headers: NodeJS.Dict<string | string[]>;
  },
  body: Buffer,
): string[] {
  const target = String(headers["x-amz-target"] ?? "");
  const [service = "", operation = ""] = target.split(".");
  if (service.startsWith("DynamoDB")) {
    const parsed = JSON.parse(body.toString()) as {
      TransactItems?: readonly Record<string, unknown>[];
    };
    if (operation === "TransactWriteItems")
      return (parsed.TransactItems ?? []).map(
        (item) => `dynamodb:${IN_TRANSACTION[Object.keys(item)[0] ?? ""]}`,
      );
    return [`dynamodb:${operation}`];
  }
  if (service === "AmazonSQS") return [`sqs:${operation.replace(/Batch$/, "")}`];
  const path = decodeURIComponent(new URL(url, "http://emulator").pathname);
  const [, bucket = "", key] = /^\/([^/]+)\/?(.*)$/.exec(path) ?? [];
  const of = /-(tree|vault)-/.exec(bucket)?.[1];
  if (of === undefined) return [`unknown: ${method} ${url} ${target}`];
  if (!key) return [`s3:ListBucket ${of}`];
  const action = { GET: "GetObject", HEAD: "GetObject", PUT: "PutObject", DELETE: "DeleteObject" }[method];
  const below = of === "vault" ? ` ${key.slice(0, key.lastIndexOf("/") + 1)}` : "";
  return [`s3:${action} ${of}${below}`];
}
