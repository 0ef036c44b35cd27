import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { AwsSettings } from "../../adapters/aws/clients.ts";

/** What a faulty AWS does with a request; `call` counts from 0. */
export type Answer = (
  request: IncomingMessage & { body: Buffer },
  reply: ServerResponse,
  call: number,
) => void;

/** An AWS on loopback that answers as a test says. */
export interface FaultyAws extends AsyncDisposable {
  readonly settings: AwsSettings;
  calls(): number;
}

/** @param early answer a request that expects `100 Continue` before its body has come, as S3 does. */
export async function faultyAws(answer: Answer, early = false): Promise<FaultyAws> {
  let calls = 0;
  const server = createServer(async (request, reply) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return; // The client went away, which is what its test is about.
    }
    answer(Object.assign(request, { body: Buffer.concat(chunks) }), reply, calls++);
  });
  if (early) {
    server.on("checkContinue", (request, reply) => {
      answer(Object.assign(request, { body: Buffer.alloc(0) }), reply, calls++);
    });
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    settings: {
      region: "us-east-1",
      endpointUrl: `http://127.0.0.1:${port}`,
      credentials: { accessKeyId: "test", secretAccessKey: "test" },
    },
    calls: () => calls,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** An S3 error document. */
export function s3Error(reply: ServerResponse, status: number, code: string): void {
  reply.writeHead(status, { "content-type": "application/xml" });
  reply.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>told by the test</Message></Error>`);
}

/** A DynamoDB or SQS reply, JSON. */
export function json(reply: ServerResponse, status: number, body: object): void {
  reply.writeHead(status, { "content-type": "application/x-amz-json-1.0" });
  reply.end(JSON.stringify(body));
}
