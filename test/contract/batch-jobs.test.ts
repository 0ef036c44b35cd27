import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BatchJobs } from "../../adapters/aws/batch-jobs.ts";
import { parseXml } from "../../adapters/aws/batch-xml.ts";
import { s3Client } from "../../adapters/aws/clients.ts";
import type { JobOrder } from "../../mirror/scrub/checksum-jobs.ts";
import { fakeS3Control, type S3Control } from "./s3-control.ts";

const SECRET = "a secret/of+the test";
const ROLE = "arn:aws:iam::123456789012:role/mirror-scrub-batch-us-east-1";
const ORDER: JobOrder = {
  token: "20261124T093000000Z-batch-1of1",
  manifest: {
    key: "scrub/20261124T093000000Z-batch-1of1/manifest-20261124T093001000Z.csv",
    etag: "60e460c9d1046e73f7dde5043ac3ae85",
  },
  reportPrefix: "scrub/20261124T093000000Z-batch-1of1",
  description: "modferry scrub: SHA-256 of 3 files & <more>",
};

/** A Python that has AWS's own model of S3 Control, with this operation: LocalStack's environment, where it is installed. */
const python = [join(process.cwd(), ".modferry/test-cache/localstack/venv/bin/python"), "python3"].find(
  (program) => {
    if (program.includes("/") && !existsSync(program)) return false;
    const check =
      'from botocore.loaders import Loader\nassert "S3ComputeObjectChecksumOperation" in Loader().load_service_model("s3control", "service-2")["shapes"]';
    return spawnSync(program, ["-c", check]).status === 0;
  },
);

let control: S3Control;
let client: ReturnType<typeof s3Client>;
let jobs: BatchJobs;

beforeAll(async () => {
  const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: SECRET };
  client = s3Client({ region: "us-east-1", endpointUrl: "http://127.0.0.1:9", credentials });
  control = await fakeS3Control({ emulator: "http://127.0.0.1:9", client, secret: SECRET });
  jobs = jobsAt(control.url);
});
afterAll(async () => {
  client.destroy();
  await control.close();
});

function jobsAt(endpointUrl: string): BatchJobs {
  return new BatchJobs({
    client,
    region: "us-east-1",
    roleArn: ROLE,
    treeBucket: "tree",
    vaultBucket: "vault",
    endpointUrl,
  });
}

describe("jobs of S3 Batch Operations", () => {
  test("are ordered once for one token, by signed requests, and are what they were ordered as", async () => {
    const job = await jobs.create(ORDER);
    expect(await jobs.create(ORDER)).toBe(job);
    expect(control.orders.size).toBe(1);
    expect(control.asked).toEqual(["POST /v20180820/jobs", "POST /v20180820/jobs"]);
    expect(await jobs.describe(job)).toEqual({
      status: "Active",
      total: 0,
      succeeded: 0,
      failed: 0,
      reasons: [],
      manifest: ORDER.manifest,
      reportPrefix: ORDER.reportPrefix,
    });
    await expect(jobs.create({ ...ORDER, description: "another" })).rejects.toThrow("IdempotencyException");
    expect(await jobs.describe("00000000-0000-0000-0000-000000000000")).toBeUndefined();
  });

  test("with other credentials are refused, saying what to check", async () => {
    const other = s3Client({
      region: "us-east-1",
      credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "other" },
    });
    const wrong = new BatchJobs({
      client: other,
      region: "us-east-1",
      roleArn: ROLE,
      treeBucket: "tree",
      vaultBucket: "vault",
      endpointUrl: control.url,
    });
    await expect(wrong.create(ORDER)).rejects.toMatchObject({ class: "unauthorized" });
    other.destroy();
  });

  const failed = (code: string) =>
    `<ErrorResponse><Error><Code>${code}</Code><Message>told by the test</Message></Error></ErrorResponse>`;
  test.each<[string, number, string, string, number]>([
    ["no rights", 403, failed("AccessDenied"), "unauthorized", 1],
    ["a mistake of ours", 400, failed("InvalidRequest"), "transient", 1],
    ["too much", 429, failed("TooManyRequestsException"), "transient", 3],
    ["a fault", 503, "<html>", "transient", 3],
    ["no XML", 200, "<CreateJobResult>", "transient", 3],
    ["no id", 200, "<CreateJobResult/>", "transient", 1],
    ["an id that is none", 200, "<CreateJobResult><JobId>../x</JobId></CreateJobResult>", "transient", 1],
    ["2 MB", 200, `<a>${" ".repeat(2 << 20)}</a>`, "transient", 3],
  ])(
    "an answer of %s is what its class says, asked as often as makes sense",
    async (_what, status, body, type, tries) => {
      for (let at = 0; at < tries; at++) control.answer(status, body);
      const before = control.asked.length;
      await expect(jobs.create(ORDER)).rejects.toMatchObject({
        class: type,
        message: expect.stringMatching(/^[^\n]+$/),
      });
      expect(control.asked.length - before).toBe(tries);
    },
  );

  test("a fault that passes is asked through", async () => {
    control.answer(503, "");
    expect(await jobs.create(ORDER)).toMatch(/^f8fb9d89/);
  });

  test("that failed say why on one line each; of another bucket they are none of ours", async () => {
    const job = await jobs.create(ORDER);
    control.answer(
      200,
      `<DescribeJobResult><Job><Status>Failed</Status><FailureReasons><member><FailureCode>ReadManifest</FailureCode><FailureReason>a &lt;b&gt;&#10;c</FailureReason></member><member><FailureReason>d</FailureReason></member></FailureReasons><ProgressSummary><TotalNumberOfTasks>-1</TotalNumberOfTasks></ProgressSummary><Manifest><Location><ObjectArn>arn:aws:s3:::other/scrub/x.csv</ObjectArn><ETag>"e"</ETag></Location></Manifest><Report><Bucket>arn:aws:s3:::other</Bucket><Prefix>scrub</Prefix></Report></Job></DescribeJobResult>`,
    );
    expect(await jobs.describe(job)).toEqual({
      status: "Failed",
      total: 0,
      succeeded: 0,
      failed: 0,
      reasons: ["ReadManifest: a <b> c", "d"],
      manifest: { key: "", etag: "e" },
      reportPrefix: "",
    });
    control.answer(200, "<DescribeJobResult><Job><Status>Whatever</Status></Job></DescribeJobResult>");
    await expect(jobs.describe(job)).rejects.toThrow("no status");
  });

  test.each([
    "",
    "text",
    "<a>",
    "</a>",
    "<a></b>",
    "<a/><b/>",
    "<a>&</a><a>",
    "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
    `${"<a>".repeat(100)}${"</a>".repeat(100)}`,
    `<a>${"x".repeat(2 << 20)}</a>`,
    "<a b='<'/>",
  ])("a reply %j is no XML of S3's", (text) => {
    expect(() => parseXml(text)).toThrow();
  });

  describe.skipIf(python === undefined && process.env.CI !== "true")(
    "by AWS's own model of S3 Control (botocore)",
    () => {
      const ask = (program: string, input: unknown): unknown =>
        JSON.parse(
          execFileSync(python ?? "python3", ["-c", program], {
            input: JSON.stringify(input),
            encoding: "utf8",
          }),
        );
      const MODEL = `
import json, sys, botocore.session, botocore.serialize, botocore.parsers
from xml.etree import ElementTree
given = json.load(sys.stdin)
model = botocore.session.get_session().get_service_model("s3control")`;

      test("an order is the request that botocore makes of the same values, element for element", async () => {
        const job = await jobs.create(ORDER);
        const arn = "arn:aws:s3:::vault";
        const values = {
          AccountId: "123456789012",
          ConfirmationRequired: false,
          Operation: {
            S3ComputeObjectChecksum: { ChecksumAlgorithm: "SHA256", ChecksumType: "FULL_OBJECT" },
          },
          Report: {
            Bucket: arn,
            Format: "Report_CSV_20180820",
            Enabled: true,
            Prefix: ORDER.reportPrefix,
            ReportScope: "AllTasks",
            ExpectedBucketOwner: "123456789012",
          },
          ClientRequestToken: ORDER.token,
          Manifest: {
            Spec: { Format: "S3BatchOperations_CSV_20180820", Fields: ["Bucket", "Key", "Ignore"] },
            Location: { ObjectArn: `${arn}/${ORDER.manifest.key}`, ETag: ORDER.manifest.etag },
          },
          Description: ORDER.description,
          Priority: 1,
          RoleArn: ROLE,
        };
        const program = `${MODEL}
operation = model.operation_model("CreateJob")
sent = botocore.serialize.create_serializer("rest-xml", include_validation=True).serialize_to_request(given["values"], operation)
def shape(text):
    def of(node):
        return [node.tag, (node.text or "").strip() if len(node) == 0 else "", [of(child) for child in node]]
    return of(ElementTree.fromstring(text))
json.dump({"theirs": shape(sent["body"]), "ours": shape(given["body"]), "path": sent["url_path"],
           "method": sent["method"], "headers": dict(sent["headers"])}, sys.stdout)`;
        const { theirs, ours, path, method, headers } = ask(program, {
          values,
          body: control.orders.get(job),
        }) as Record<string, unknown>;
        expect(ours).toEqual(theirs);
        expect([method, path, headers]).toEqual([
          "POST",
          "/v20180820/jobs",
          { "x-amz-account-id": "123456789012" },
        ]);
      });

      test("a description that botocore reads says the same to us", async () => {
        const job = await jobs.create(ORDER);
        const body = await (async () => {
          const told = await jobs.describe(job);
          return { told, order: control.orders.get(job) ?? "" };
        })();
        const program = `${MODEL}
operation = model.operation_model("DescribeJob")
parsed = botocore.parsers.create_parser("rest-xml").parse(
    {"status_code": 200, "headers": {}, "body": given["reply"].encode()}, operation.output_shape)
job = parsed["Job"]
json.dump([job["Status"], job["ProgressSummary"]["TotalNumberOfTasks"], job["ProgressSummary"]["NumberOfTasksFailed"],
           job["FailureReasons"], job["Manifest"]["Location"], job["Report"]["Prefix"], job["Report"]["Bucket"]], sys.stdout)`;
        const reply = `<?xml version="1.0" encoding="UTF-8"?>
<DescribeJobResult xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><Job><JobId>${job}</JobId><Status>Failed</Status><Manifest><Spec><Format>S3BatchOperations_CSV_20180820</Format><Fields><member>Bucket</member><member>Key</member><member>Ignore</member></Fields></Spec><Location><ObjectArn>arn:aws:s3:::vault/scrub/m.csv</ObjectArn><ETag>abc</ETag></Location></Manifest><ProgressSummary><TotalNumberOfTasks>12</TotalNumberOfTasks><NumberOfTasksSucceeded>5</NumberOfTasksSucceeded><NumberOfTasksFailed>7</NumberOfTasksFailed></ProgressSummary><FailureReasons><member><FailureCode>X</FailureCode><FailureReason>y</FailureReason></member></FailureReasons><Report><Bucket>arn:aws:s3:::vault</Bucket><Prefix>scrub/run</Prefix></Report></Job></DescribeJobResult>`;
        expect(body.told?.status).toBe("Active");
        const theirs = ask(program, { reply });
        control.answer(200, reply);
        const ours = await jobs.describe(job);
        expect(theirs).toEqual([
          ours?.status,
          ours?.total,
          ours?.failed,
          [{ FailureCode: "X", FailureReason: "y" }],
          { ObjectArn: `arn:aws:s3:::vault/${ours?.manifest.key}`, ETag: ours?.manifest.etag },
          ours?.reportPrefix,
          "arn:aws:s3:::vault",
        ]);
        expect(ours?.reasons).toEqual(["X: y"]);
      });
    },
  );
});
