import { type ErrorClass, MirrorError } from "../../mirror/errors.ts";

/** Error names of S3, DynamoDB, SQS, STS and the SDK itself, by what is wrong (their API references, Errors). */
const credentialErrors = new Set([
  "CredentialsProviderError",
  "TokenProviderError",
  "ExpiredToken",
  "ExpiredTokenException",
  "TokenRefreshRequired",
  "InvalidToken",
  "InvalidAccessKeyId",
  "InvalidClientTokenId",
  "UnrecognizedClientException",
  "MissingAuthenticationToken",
  "MissingAuthenticationTokenException",
  "SignatureDoesNotMatch",
  "InvalidSignatureException",
  "IncompleteSignature",
  "AuthFailure",
  "RequestTimeTooSkewed",
  "RequestExpired",
]);
const missingStores = new Set([
  "NoSuchBucket",
  "ResourceNotFoundException",
  "QueueDoesNotExist",
  "AWS.SimpleQueueService.NonExistentQueue",
]);
const misaddressedStores = new Set([
  "PermanentRedirect",
  "TemporaryRedirect",
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
  "InvalidBucketName",
  "InvalidAddress",
]);
/** The bytes were damaged on the way (S3 API reference, Error responses). */
const damagedBodies = new Set([
  "BadDigest",
  "InvalidDigest",
  "XAmzContentSHA256Mismatch",
  "XAmzContentChecksumMismatch",
]);

/** How much of an SDK's message is passed on: it is for people, and a line of a log. */
const MESSAGE_LENGTH = 200;

/** What an SDK error tells beside its message; all of it optional, since it is read from a thrown `unknown`. */
interface SdkError {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
  readonly retryAfter: number | undefined;
}

/** Reads an error of the SDK, of Node's sockets or of anything. */
export function sdkError(thrown: unknown): SdkError {
  const error = (typeof thrown === "object" && thrown !== null ? thrown : {}) as {
    name?: unknown;
    message?: unknown;
    code?: unknown;
    $metadata?: { httpStatusCode?: number };
    $response?: { headers?: Record<string, string> };
  };
  const seconds = Number(error.$response?.headers?.["retry-after"]);
  const code = typeof error.code === "string" ? error.code : "";
  return {
    name: typeof error.name === "string" ? error.name : "",
    // What OpenSSL says is not for people.
    message: /^(?:ERR_SSL_|EPROTO$)/.test(code)
      ? `no TLS connection with the endpoint comes about (${code}); check AWS_ENDPOINT_URL, and whether it should begin with http://`
      : String(error.message || error.code || error.name || thrown),
    status: error.$metadata?.httpStatusCode,
    retryAfter: Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined,
  };
}

/**
 * Makes what the SDK threw a MirrorError, once, where it enters.
 * @param store the bucket, table or queue, for the message: `bucket modferry-tree`.
 * @param subject the key, version or name that was asked for; part of the message.
 */
export function fromSdk(thrown: unknown, store: string, subject: string): MirrorError {
  if (thrown instanceof MirrorError) return thrown;
  const error = sdkError(thrown);
  const [errorClass, remedy] = classify(error);
  const told = oneLine(error.message);
  const reason = error.name === "" || told.includes(error.name) ? told : `${error.name}: ${told}`;
  const message = `${oneLine(subject)}: ${store}: ${reason}${remedy === "" ? "" : ` (${remedy})`}`;
  return new MirrorError(errorClass, subject, message, {
    cause: thrown,
    ...(error.retryAfter === undefined ? {} : { retryAfter: error.retryAfter }),
  });
}

function classify({ name, message, status }: SdkError): [ErrorClass, remedy: string] {
  if (name === "RequestTimeTooSkewed" || name === "RequestExpired") {
    return ["unauthorized", "set this machine's clock"];
  }
  if (credentialErrors.has(name) || /^Could not load credentials/.test(message)) {
    return [
      "unauthorized",
      "check the AWS credentials: role, profile or AWS_ACCESS_KEY_ID, and whether they expired",
    ];
  }
  if (missingStores.has(name))
    return ["misuse", "check its name and region, and that the storage stack is deployed"];
  if (misaddressedStores.has(name) || message === "Region is missing") {
    return ["misuse", "check its name and the region, such as AWS_REGION"];
  }
  if (name === "KeyTooLongError") return ["malformed", "S3 takes names up to 1,024 bytes"];
  if (damagedBodies.has(name)) return ["transient", "damaged on the way"];
  if (status === 401 || status === 403 || /^(KMS\.)?AccessDenied/.test(name)) {
    return ["unauthorized", "check the role's grants, the store's policy and its KMS key"];
  }
  // Throttling, 5xx, time-outs and sockets heal by themselves. What is left is a mistake of ours in a request:
  // it too is transient, since it must not mark a version for good (mirror/errors.ts, asMirrorError).
  return ["transient", ""];
}

/** Runs one call of the SDK and translates what it throws. */
export async function translated<T>(store: string, subject: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    throw fromSdk(thrown, store, subject);
  }
}

function oneLine(text: string): string {
  const line = text.replace(/[\p{Cc}\u2028\u2029]+/gu, " ").trim();
  return line.length > MESSAGE_LENGTH ? `${line.slice(0, MESSAGE_LENGTH)}…` : line;
}
