import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { S3Client } from "@aws-sdk/client-s3";
import { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { SQSClient } from "@aws-sdk/client-sqs";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import type { Egress } from "../egress/egress.ts";
import { ProxiedHandler } from "./proxied-handler.ts";

/** Where AWS is for us. Whoever reads the environment makes this; nothing here does. */
export interface AwsSettings {
  readonly region: string;
  /** An emulator, or a private endpoint that serves every service; absent for AWS itself. */
  readonly endpointUrl?: string;
  /** Absent: the SDK's own chain (role, profile, environment). An emulator takes any pair. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Which proxy leads where; directly unless told otherwise. */
  readonly egress?: Egress;
}

/** Requests to one endpoint at the same time; a function has 1,024 file descriptors (AWS Lambda, quotas). */
const MAX_SOCKETS = 64;
/** Tries of one request, the first included: the SDK's standard retry mode waits 100 ms and up between them. */
const MAX_ATTEMPTS = 3;
/** To a TCP and TLS connection, in ms. */
const CONNECTION_TIMEOUT = 3_000;
/** A socket on which nothing moves is given up after this many ms, while a body comes in too. */
const IDLE_TIMEOUT = 30_000;
/** From a request to its reply's headers, in ms: ledger and queue answer within a second or are in trouble. */
const REQUEST_TIMEOUT = 10_000;
/** As above, but S3's covers the upload of a zip: one unit of work (docs/architecture.md, Errors). */
const TRANSFER_TIMEOUT = 300_000;

/** What one request may cost, in ms; for a caller that has to answer soon itself. */
export interface RequestLimits {
  /** Tries, the first included. */
  readonly attempts: number;
  readonly connection: number;
  /** To the reply's headers, and of silence in its body. */
  readonly request: number;
}

/** The SDK warns on the console about what it throws anyway; progress and logs are ours. */
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

const defaultLimits = { attempts: MAX_ATTEMPTS, connection: CONNECTION_TIMEOUT, request: REQUEST_TIMEOUT };

export function s3Client(settings: AwsSettings, limits?: RequestLimits): S3Client {
  return new S3Client({
    ...common(settings, limits ?? { ...defaultLimits, request: TRANSFER_TIMEOUT }),
    // Names of buckets are no names of hosts on loopback.
    forcePathStyle: settings.endpointUrl !== undefined,
  });
}

export function dynamoDbClient(settings: AwsSettings, limits?: RequestLimits): DynamoDBClient {
  return new DynamoDBClient(common(settings, limits ?? defaultLimits));
}

export function secretsManagerClient(
  settings: AwsSettings,
  limits: RequestLimits = defaultLimits,
): SecretsManagerClient {
  return new SecretsManagerClient(common(settings, limits));
}

export function sqsClient(settings: AwsSettings): SQSClient {
  return new SQSClient(common(settings, defaultLimits));
}

/** What a client of any other service is made with. */
export function clientOptions(settings: AwsSettings) {
  return common(settings, defaultLimits);
}

function common(settings: AwsSettings, { attempts, connection, request }: RequestLimits) {
  const { region, endpointUrl, credentials, egress } = settings;
  // Options, not agents of ours: with a foreign agent the SDK does not wait for `100 Continue`, and would send
  // a zip in full to learn that it is there already.
  const handlerOptions = {
    connectionTimeout: connection,
    requestTimeout: request,
    throwOnRequestTimeout: true,
    socketTimeout: Math.min(IDLE_TIMEOUT, request),
    httpAgent: { keepAlive: true, maxSockets: MAX_SOCKETS },
    httpsAgent: { keepAlive: true, maxSockets: MAX_SOCKETS },
  };
  return {
    region,
    ...(endpointUrl === undefined ? {} : { endpoint: endpointUrl }),
    ...(credentials === undefined ? {} : { credentials }),
    logger: silent,
    retryMode: "standard",
    // What we read is proven by its h1: the SDK need not wrap bodies in a stream of its own to sum them.
    responseChecksumValidation: "WHEN_REQUIRED" as const,
    maxAttempts: attempts,
    requestHandler:
      egress === undefined ? new NodeHttpHandler(handlerOptions) : new ProxiedHandler(egress, handlerOptions),
  };
}
