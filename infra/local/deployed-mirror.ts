import { setTimeout as sleep } from "node:timers/promises";
import { type AwsSettings, dynamoDbClient, s3Client } from "../../adapters/aws/clients.ts";
import { DynamoDbLedger } from "../../adapters/aws/dynamodb-ledger.ts";
import { physicalNames } from "../../adapters/aws/physical-names.ts";
import { S3Tree } from "../../adapters/aws/s3-tree.ts";
import { S3Vault } from "../../adapters/aws/s3-vault.ts";
import { type Need, readClosure } from "../../mirror/closure-file.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { RequestKey } from "../../mirror/orders.ts";
import type { MirrorParts } from "../../mirror/parts.ts";
import { covers } from "../../mirror/records.ts";
import type { RequestRecord } from "../../mirror/requests.ts";
import { LOCAL_ACCOUNT, LOCAL_NAME, LOCAL_REGION } from "./local-configuration.ts";

const POLL = 500;
/** A unit of work takes 300 s at most: where nothing has moved for longer, nothing will. */
const STALLED_AFTER = 360_000;

/** The stores of the deployed mirror, as its functions have them. */
export type DeployedMirror = Pick<MirrorParts, "tree" | "vault" | "ledger" | "now">;

export function deployedMirror(endpointUrl: string): DeployedMirror {
  const credentials = { accessKeyId: "test", secretAccessKey: "test" };
  const settings: AwsSettings = { region: LOCAL_REGION, endpointUrl, credentials };
  const names = physicalNames(LOCAL_NAME, LOCAL_ACCOUNT, LOCAL_REGION);
  const s3 = s3Client(settings);
  return {
    tree: new S3Tree({ client: s3, bucket: names.treeBucket }),
    vault: new S3Vault({ client: s3, bucket: names.vaultBucket }),
    ledger: new DynamoDbLedger({ client: dynamoDbClient(settings), table: names.table }),
    now: Date.now,
  };
}

/** How far the deployed functions are with a request. */
export interface RequestProgress {
  readonly state: RequestRecord["state"] | "HANDED IN";
  /** Versions of the closure; undefined before it is resolved. */
  readonly total?: number;
  readonly held?: number;
  /** Versions that cannot be had now. */
  readonly failed?: number;
  /** Of all that is held. */
  readonly bytes?: number;
}

/**
 * Watches a request until it is DONE, INCOMPLETE or REFUSED.
 * @throws MirrorError transient when nothing moves any more; the signal's reason.
 */
export async function followRequest(
  mirror: Pick<DeployedMirror, "vault" | "ledger">,
  request: RequestKey,
  show: (progress: RequestProgress) => void,
  signal: AbortSignal,
): Promise<RequestRecord> {
  let needs: readonly Need[] | undefined;
  let seen = "";
  let movedAt = Date.now();
  for (;;) {
    const record = await mirror.ledger.readRequest(request);
    if (record !== undefined && !["OPEN", "RESOLVED"].includes(record.state)) return record;
    if (record?.state === "RESOLVED") needs ??= (await readClosure(mirror.vault, request)).needs;
    const progress = { state: record?.state ?? ("HANDED IN" as const), ...(await heldOf(mirror, needs)) };
    show(progress);
    const now = JSON.stringify(progress);
    if (now !== seen) movedAt = Date.now();
    seen = now;
    if (Date.now() - movedAt > STALLED_AFTER) {
      const subject = `request ${request.name}/${request.time}`;
      const problem = `${progress.state}, and nothing has moved for ${STALLED_AFTER / 1000} s`;
      throw new MirrorError("transient", subject, `${subject}: ${problem}: see the emulator's log`);
    }
    await sleep(POLL, undefined, { signal });
  }
}

async function heldOf(
  { ledger }: Pick<DeployedMirror, "ledger">,
  needs: readonly Need[] | undefined,
): Promise<Omit<RequestProgress, "state">> {
  if (needs === undefined) return {};
  const records = await ledger.read(needs.map((need) => need.version));
  let [held, failed, bytes] = [0, 0, 0];
  records.forEach((record, at) => {
    if (record === undefined) return;
    bytes += (record.modSize ?? 0) + (record.zipSize ?? 0);
    if (covers(record.held, needs[at]?.extent ?? "whole")) held++;
    else if (record.state !== "PENDING") failed++;
  });
  return { total: needs.length, held, failed, bytes };
}
