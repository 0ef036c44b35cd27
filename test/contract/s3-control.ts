import { createHash, createHmac } from "node:crypto";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { GetObjectCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { reportObjects, type Task } from "../mirror/scrub/checksum-world.ts";

const ACCOUNT = "123456789012";

/**
 * S3 Control's CreateJob and DescribeJob before an emulator that has neither: whatever else is asked goes on to the
 * emulator. A job hashes the bytes that lie in the emulator's bucket, and leaves its report there.
 */
export interface S3Control {
  readonly url: string;
  /** Bodies of orders, as they came, by the job that they made. */
  readonly orders: ReadonlyMap<string, string>;
  /** Asked of S3 Control: `POST /v20180820/jobs`. */
  readonly asked: readonly string[];
  /** The next request is answered so instead. */
  answer(status: number, body: string): void;
  /** Runs a job to its end. */
  run(job: string, edit?: (tasks: Task[]) => Task[]): Promise<void>;
  close(): Promise<void>;
}

export async function fakeS3Control(options: {
  readonly emulator: string;
  readonly client: S3Client;
  readonly secret: string;
}): Promise<S3Control> {
  const { emulator, client, secret } = options;
  const orders = new Map<string, string>();
  const ended = new Map<string, { readonly total: number; readonly failed: number }>();
  const asked: string[] = [];
  const answers: { readonly status: number; readonly body: string }[] = [];

  const control = (incoming: IncomingMessage, body: Buffer): { status: number; body: string } => {
    const { method = "", url = "" } = incoming;
    asked.push(`${method} ${url}`);
    const wrong = signatureProblem(incoming, body, secret);
    if (wrong !== undefined) return refusal(403, "SignatureDoesNotMatch", wrong);
    if (incoming.headers["x-amz-account-id"] !== ACCOUNT)
      return refusal(400, "InvalidRequest", "whose account?");
    const given = answers.shift();
    if (given !== undefined) return given;
    if (method === "POST" && url === "/v20180820/jobs") {
      const text = body.toString("utf8");
      const token = elementOf(text, "ClientRequestToken");
      for (const [job, known] of orders) {
        if (elementOf(known, "ClientRequestToken") !== token) continue;
        if (known === text) return created(job);
        return refusal(400, "IdempotencyException", "another request had this token");
      }
      const job = `f8fb9d89-a3aa-461d-bddc-${String(orders.size).padStart(12, "0")}`;
      orders.set(job, text);
      return created(job);
    }
    const [, id = ""] = /^\/v20180820\/jobs\/([\w-]+)$/.exec(url) ?? [];
    const order = orders.get(id);
    if (method !== "GET" || order === undefined) return refusal(404, "NoSuchJob", "there is no such job");
    return described(id, order, ended.get(id));
  };

  const server = createServer((incoming, reply) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("error", () => reply.destroy());
    incoming.on("end", () => {
      const body = Buffer.concat(chunks);
      if (incoming.url?.startsWith("/v20180820/")) {
        const answer = control(incoming, body);
        reply.writeHead(answer.status, { "content-type": "application/xml" }).end(answer.body);
        return;
      }
      const { expect: _expect, ...headers } = incoming.headers;
      const passed = { method: incoming.method, headers };
      const outgoing = request(new URL(incoming.url ?? "/", emulator), passed, (answer) => {
        reply.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(reply);
      });
      outgoing.on("error", () => reply.destroy());
      outgoing.end(body);
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));

  const get = async (Bucket: string, Key: string) => {
    const { Body, ETag = "" } = await client.send(new GetObjectCommand({ Bucket, Key }));
    return { bytes: Buffer.from((await Body?.transformToByteArray()) ?? ""), etag: ETag.replaceAll('"', "") };
  };
  const run = async (job: string, edit: (tasks: Task[]) => Task[] = (tasks) => tasks) => {
    const order = orders.get(job) ?? "";
    const [, vaultBucket = "", manifestKey = ""] =
      /^arn:aws:s3:::([^/]+)\/(.+)$/.exec(elementOf(order, "ObjectArn")) ?? [];
    const manifest = await get(vaultBucket, manifestKey);
    if (manifest.etag !== elementOf(order, "ETag"))
      throw new Error(`the manifest has the ETag ${manifest.etag}`);
    const rows = manifest.bytes.toString("utf8").trimEnd().split("\n");
    let treeBucket = "";
    const tasks: Task[] = [];
    for (const row of rows) {
      const [bucket = "", key = ""] = row.split(",");
      treeBucket = bucket;
      // As a form's field is decoded: whoever decodes so must find the key, too.
      const found = await get(bucket, decodeURIComponent(key.replaceAll("+", " "))).catch(() => undefined);
      tasks.push(found === undefined ? { key } : { key, ...found });
    }
    const reported = edit(tasks);
    const place = { treeBucket, vaultBucket, prefix: elementOf(order, "Prefix"), job };
    for (const [Key, Body] of reportObjects(place, reported))
      await client.send(new PutObjectCommand({ Bucket: vaultBucket, Key, Body }));
    ended.set(job, {
      total: tasks.length,
      failed: reported.filter(({ bytes }) => bytes === undefined).length,
    });
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    orders,
    asked,
    answer: (status, body) => void answers.push({ status, body }),
    run,
    close: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';
const NAMESPACE = 'xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"';

const created = (job: string) => ({
  status: 200,
  body: `${DECLARATION}<CreateJobResult ${NAMESPACE}><JobId>${job}</JobId></CreateJobResult>`,
});

/** As S3 Control has it: within an ErrorResponse. */
const refusal = (status: number, code: string, message: string) => ({
  status,
  body: `${DECLARATION}<ErrorResponse><Error><Code>${code}</Code><Message>${message}</Message></Error><RequestId>1</RequestId></ErrorResponse>`,
});

function described(
  job: string,
  order: string,
  end: { readonly total: number; readonly failed: number } | undefined,
) {
  const { total, failed } = end ?? { total: 0, failed: 0 };
  const element = (name: string) => new RegExp(`<${name}>.*</${name}>`, "s").exec(order)?.[0] ?? "";
  const body = `${DECLARATION}<DescribeJobResult ${NAMESPACE}><Job><JobId>${job}</JobId><ConfirmationRequired>false</ConfirmationRequired>${element("Description")}<JobArn>arn:aws:s3:us-east-1:${ACCOUNT}:job/${job}</JobArn><Status>${end === undefined ? "Active" : "Complete"}</Status>${element("Manifest")}${element("Operation")}${element("Priority")}<ProgressSummary><TotalNumberOfTasks>${total}</TotalNumberOfTasks><NumberOfTasksSucceeded>${total - failed}</NumberOfTasksSucceeded><NumberOfTasksFailed>${failed}</NumberOfTasksFailed><Timers><ElapsedTimeInActiveSeconds>1</ElapsedTimeInActiveSeconds></Timers></ProgressSummary><FailureReasons/>${element("Report")}<CreationTime>2026-11-24T09:30:00.000Z</CreationTime>${element("RoleArn")}</Job></DescribeJobResult>`;
  return { status: 200, body };
}

const elementOf = (xml: string, name: string): string =>
  new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? "";

/** Signature Version 4, computed from its description (AWS General Reference, Create a signed AWS API request). */
function signatureProblem(
  { method, url = "", headers }: IncomingMessage,
  body: Buffer,
  secret: string,
): string | undefined {
  const [, day = "", region = "", service = "", signed = "", signature = ""] =
    /^AWS4-HMAC-SHA256 Credential=[^/]+\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? "",
    ) ?? [];
  const digest = createHash("sha256").update(body).digest("hex");
  if (service !== "s3" || headers["x-amz-content-sha256"] !== digest) return "of another service or body";
  const named = signed.split(";");
  for (const name of ["host", "x-amz-account-id", "x-amz-date"])
    if (!named.includes(name)) return `${name} is not signed`;
  const lines = named.map((name) => `${name}:${String(headers[name]).trim()}\n`).join("");
  const canonical = `${method}\n${url}\n\n${lines}\n${signed}\n${digest}`;
  const scope = `${day}/${region}/${service}/aws4_request`;
  const text = `AWS4-HMAC-SHA256\n${headers["x-amz-date"]}\n${scope}\n${createHash("sha256").update(canonical).digest("hex")}`;
  const hmac = (key: string | Buffer, of: string) => createHmac("sha256", key).update(of).digest();
  const key = [region, service, "aws4_request"].reduce(hmac, hmac(`AWS4${secret}`, day));
  return hmac(key, text).toString("hex") === signature ? undefined : "the signature is another";
}
