import { createHash } from "node:crypto";
import type { Ledger, Tree, Vault } from "../../../mirror/ports.ts";
import type {
  ChecksumJobs,
  JobDescription,
  JobOrder,
  JobStatus,
} from "../../../mirror/scrub/checksum-jobs.ts";
import {
  type ChecksumScrubParts,
  type ChecksumScrubResult,
  checksumScrub,
} from "../../../mirror/scrub/checksum-scrub.ts";
import type { SettledFinding } from "../../../mirror/scrub/finding.ts";
import { mend } from "../../../mirror/scrub/mend.ts";
import { type Shard, WHOLE } from "../../../mirror/scrub/tree-order.ts";
import type { TreeKey } from "../../../mirror/tree-keys.ts";
import type { MadeMirror } from "../made-mirror.ts";
import type { MadeUpstream } from "../made-upstream.ts";
import { memoryRuns } from "./scrub-world.ts";

/** One task of a job, as it went. `key` stands as in the manifest. */
export interface Task {
  readonly key: string;
  /** What lies there; undefined: nothing. */
  readonly bytes?: Uint8Array;
  readonly etag?: string;
  /** The task fails with it instead. */
  readonly failure?: string;
}

interface Place {
  readonly treeBucket: string;
  readonly vaultBucket: string;
  readonly prefix: string;
  readonly job: string;
}

/** The objects of a completion report, in the form of the user guide's examples, odd quotes of failed rows and all. */
export function reportObjects(place: Place, tasks: readonly Task[]): Map<string, Buffer> {
  const { treeBucket, vaultBucket, prefix, job } = place;
  const failed = ({ bytes, failure }: Task) => bytes === undefined || failure !== undefined;
  const parts = [
    ["succeeded", tasks.filter((task) => !failed(task)).map((task) => succeededRow(treeBucket, task))],
    ["failed", tasks.filter(failed).map((task) => failedRow(treeBucket, task))],
  ] as const;
  const objects = new Map<string, Buffer>();
  const Results = parts.flatMap(([TaskExecutionStatus, rows]) => {
    if (rows.length === 0) return [];
    const text = Buffer.from(rows.join(""));
    const Key = `${prefix}/job-${job}/results/${createHash("sha1").update(text).digest("hex")}.csv`;
    objects.set(Key, text);
    const MD5Checksum = createHash("md5").update(text).digest("hex");
    return [{ TaskExecutionStatus, Bucket: vaultBucket, MD5Checksum, Key }];
  });
  const index = {
    Format: "Report_CSV_20180820",
    ReportCreationDate: "2026-11-24T09:30:00.000Z",
    Results,
    ReportSchema: "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage",
  };
  objects.set(`${prefix}/job-${job}/manifest.json`, Buffer.from(JSON.stringify(index)));
  return objects;
}

function succeededRow(bucket: string, { key, bytes = Buffer.of(), etag = "" }: Task): string {
  const digest = createHash("sha256").update(bytes).digest();
  const base64 = digest.toString("base64").replaceAll("=", "\\u003d");
  const hex = digest.toString("hex").toUpperCase();
  return `${bucket},${key},,succeeded,200,,"{""checksum_base64"":""${base64}"",""etag"":""${etag}"",""checksumAlgorithm"":""SHA256"",""checksumType"":""FULL_OBJECT"",""checksum_hex"":""${hex}""}"\n`;
}

function failedRow(bucket: string, { key, failure }: Task): string {
  const [message, code] = failure === undefined ? ["Key not found", "404"] : [failure, "500"];
  return `${bucket},${key},,failed,200,PermanentFailure,"error details: {""failureMessage"":"Task 2845ca0d-38d9-4c4b-abcf-379dc749c452 ${message}", ""errorCode"": "${code}"}"\n`;
}

/** Keys of a manifest, as they stand there. */
export function manifestKeys(manifest: Uint8Array): string[] {
  return Buffer.from(manifest)
    .toString("utf8")
    .split("\n")
    .filter((row) => row !== "")
    .map((row) => row.split(",")[1] ?? "");
}

/** A service that hashes what lies in a mirror's own tree. */
export class MemoryJobs implements ChecksumJobs {
  readonly treeBucket = "the-tree";
  readonly vaultBucket = "the-vault";
  readonly orders: JobOrder[] = [];
  readonly #tree: Tree;
  readonly #vault: Vault;
  readonly #jobs = new Map<
    string,
    { readonly order: JobOrder; status: JobStatus; reasons: string[]; tasks: number }
  >();

  constructor({ tree, vault }: { readonly tree: Tree; readonly vault: Vault }) {
    this.#tree = tree;
    this.#vault = vault;
  }

  async create(order: JobOrder): Promise<string> {
    for (const [id, known] of this.#jobs) {
      if (known.order.token !== order.token) continue;
      if (JSON.stringify(known.order) === JSON.stringify(order)) return id;
      throw new Error("IdempotencyException");
    }
    this.orders.push(order);
    const id = `job-id-${this.orders.length}`;
    this.#jobs.set(id, { order, status: "New", reasons: [], tasks: 0 });
    return id;
  }

  async describe(id: string): Promise<JobDescription | undefined> {
    const job = this.#jobs.get(id);
    if (job === undefined) return undefined;
    const { status, reasons, order, tasks } = job;
    return {
      status,
      total: tasks,
      succeeded: tasks,
      failed: 0,
      reasons,
      manifest: order.manifest,
      reportPrefix: order.reportPrefix,
    };
  }

  /** Runs the newest job to its end. @param edit what each task gives; and what the report's objects are. */
  async run(
    edit: {
      readonly tasks?: (tasks: Task[]) => Task[];
      readonly objects?: (objects: Map<string, Buffer>) => void;
      readonly status?: JobStatus;
      readonly reasons?: string[];
    } = {},
  ): Promise<void> {
    const [id, job] = [...this.#jobs].at(-1) ?? [];
    if (id === undefined || job === undefined) throw new Error("no job was ordered");
    const { manifest, reportPrefix: prefix } = job.order;
    const stored = await this.#vault.open(manifest.key);
    if (stored?.etag !== manifest.etag) throw new Error("another manifest lies there");
    const keys = manifestKeys((await this.#vault.get(manifest.key, 1 << 24)) ?? Buffer.of());
    const tasks = await Promise.all(keys.map((key) => this.#task(key)));
    job.tasks = tasks.length;
    const place = { treeBucket: this.treeBucket, vaultBucket: this.vaultBucket, prefix, job: id };
    const objects = reportObjects(place, edit.tasks?.(tasks) ?? tasks);
    edit.objects?.(objects);
    for (const [key, bytes] of objects) await this.#vault.put(key, bytes);
    job.status = edit.status ?? "Complete";
    job.reasons = edit.reasons ?? [];
  }

  forget(): void {
    this.#jobs.clear();
  }

  async #task(key: string): Promise<Task> {
    const stored = await this.#tree.open(decodeURIComponent(key) as TreeKey);
    if (stored === undefined) return { key };
    const bytes = await stored.read(0, stored.size);
    return { key, bytes, etag: stored.etag };
  }
}

export interface Step {
  readonly result: ChecksumScrubResult | undefined;
  readonly findings: readonly SettledFinding[];
  /** `kind subject`, sorted. */
  readonly names: readonly string[];
}

/** One call of a scrub by a checksum job. */
export async function step(
  mirror: MadeMirror,
  upstream: MadeUpstream,
  jobs: ChecksumJobs,
  options: Partial<ChecksumScrubParts> & {
    readonly shard?: Shard;
    readonly every?: number;
    readonly mends?: true;
    readonly over?: { readonly ledger: Ledger; readonly vault: Vault };
  } = {},
): Promise<Step> {
  const { shard = WHOLE, every, mends, over, ...more } = options;
  const { tree, clock } = mirror;
  const { ledger, vault } = over ?? mirror;
  const findings: SettledFinding[] = [];
  const verifiers = [upstream.database.verifier];
  const mending = {
    tree,
    ledger,
    alone: false,
    upstream: mirror.parts,
    databases: mirror.parts.databases,
    verifiers,
  };
  const result = await checksumScrub(
    {
      tree,
      ledger,
      vault,
      jobs,
      runs: memoryRuns,
      spool: async (chunks) => Buffer.concat(await collected(chunks)),
      now: clock.now,
      owner: "test",
      report: (finding) => void findings.push(finding),
      progress: () => {},
      ...(mends && { mend: (found) => mend(mending, found) }),
      ...more,
    },
    shard,
    every,
  );
  const names = findings.map(({ kind, subject }) => `${kind} ${subject}`).sort();
  return { result, findings, names };
}

export const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

export async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
