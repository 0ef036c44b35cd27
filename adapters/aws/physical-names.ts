/** The names of what a mirror retains, from the configuration's name; the same at synth and at run time. */
export interface PhysicalNames {
  readonly treeBucket: string;
  readonly vaultBucket: string;
  readonly table: string;
  readonly inboxQueue: string;
  /** Where bundles come in, and what tells of it. */
  readonly bundleBucket: string;
  readonly bundleQueue: string;
}

export function physicalNames(name: string, account: string, region: string): PhysicalNames {
  return {
    treeBucket: `${name}-tree-${account}-${region}`,
    vaultBucket: `${name}-vault-${account}-${region}`,
    table: tableName(name),
    inboxQueue: `${name}-inbox`,
    bundleBucket: `${name}-bundles-${account}-${region}`,
    bundleQueue: `${name}-bundles`,
  };
}

/** Of the ledger: the one name that is known without the account. */
export function tableName(name: string): string {
  return `${name}-ledger`;
}

/** What S3 runs checksum jobs as (infra/scrub-batch.ts). Roles are an account's in all regions. */
export function batchRoleName(name: string, region: string): string {
  return `${name}-scrub-batch-${region}`;
}

/** A queue of orders, `fresh` or `backfill`. */
export function workQueueName(name: string, queue: string): string {
  return `${name}-${queue}`;
}
