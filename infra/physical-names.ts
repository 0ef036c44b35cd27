/** The names of what a mirror retains, from the configuration's name; the same at synth and at run time. */
export interface PhysicalNames {
  readonly treeBucket: string;
  readonly vaultBucket: string;
  readonly table: string;
  readonly inboxQueue: string;
}

export function physicalNames(name: string, account: string, region: string): PhysicalNames {
  return {
    treeBucket: `${name}-tree-${account}-${region}`,
    vaultBucket: `${name}-vault-${account}-${region}`,
    table: `${name}-ledger`,
    inboxQueue: `${name}-inbox`,
  };
}

/** The stacks, in the order in which they are deployed. */
export function stackNames(name: string): { storage: string; pipeline: string; endpoint: string } {
  return { storage: `${name}-storage`, pipeline: `${name}-pipeline`, endpoint: `${name}-endpoint` };
}
