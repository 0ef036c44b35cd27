/**
 * Unit prices, US dollars. ASSUMPTIONS, to be checked by whoever relies on them: list prices of us-east-1 as they were
 * known on 2026-11-23, first tier, without free allowances, taxes or discounts. Change them here and run `npm run cost`.
 */
export const PRICES = {
  region: "us-east-1",
  asOf: "2026-11-23",
  s3: {
    /** PUT, COPY, POST, LIST. */
    write: 0.005 / 1_000,
    /** GET, HEAD and all others. */
    read: 0.0004 / 1_000,
    gbMonth: 0.023,
  },
  dynamodb: {
    /** On demand, a unit is 1 KB written. */
    writeUnit: 0.625 / 1_000_000,
    /** On demand, a unit is 4 KB read strongly. */
    readUnit: 0.125 / 1_000_000,
    gbMonth: 0.25,
    /** Point-in-time recovery. */
    backupGbMonth: 0.2,
  },
  /** Each call of the API; standard queues. */
  sqs: 0.4 / 1_000_000,
  lambda: {
    request: 0.2 / 1_000_000,
    /** arm64. */
    gbSecond: 0.0000133334,
  },
  /** REST API, private too; each call. */
  apiGateway: 3.5 / 1_000_000,
  /** EventBridge Scheduler, each invocation. */
  scheduler: 1 / 1_000_000,
  /** CloudWatch Logs, ingested. */
  logGb: 0.5,
} as const;
