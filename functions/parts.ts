import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dynamoDbClient, type RequestLimits, s3Client, sqsClient } from "../adapters/aws/clients.ts";
import { DynamoDbLedger } from "../adapters/aws/dynamodb-ledger.ts";
import { S3Tree } from "../adapters/aws/s3-tree.ts";
import { S3Vault } from "../adapters/aws/s3-vault.ts";
import { secretReader } from "../adapters/aws/secrets.ts";
import { SqsQueue } from "../adapters/aws/sqs-queue.ts";
import {
  engineEgress,
  engineFeedNames,
  engineFeeds,
  enginePolicy,
  engineSources,
} from "../adapters/configuration/open-engine.ts";
import { sumdbEntries } from "../adapters/configuration/sumdb-shape.ts";
import { SpoolFolder } from "../adapters/local/spool-folder.ts";
import { zipChecker } from "../adapters/local/zip-checker.ts";
import { openSources } from "../adapters/upstream/sources.ts";
import { openTileSources } from "../adapters/upstream/tile-sources.ts";
import { gateOf } from "../adapters/upstream/upstream-gates.ts";
import { type UpstreamToken, upstreamToken } from "../adapters/upstream/upstream-token.ts";
import { HttpVulndb } from "../adapters/upstream/vulndb.ts";
import type { ChecksumDatabase } from "../mirror/checksum-database.ts";
import { misuse } from "../mirror/errors.ts";
import type { Report } from "../mirror/events.ts";
import { ownPages } from "../mirror/own-pages.ts";
import type { Deadline, MirrorParts } from "../mirror/parts.ts";
import type { ServeParts } from "../mirror/serve.ts";
import { OpenSnapshots } from "../mirror/snapshot/open-snapshots.ts";
import type { SpoolBody } from "../mirror/snapshot/spooled-runs.ts";
import type { FeedSettings } from "../mirror/tick.ts";
import { tracedQueue } from "../mirror/traced-queue.ts";
import type { VulndbSource } from "../mirror/vulndb.ts";
import { MirroredVulnerabilities } from "../mirror/vulndb-reader.ts";
import type { FunctionEnvironment } from "./environment.ts";
import { SpoolBudget, sweepSpools } from "./spool-budget.ts";

/** Names this execution environment in leases. */
export const owner = randomUUID();

/**
 * The gateway gives up after 29 s with an error of its own, so serve's must come before it: an answer asks two things of
 * the stores at most, one after the other, and each may cost two tries of a second to connect and five to answer. (A
 * tile that is got from the upstream may add ten seconds, mirror/missing-tiles.ts: too long only where all is that slow.)
 */
const SERVE_LIMITS: RequestLimits = { attempts: 2, connection: 1_000, request: 5_000 };

/**
 * One exchange with the upstream, in ms. Its retries begin within 150 s of the first try (adapters/upstream/retries.ts),
 * so that a file that hangs to the last ends within 270 s: inside a unit of work of 300 s, with time left to note it.
 */
const WHOLE_EXCHANGE = 120_000;

export function serveParts(environment: FunctionEnvironment): ServeParts {
  const { settings, secret } = awsSettings(environment);
  const tree = new S3Tree({ client: s3Client(settings, SERVE_LIMITS), bucket: environment.treeBucket });
  const { engine } = environment;
  const ledger = new DynamoDbLedger({
    client: dynamoDbClient(settings, SERVE_LIMITS),
    table: environment.table,
  });
  const now = Date.now;
  const databases = sumdbEntries(engine.sumdb).map(({ verifier }) => verifier.name);
  const feeds = engineFeedNames(engine);
  const parts = {
    tree,
    ledger,
    now,
    pages: ownPages(async () => ({ ledger, now, databases, feeds }), now),
    snapshots: new OpenSnapshots({
      vault: new S3Vault({ client: s3Client(settings, SERVE_LIMITS), bucket: environment.vaultBucket }),
      ledger,
      now,
    }),
  };
  if (!environment.fetchesTiles) return parts;
  const sources = engineSources(engine, { secret }, settings.egress);
  return { ...parts, missingTiles: openTileSources({ ...sources, tree, ledger, now }).missingTiles };
}

/** What the desk of requests needs. */
export interface DeskParts extends Pick<MirrorParts, "vault" | "ledger" | "now"> {
  /** What clients give; read again after five minutes. */
  readonly token: UpstreamToken;
}

/** @returns undefined where the configuration names no token: then nobody hands in requests here. */
export function deskParts(environment: FunctionEnvironment): DeskParts | undefined {
  const { requestTokenSecret: secret, vaultBucket: bucket, table } = environment;
  if (secret === undefined) return undefined;
  const { settings, secret: read } = awsSettings(environment, SERVE_LIMITS);
  return {
    vault: new S3Vault({ client: s3Client(settings, SERVE_LIMITS), bucket }),
    ledger: new DynamoDbLedger({ client: dynamoDbClient(settings, SERVE_LIMITS), table }),
    now: Date.now,
    token: upstreamToken(secret, "bearer", () => read(secret)),
  };
}

export interface FunctionParts extends MirrorParts {
  readonly databases: readonly ChecksumDatabase[];
  readonly feeds: FeedSettings;
  /** The vulnerability database that is mirrored; absent: none. */
  readonly vulndb?: VulndbSource;
}

/** Everything that plan, accept-request, work and reconcile need. */
export function mirrorParts(environment: FunctionEnvironment, report: Report): FunctionParts {
  const { engine, queues } = environment;
  if (queues === undefined)
    throw misuse("environment", "environment: a queue's URL is missing; deploy the stacks again");
  const { settings, secret } = awsSettings(environment);
  const engineParts = engineSources(engine, { secret }, settings.egress);
  const s3 = s3Client(settings);
  const tree = new S3Tree({ client: s3, bucket: environment.treeBucket });
  const ledger = new DynamoDbLedger({ client: dynamoDbClient(settings), table: environment.table });
  const vault = new S3Vault({ client: s3, bucket: environment.vaultBucket });
  const folder = join(tmpdir(), "modferry");
  sweepSpools(folder);
  const spools = new SpoolFolder(folder);
  const budget = new SpoolBudget();
  const { upstream, databasesFor, databases } = openSources({
    ...engineParts,
    spool: (chunks, limit, subject) => budget.hold(limit, () => spools.spool(chunks, limit, subject)),
    timing: { whole: WHOLE_EXCHANGE },
    tree,
    vault,
    ledger,
    report,
    owner,
  });
  const policy = enginePolicy(engine);
  const { vulndb } = engine;
  const http = { egress: engineParts.egress, timing: { whole: WHOLE_EXCHANGE } };
  const gates = { ledger, now: Date.now, report };
  const vulndbGate = vulndb && gateOf(vulndb.url, undefined, gates);
  return {
    tree,
    vault,
    ledger,
    queue: tracedQueue(new SqsQueue({ client: sqsClient(settings), urls: queues })),
    upstream,
    zips: zipChecker,
    databasesFor,
    now: Date.now,
    report,
    ...(policy && { policy, vulnerabilities: new MirroredVulnerabilities(tree, Date.now) }),
    databases,
    feeds: engineFeeds(engine, http, gates),
    ...(vulndb && {
      vulndb: new HttpVulndb(vulndb.url, { ...http, ...(vulndbGate && { gate: vulndbGate }) }),
    }),
  };
}

/**
 * How a function asks AWS: by the configuration's way out, since it may be inside of a VPC without another one. The login
 * of the proxy itself is read directly: nothing else could lead there.
 */
export function awsSettings({ region, endpointUrl, engine }: FunctionEnvironment, limits?: RequestLimits) {
  const direct = { region, ...(endpointUrl === undefined ? {} : { endpointUrl }) };
  const settings = { ...direct, egress: engineEgress(engine, secretReader(direct, limits)) };
  return { settings, secret: secretReader(settings, limits) };
}

/** For sorted runs of a listing: in /tmp, as spools are, but they live as long as a call. */
export function scratchSpool(): SpoolBody {
  const spools = new SpoolFolder(join(tmpdir(), "modferry"));
  return (chunks, limit, subject) => spools.spool(chunks, limit, subject);
}

/** Lambda's own clock. */
export function deadlineOf(context: { getRemainingTimeInMillis(): number }): Deadline {
  return { remaining: () => context.getRemainingTimeInMillis() };
}
