import type { S3Client } from "@aws-sdk/client-s3";
import { MirrorError } from "../../mirror/errors.ts";
import {
  type ChecksumJobs,
  JOB_STATUSES,
  type JobDescription,
  type JobOrder,
} from "../../mirror/scrub/checksum-jobs.ts";
import { MANIFEST_FIELDS } from "../../mirror/scrub/checksum-manifest.ts";
import { ControlRequests } from "./batch-requests.ts";
import { elementsAt, printXml, textAt, type XmlElement } from "./batch-xml.ts";

const NAMESPACE = "http://awss3control.amazonaws.com/doc/2018-08-20/";
/** Above nobody: jobs of an account are run by their priority, and this one can wait. */
const PRIORITY = "1";
/** Amazon S3 API, JobDescriptor, JobId. */
const JOB_ID = /^[a-zA-Z0-9_-]{5,36}$/;
const LONGEST_REASON = 300;

export interface BatchJobsOptions {
  /** Whose credentials, connections and retries' pauses are used. */
  readonly client: S3Client;
  readonly region: string;
  /** Of what S3 runs the job as: `arn:aws:iam::123456789012:role/…`; its account and partition are the job's. */
  readonly roleArn: string;
  readonly treeBucket: string;
  readonly vaultBucket: string;
  /** An emulator's, or a private endpoint's; left out: AWS itself. */
  readonly endpointUrl?: string;
}

/**
 * S3 Batch Operations, Compute checksum: SHA-256 of whole objects (Amazon S3 API, CreateJob, DescribeJob,
 * S3ComputeObjectChecksumOperation). Whoever orders needs s3:CreateJob, s3:DescribeJob and iam:PassRole of the role
 * (infra/scrub-batch.ts).
 */
export class BatchJobs implements ChecksumJobs {
  readonly treeBucket: string;
  readonly vaultBucket: string;
  readonly #requests: ControlRequests;
  readonly #roleArn: string;
  readonly #account: string;
  readonly #partition: string;

  constructor({ client, region, roleArn, treeBucket, vaultBucket, endpointUrl }: BatchJobsOptions) {
    const [, partition = "aws", account = ""] = /^arn:([^:]+):iam::(\d{12}):role\//.exec(roleArn) ?? [];
    this.treeBucket = treeBucket;
    this.vaultBucket = vaultBucket;
    this.#roleArn = roleArn;
    this.#account = account;
    this.#partition = partition;
    this.#requests = new ControlRequests({ client, region, account, ...(endpointUrl && { endpointUrl }) });
  }

  async create({ token, manifest, reportPrefix, description }: JobOrder): Promise<string> {
    const vaultArn = this.#vaultArn();
    // In the order of the API's request syntax.
    const body = printXml(
      "CreateJobRequest",
      {
        ConfirmationRequired: "false",
        Operation: { S3ComputeObjectChecksum: { ChecksumAlgorithm: "SHA256", ChecksumType: "FULL_OBJECT" } },
        Report: {
          Bucket: vaultArn,
          Format: "Report_CSV_20180820",
          Enabled: "true",
          Prefix: reportPrefix,
          ReportScope: "AllTasks",
          // Compute checksum asks for it (User Guide, Compute checksum considerations).
          ExpectedBucketOwner: this.#account,
        },
        ClientRequestToken: token,
        Manifest: {
          Spec: { Format: "S3BatchOperations_CSV_20180820", Fields: [...MANIFEST_FIELDS] },
          Location: { ObjectArn: `${vaultArn}/${manifest.key}`, ETag: manifest.etag },
        },
        Description: description,
        Priority: PRIORITY,
        RoleArn: this.#roleArn,
      },
      NAMESPACE,
    );
    const subject = `checksum job ${token}`;
    const reply = await this.#requests.send("POST", "/v20180820/jobs", body, subject);
    const job = textAt(reply, "JobId");
    if (job !== undefined && JOB_ID.test(job)) return job;
    throw new MirrorError(
      "transient",
      subject,
      `${subject}: S3 Control has answered with no job's id; run it again`,
    );
  }

  async describe(job: string): Promise<JobDescription | undefined> {
    const subject = `checksum job ${job}`;
    const path = `/v20180820/jobs/${encodeURIComponent(job)}`;
    const reply = await this.#requests.send("GET", path, undefined, subject);
    return reply && this.#descriptionOf(elementsAt(reply, "Job")[0], subject);
  }

  #descriptionOf(of: XmlElement | undefined, subject: string): JobDescription {
    const status = JOB_STATUSES.find((known) => known === textAt(of, "Status"));
    if (status === undefined)
      throw new MirrorError(
        "transient",
        subject,
        `${subject}: S3 Control has answered with no status of it; run it again`,
      );
    const count = (name: string) => {
      const text = textAt(of, "ProgressSummary", name) ?? "0";
      return /^\d{1,15}$/.test(text) ? Number(text) : 0;
    };
    const arn = textAt(of, "Manifest", "Location", "ObjectArn") ?? "";
    const prefix = `${this.#vaultArn()}/`;
    const isOurs = textAt(of, "Report", "Bucket") === this.#vaultArn();
    return {
      status,
      total: count("TotalNumberOfTasks"),
      succeeded: count("NumberOfTasksSucceeded"),
      failed: count("NumberOfTasksFailed"),
      reasons: elementsAt(of, "FailureReasons", "member").map(reasonOf),
      manifest: {
        key: arn.startsWith(prefix) ? arn.slice(prefix.length) : "",
        etag: (textAt(of, "Manifest", "Location", "ETag") ?? "").replaceAll('"', ""),
      },
      reportPrefix: isOurs ? (textAt(of, "Report", "Prefix") ?? "") : "",
    };
  }

  #vaultArn(): string {
    return `arn:${this.#partition}:s3:::${this.vaultBucket}`;
  }
}

function reasonOf(failure: XmlElement): string {
  const said = [textAt(failure, "FailureCode"), textAt(failure, "FailureReason")];
  const line = said.filter((text) => text !== undefined && text !== "").join(": ");
  return line.replace(/[\p{Cc}\u2028\u2029]+/gu, " ").slice(0, LONGEST_REASON);
}
