import { AsyncLocalStorage } from "node:async_hooks";

/** One right that a call has needed: an action and what it was about, as `tree/…`, `vault/…`, `table` or a queue's name. */
export interface Needed {
  readonly action: string;
  readonly resource: string;
}

/** Which function is running, and what each has needed so far. */
export class RecordedCalls {
  readonly #running = new AsyncLocalStorage<string>();
  readonly #needed = new Map<string, Map<string, Needed>>();
  /** Physical names of buckets and queue URLs, to what the stacks call them. */
  readonly names = new Map<string, string>();

  run<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.#running.run(name, work);
  }

  of(name: string): Needed[] {
    return [...(this.#needed.get(name)?.values() ?? [])];
  }

  /** An SDK client that notes each command before it is sent. */
  watch<C extends { middlewareStack: { add: (...args: never[]) => void } }>(client: C): C {
    const middleware =
      (next: (args: unknown) => Promise<unknown>, context: { commandName?: string }) =>
      async (args: { input: Record<string, unknown> }) => {
        const function_ = this.#running.getStore();
        if (function_ === undefined) return next(args);
        const note = (needed: Needed) => {
          const known = this.#needed.get(function_) ?? new Map<string, Needed>();
          this.#needed.set(function_, known.set(`${needed.action} ${needed.resource}`, needed));
        };
        const needed = this.#rightOf(context.commandName ?? "", args.input);
        note(needed);
        if (adds(args.input)) note({ action: "dynamodb:UpdateItem", resource: needed.resource });
        try {
          return await next(args);
        } catch (error) {
          // Without ListBucket S3 says 403 of a key that is not there.
          const lacks = error instanceof Error && ["NoSuchKey", "NotFound"].includes(error.name);
          if (lacks) note({ action: "s3:ListBucket", resource: needed.resource.split("/", 1)[0] ?? "" });
          throw error;
        }
      };
    client.middlewareStack.add(...([middleware, { step: "initialize", name: "recorded" }] as never[]));
    return client;
  }

  /** AWS Service Authorization Reference: actions of S3, DynamoDB and SQS. @throws on a command that it does not know. */
  #rightOf(command: string, input: Record<string, unknown>): Needed {
    const object = () => `${this.#name(input.Bucket)}/${input.Key}`;
    switch (command) {
      case "GetObjectCommand":
      case "HeadObjectCommand":
        return { action: "s3:GetObject", resource: object() };
      case "PutObjectCommand":
        return { action: "s3:PutObject", resource: object() };
      case "DeleteObjectCommand":
        return { action: "s3:DeleteObject", resource: object() };
      case "ListObjectsV2Command":
        return { action: "s3:ListBucket", resource: this.#name(input.Bucket) };
      case "QueryCommand":
        return {
          action: "dynamodb:Query",
          resource: input.IndexName === undefined ? "table" : `table/index/${input.IndexName}`,
        };
      case "TransactWriteItemsCommand": {
        // Authorized as what it consists of; each of ours puts a record, and may add to counters besides.
        const items = input.TransactItems as readonly object[];
        if (!items.every((item) => "Put" in item || "Update" in item))
          throw new Error("a transaction of something else than puts and updates");
        return { action: "dynamodb:PutItem", resource: "table" };
      }
      case "GetItemCommand":
      case "BatchGetItemCommand":
      case "PutItemCommand":
      case "DeleteItemCommand":
      case "BatchWriteItemCommand":
      case "ScanCommand":
        return { action: `dynamodb:${command.replace("Command", "")}`, resource: "table" };
      case "GetSecretValueCommand":
        return { action: "secretsmanager:GetSecretValue", resource: `secret/${input.SecretId}` };
      case "SendMessageCommand":
      case "SendMessageBatchCommand":
        return { action: "sqs:SendMessage", resource: this.#name(input.QueueUrl) };
      default:
        throw new Error(`${command}: say here which right it needs`);
    }
  }

  #name(physical: unknown): string {
    return this.names.get(String(physical)) ?? String(physical);
  }
}

/** Whether a transaction adds to counters. */
function adds({ TransactItems: items }: Record<string, unknown>): boolean {
  return Array.isArray(items) && items.some((item: object) => "Update" in item);
}
