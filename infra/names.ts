import { ArnFormat, Aws, type Stack } from "aws-cdk-lib";
import { type PhysicalNames, physicalNames } from "../adapters/aws/physical-names.ts";
import type { Configuration } from "./configuration.ts";

/**
 * The physical names of what the storage stack retains. The other stacks find it by these, so that no stack exports
 * anything to another and each can be replaced on its own.
 */
export class Names implements PhysicalNames {
  readonly treeBucket: string;
  readonly vaultBucket: string;
  readonly table: string;
  readonly inboxQueue: string;
  readonly bundleBucket: string;
  readonly bundleQueue: string;
  readonly #stack: Stack;

  constructor(configuration: Configuration, stack: Stack) {
    const names = physicalNames(configuration.name, Aws.ACCOUNT_ID, Aws.REGION);
    this.treeBucket = names.treeBucket;
    this.vaultBucket = names.vaultBucket;
    this.table = names.table;
    this.inboxQueue = names.inboxQueue;
    this.bundleBucket = names.bundleBucket;
    this.bundleQueue = names.bundleQueue;
    this.#stack = stack;
  }

  arn(service: string, resource: string): string {
    return this.#stack.formatArn({ service, resource });
  }

  /** Whatever six characters end it. */
  secretArn(name: string): string {
    const arnFormat = ArnFormat.COLON_RESOURCE_NAME;
    return this.#stack.formatArn({
      service: "secretsmanager",
      resource: "secret",
      resourceName: `${name}-??????`,
      arnFormat,
    });
  }

  bucketArn(bucket: string): string {
    return this.#stack.formatArn({ service: "s3", region: "", account: "", resource: bucket });
  }
}
