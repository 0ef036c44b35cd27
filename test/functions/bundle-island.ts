import { createReadStream, statSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import type { Context, SQSEvent } from "aws-lambda";
import { type AwsSettings, s3Client, sqsClient } from "../../adapters/aws/clients.ts";
import { sha256Of } from "../../mirror/body.ts";
import { readMark } from "../../mirror/bundle/mark.ts";
import { newLedger, newQueue, newTree, newVault } from "../contract/aws-stores.ts";

/** The stores of a mirror that is fed by its inbox, in an emulator, without a deployment. */
export class BundleIsland {
  readonly #settings: AwsSettings;
  readonly #s3: S3Client;
  readonly #sqs: SQSClient;
  readonly bucket: string;
  readonly queueUrl: string;
  readonly stores: {
    readonly tree: Awaited<ReturnType<typeof newTree>>;
    readonly vault: Awaited<ReturnType<typeof newVault>>;
    readonly ledger: Awaited<ReturnType<typeof newLedger>>;
    readonly queue: Awaited<ReturnType<typeof newQueue>>;
  };

  private constructor(
    settings: AwsSettings,
    bucket: string,
    queueUrl: string,
    stores: BundleIsland["stores"],
  ) {
    this.#settings = settings;
    this.#s3 = s3Client(settings);
    this.#sqs = sqsClient(settings);
    this.bucket = bucket;
    this.queueUrl = queueUrl;
    this.stores = stores;
  }

  static async make(settings: AwsSettings): Promise<BundleIsland> {
    const [tree, vault, ledger, queue] = await Promise.all([
      newTree(settings),
      newVault(settings),
      newLedger(settings),
      newQueue(settings),
    ]);
    const bucket = tree.bucket.replace("tree", "bundles");
    await s3Client(settings).send(new CreateBucketCommand({ Bucket: bucket }));
    const made = await sqsClient(settings).send(new CreateQueueCommand({ QueueName: bucket }));
    return new BundleIsland(settings, bucket, made.QueueUrl ?? "", { tree, vault, ledger, queue });
  }

  /** For the functions, beside MODFERRY_ENGINE_FILE. */
  environment(): Record<string, string> {
    const { tree, vault, ledger, queue } = this.stores;
    return {
      AWS_REGION: this.#settings.region,
      AWS_ENDPOINT_URL: this.#settings.endpointUrl ?? "",
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
      MODFERRY_TREE_BUCKET: tree.bucket,
      MODFERRY_VAULT_BUCKET: vault.bucket,
      MODFERRY_TABLE: ledger.table,
      MODFERRY_FRESH_QUEUE_URL: queue.urls.fresh,
      MODFERRY_BACKFILL_QUEUE_URL: queue.urls.backfill,
      MODFERRY_BUNDLE_BUCKET: this.bucket,
      MODFERRY_BUNDLE_QUEUE_URL: this.queueUrl,
    };
  }

  /** As `aws s3 cp --recursive FOLDER s3://BUCKET/inbox/NAME/`. */
  async upload(folder: string, name: string, only: (path: string) => boolean = () => true): Promise<void> {
    for (const path of await filesBelow(folder))
      if (only(path)) {
        const file = join(folder, path);
        await this.#put(`inbox/${name}/${path}`, createReadStream(file), statSync(file).size);
      }
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.#put(key, bytes, bytes.byteLength);
  }

  async #put(Key: string, Body: Uint8Array | ReturnType<typeof createReadStream>, ContentLength: number) {
    await this.#s3.send(new PutObjectCommand({ Bucket: this.bucket, Key, Body, ContentLength }));
  }

  async read(key: string): Promise<Buffer | undefined> {
    try {
      const { Body } = await this.#s3.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    } catch (error) {
      if (error instanceof Error && error.name === "NoSuchKey") return undefined;
      throw error;
    }
  }

  async json(key: string): Promise<Record<string, unknown> | undefined> {
    const bytes = await this.read(key);
    return bytes && (JSON.parse(bytes.toString("utf8")) as Record<string, unknown>);
  }

  async keys(prefix: string): Promise<string[]> {
    const { Contents = [] } = await this.#s3.send(
      new ListObjectsV2Command({ Bucket: this.bucket, Prefix: prefix }),
    );
    return Contents.map(({ Key = "" }) => Key);
  }

  /** Takes all of a folder out again. */
  async remove(prefix: string): Promise<void> {
    const Objects = (await this.keys(prefix)).map((Key) => ({ Key }));
    if (Objects.length > 0)
      await this.#s3.send(new DeleteObjectsCommand({ Bucket: this.bucket, Delete: { Objects } }));
  }

  /** Every file of the tree by its path, with its SHA-256. */
  async tree(): Promise<Record<string, string>> {
    const { tree } = this.stores.tree;
    const files: [string, string][] = [];
    for await (const { key, size } of tree.keys()) {
      const found = await tree.get(key as Parameters<typeof tree.get>[0], size);
      files.push([key, sha256Of(found?.bytes ?? new Uint8Array())]);
    }
    return Object.fromEntries(files.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** The tree in a folder, for clients that read files. */
  async copyTree(folder: string): Promise<void> {
    const { tree } = this.stores.tree;
    for await (const { key, size } of tree.keys()) {
      const found = await tree.get(key as Parameters<typeof tree.get>[0], size);
      await mkdir(dirname(join(folder, key)), { recursive: true });
      await writeFile(join(folder, key), found?.bytes ?? "");
    }
  }

  async mark(): Promise<string | undefined> {
    return (await readMark(this.stores.ledger.ledger))?.snapshot;
  }

  /** All that readers can see, and its records, as one text. */
  async state(): Promise<string> {
    const { ledger } = this.stores.ledger;
    const lines: string[] = [];
    for await (const record of ledger.records()) lines.push(JSON.stringify(record));
    for (const kind of ["control", "block"] as const)
      for await (const item of ledger.items(kind))
        if (item.name !== "bundle-inbox") lines.push(JSON.stringify(item));
    return [...lines.sort(), JSON.stringify(await this.tree())].join("\n");
  }

  /** What the function has told itself, at once or for later; taken from the queue. */
  async woken(): Promise<string[]> {
    const bodies: string[] = [];
    for (;;) {
      const { Messages = [] } = await this.#sqs.send(
        new ReceiveMessageCommand({ QueueUrl: this.queueUrl, MaxNumberOfMessages: 10 }),
      );
      if (Messages.length === 0) return bodies;
      for (const { Body = "", ReceiptHandle } of Messages) {
        bodies.push(Body);
        await this.#sqs.send(new DeleteMessageCommand({ QueueUrl: this.queueUrl, ReceiptHandle }));
      }
    }
  }
}

/** A call's messages. */
export function messagesOf(bodies: readonly string[]): SQSEvent {
  return { Records: bodies.map((body, at) => ({ messageId: String(at), body })) } as SQSEvent;
}

/** Five minutes, of which all are left. */
export const UNHURRIED = { getRemainingTimeInMillis: () => 300_000 } as Context;

/** A call whose time is up once it has been asked for so often. */
export function hurried(asks: number): Context {
  let left = asks;
  return { getRemainingTimeInMillis: () => (left-- > 0 ? 300_000 : 1_000) } as Context;
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}
