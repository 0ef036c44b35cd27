import { tmpdir } from "node:os";
import { join } from "node:path";
import { S3BundleInbox } from "../adapters/aws/bundle-inbox.ts";
import { S3Stages } from "../adapters/aws/bundle-stages.ts";
import { s3Client, sqsClient } from "../adapters/aws/clients.ts";
import { kmsKey } from "../adapters/aws/kms-key.ts";
import { kmsSigner } from "../adapters/aws/kms-signer.ts";
import { WakeQueue } from "../adapters/aws/wake-queue.ts";
import type { BundlesSettings } from "../adapters/configuration/bundles-shape.ts";
import { sumdbEntries } from "../adapters/configuration/sumdb-shape.ts";
import { SpoolFolder } from "../adapters/local/spool-folder.ts";
import type { BundleSigner, TrustedSigner } from "../mirror/bundle/bundle-signer.ts";
import type { SpoolChunks } from "../mirror/bundle/import-snapshot.ts";
import { misuse } from "../mirror/errors.ts";
import type { FunctionEnvironment } from "./environment.ts";
import { awsSettings, type FunctionParts } from "./parts.ts";
import { SPOOL_BYTES, SpoolBudget } from "./spool-budget.ts";

/** Tiles and lookups that an import keeps in /tmp between checking and proving; with spools below infra's BUNDLE_SPOOL_MIB. */
export const KEPT_BYTES = 2_000 * 1024 * 1024;

/** What the functions of bundles need of the environment. @throws MirrorError misuse where they are not configured. */
function bundleSettings({ engine, bundles }: FunctionEnvironment) {
  if (bundles === undefined || engine.bundles === undefined)
    throw misuse("environment", "environment: bundles are not configured; deploy the stacks again");
  return { ...engine.bundles, ...bundles };
}

/** What the import function needs besides a mirror's parts. */
export function inboxParts(environment: FunctionEnvironment, { ledger, now, databasesFor }: FunctionParts) {
  const { bucket, queue, trust, signer } = bundleSettings(environment);
  const { settings } = awsSettings(environment);
  const spool = bundleSpool();
  return {
    inbox: new S3BundleInbox({ client: s3Client(settings), bucket }),
    stages: new S3Stages({ ledger, now, spool, folder: folder(), mostKept: KEPT_BYTES }),
    spool,
    wake: new WakeQueue({ client: sqsClient(settings), url: queue }),
    trusted: trust.map(trustedSigner),
    signer: lazySigner(environment, signer),
    verifiers: sumdbEntries(environment.engine.sumdb).map(({ verifier }) => verifier),
    covering: (path: Parameters<typeof databasesFor>[0]) => databasesFor(path).map(({ name }) => name),
  };
}

const folder = () => join(tmpdir(), "modferry");

function bundleSpool(): SpoolChunks {
  const spools = new SpoolFolder(folder());
  const budget = new SpoolBudget(SPOOL_BYTES);
  return (chunks, limit, subject) => budget.hold(limit, () => spools.spool(chunks, limit, subject));
}

function trustedSigner({ key, notBefore, notAfter }: BundlesSettings["trust"][number]): TrustedSigner {
  return {
    verifierKey: key,
    ...(notBefore === undefined ? {} : { notBefore: Date.parse(notBefore) }),
    ...(notAfter === undefined ? {} : { notAfter: Date.parse(notAfter) }),
  };
}

/** Who signs; KMS is asked for the public key once in a process, and not before it is needed. */
function lazySigner(
  environment: FunctionEnvironment,
  signer: BundlesSettings["signer"],
): () => Promise<BundleSigner | undefined> {
  if (signer === undefined) return async () => undefined;
  let made: Promise<BundleSigner> | undefined;
  return async () => {
    made ??= kmsSigner(signer.name, kmsKey(awsSettings(environment).settings, signer.key));
    made.catch(() => {
      made = undefined;
    });
    return await made;
  };
}
