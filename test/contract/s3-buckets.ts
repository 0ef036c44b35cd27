import { randomBytes } from "node:crypto";
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
} from "@aws-sdk/client-s3";
import { type AwsSettings, s3Client } from "../../adapters/aws/clients.ts";

/** The one region that must not be named as a bucket's (Amazon S3, CreateBucket: LocationConstraint). */
const UNNAMED_REGION = "us-east-1";

/** A new, empty bucket: `modferry-<kind>-` and twelve digits, so that one left by a killed run can be told. */
export async function makeBucket(settings: AwsSettings, kind: "tree" | "vault"): Promise<string> {
  const bucket = `modferry-${kind}-${randomBytes(6).toString("hex")}`;
  const { region } = settings;
  const place =
    region === UNNAMED_REGION
      ? {}
      : { CreateBucketConfiguration: { LocationConstraint: region as "eu-central-1" } };
  await s3Client(settings).send(new CreateBucketCommand({ Bucket: bucket, ...place }));
  return bucket;
}

/** Removes a bucket of ours with all that lies in it; none of ours is versioned. */
export async function removeBucket(settings: AwsSettings, bucket: string): Promise<void> {
  const client = s3Client(settings);
  for (;;) {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    if (Contents.length === 0) break;
    const Objects = Contents.map(({ Key }) => ({ Key }));
    const { Errors = [] } = await client.send(
      new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } }),
    );
    const [failed] = Errors;
    if (failed !== undefined) throw new Error(`${bucket}: ${failed.Key} stays: ${failed.Code}: remove it`);
  }
  await client.send(new DeleteBucketCommand({ Bucket: bucket }));
}
