import { Aws, type Stack } from "aws-cdk-lib";
import type { Configuration } from "./configuration.ts";

/**
 * The physical names of what the storage stack retains. The other stacks find it by these, so that no stack exports
 * anything to another and each can be replaced on its own.
 */
export class Names {
  readonly #name: string;
  readonly #stack: Stack;

  constructor(configuration: Configuration, stack: Stack) {
    this.#name = configuration.name;
    this.#stack = stack;
  }

  get treeBucket(): string {
    return `${this.#name}-tree-${Aws.ACCOUNT_ID}-${Aws.REGION}`;
  }

  get vaultBucket(): string {
    return `${this.#name}-vault-${Aws.ACCOUNT_ID}-${Aws.REGION}`;
  }

  get table(): string {
    return `${this.#name}-ledger`;
  }

  get inboxQueue(): string {
    return `${this.#name}-inbox`;
  }

  arn(service: string, resource: string): string {
    return this.#stack.formatArn({ service, resource });
  }

  bucketArn(bucket: string): string {
    return this.#stack.formatArn({ service: "s3", region: "", account: "", resource: bucket });
  }
}
