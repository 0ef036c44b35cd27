import { expect, test } from "vitest";
import { openDeployedMirror } from "../../../adapters/aws/deployed-mirror.ts";
import { directEgress } from "../../../adapters/egress/egress.ts";
import type { MirrorError } from "../../../mirror/errors.ts";
import { type Answer, faultyAws, json } from "../loopback-server.ts";

const KEYS = [
  { AttributeName: "pk", KeyType: "HASH" },
  { AttributeName: "sk", KeyType: "RANGE" },
];
const ARN = "arn:aws:dynamodb:eu-central-1:111122223333:table/team-ledger";
const COMMAND = "DynamoDB_20120810.DescribeTable";

/** What is asked of AWS while it is opened, and how that ended. */
async function opening(answer: Answer): Promise<{ asked: string[]; error: MirrorError | undefined }> {
  const asked: string[] = [];
  await using aws = await faultyAws((request, reply, call) => {
    asked.push(`${String(request.headers["x-amz-target"])} ${request.body}`);
    answer(request, reply, call);
  });
  const { endpointUrl = "" } = aws.settings;
  process.env.AWS_ACCESS_KEY_ID = "test";
  process.env.AWS_SECRET_ACCESS_KEY = "test";
  try {
    const opened = await openDeployedMirror({
      text: "aws:team@eu-central-1",
      name: "team",
      region: "eu-central-1",
      endpoints: { dynamodb: endpointUrl, s3: endpointUrl, sqs: endpointUrl },
      egress: directEgress,
    });
    opened.close();
    return { asked, error: undefined };
  } catch (error) {
    return { asked, error: error as MirrorError };
  }
}

test("one call, which reads the account off the table, opens a mirror", async () => {
  const { asked, error } = await opening((_request, reply) =>
    json(reply, 200, { Table: { TableName: "team-ledger", TableArn: ARN, KeySchema: KEYS } }),
  );
  expect(error).toBeUndefined();
  expect(asked).toEqual([`${COMMAND} {"TableName":"team-ledger"}`]);
});

test.each([
  ["a table of somebody else's, by its keys", { TableArn: ARN, KeySchema: [KEYS[0]] }],
  ["a reply without an account", { TableArn: "table/team-ledger", KeySchema: KEYS }],
])("%s is refused", async (_what, table) => {
  const { error } = await opening((_request, reply) => json(reply, 200, { Table: table }));
  expect([error?.class, error?.message]).toEqual([
    "misuse",
    "aws:team@eu-central-1: the table team-ledger in eu-central-1 is no mirror's ledger; check the name",
  ]);
});

test.each([
  [
    "ResourceNotFoundException",
    "Requested resource not found",
    "misuse",
    /^aws:team@eu-central-1: no table team-ledger in eu-central-1; check the name .*, the region, and whose account .*storage stack$/,
  ],
  [
    "AccessDeniedException",
    "User: arn:aws:iam::1:user/ann is not authorized to perform: dynamodb:DescribeTable",
    "unauthorized",
    /^aws:team@eu-central-1: .*dynamodb:DescribeTable.*docs\/deploy\.md, Operating a deployed mirror, has the rights$/,
  ],
  [
    "ExpiredTokenException",
    "The security token included in the request is expired",
    "unauthorized",
    /expired.*check the AWS credentials: role, profile or AWS_ACCESS_KEY_ID, and whether they expired\)$/,
  ],
])("%s is one line that says what to do", async (name, message, errorClass, line) => {
  const { error } = await opening((_request, reply) =>
    json(reply, 400, { __type: `com.amazonaws.dynamodb.v20120810#${name}`, message }),
  );
  expect(error?.class).toBe(errorClass);
  expect(error?.message).toMatch(line);
  expect(error?.message).not.toContain("\n");
});
