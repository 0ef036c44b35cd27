import { PRICES } from "./prices.ts";
import type { Tally } from "./tally.ts";

export interface Measurements {
  /** Held whole by `request`. */
  readonly versions: number;
  readonly request: Tally;
  /** Of all objects and items then. */
  readonly storedBytes: number;
  readonly ledgerBytes: number;
  /** In each of the idle tallies. */
  readonly ticks: number;
  readonly ticksPerMonth: { readonly plan: number; readonly reconcile: number };
  readonly idlePlan: Tally;
  readonly idleReconcile: Tally;
  readonly builds: { readonly coldNoSum: Tally; readonly cold: Tally; readonly warm: Tally };
  readonly scrape: Tally;
  /** The machine's load average at the beginning of each scenario. */
  readonly loads: readonly number[];
  readonly cores: number;
}

const SCALES = [100_000, 1_000_000, 10_000_000] as const;
/**
 * Lambda asks each queue by five connections, each waiting 20 s where nothing comes (AWS Lambda, Using Lambda with Amazon
 * SQS): so many requests a month for three queues that are empty.
 */
const IDLE_POLLS = 3 * 5 * 3 * 60 * 730;
const GB = 1e9;

/** What a tally costs, by service, in dollars; `times` as often. */
function dollars(tally: Tally, times = 1): Record<string, number> {
  const s3Reads = tally.get("s3 GET") + tally.get("s3 HEAD") + tally.get("s3 client GET");
  const s3Writes = tally.get("s3 PUT") + tally.get("s3 LIST");
  const lambdaCalls = tally.all("lambda ");
  const parts = {
    S3: s3Reads * PRICES.s3.read + s3Writes * PRICES.s3.write,
    DynamoDB:
      tally.get("dynamodb-read") * PRICES.dynamodb.readUnit +
      tally.get("dynamodb-write") * PRICES.dynamodb.writeUnit,
    SQS: tally.all("sqs ") * PRICES.sqs,
    Lambda: lambdaCalls * PRICES.lambda.request + tally.get("lambda-gb-s") * PRICES.lambda.gbSecond,
    "API Gateway": tally.get("gateway") * PRICES.apiGateway,
    Scheduler: tally.get("scheduler") * PRICES.scheduler,
    Logs: (tally.get("log-bytes") / GB) * PRICES.logGb,
  };
  return Object.fromEntries(Object.entries(parts).map(([name, cost]) => [name, cost * times]));
}

const total = (parts: Readonly<Record<string, number>>): number =>
  Object.values(parts).reduce((sum, part) => sum + part, 0);

/** All tables, in Markdown. */
export function costTables(measured: Measurements): string {
  const { loads, cores } = measured;
  const load = `${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`;
  const today = new Date().toISOString().slice(0, 10);
  return [
    `Made ${today} on ${cores} cores with a load of ${load}; the load makes the estimated times longer.`,
    countTable(measured),
    perVersions(measured),
    idleMonth(measured),
    perBuild(measured),
  ].join("\n\n");
}

/** What was counted. */
function countTable({
  versions,
  request,
  ticks,
  idlePlan,
  idleReconcile,
  builds,
  scrape,
}: Measurements): string {
  const columns: [string, Tally, number][] = [
    ["a version", request, versions],
    ["an idle plan", idlePlan, ticks],
    ["an idle reconcile", idleReconcile, ticks],
    ["a cold build", builds.coldNoSum, 1],
    ["cold, with go.sum", builds.cold, 1],
    ["a warm build", builds.warm, 1],
    ["a scrape", scrape, 1],
  ];
  const kinds = [...new Set(columns.flatMap(([, tally]) => [...tally.counts.keys()]))].sort();
  const rows = kinds.map((kind) => [
    NAMES[kind] ?? kind,
    ...columns.map(([, tally, by]) => figure(tally.get(kind) / by)),
  ]);
  const ledger = [
    "DynamoDB calls, all",
    ...columns.map(([, tally, by]) => figure(tally.all("dynamodb ") / by)),
  ];
  return table(["counted, for", ...columns.map(([name]) => name)], [ledger, ...rows]);
}

const NAMES: Readonly<Record<string, string>> = {
  "dynamodb-read": "DynamoDB read units",
  "dynamodb-write": "DynamoDB write units, indexes included",
  "dynamodb-index": "DynamoDB write units of the indexes",
  gateway: "API Gateway requests",
  "lambda-gb-s": "Lambda GB-seconds (estimated)",
  "lambda-ms": "Lambda ms (estimated)",
  "log-bytes": "log bytes",
  scheduler: "Scheduler invocations",
  upstream: "requests to upstreams",
};

function perVersions({ versions, request, storedBytes, ledgerBytes }: Measurements): string {
  const services = Object.keys(dollars(request)).filter((name) => (dollars(request)[name] ?? 0) > 0);
  const rows = SCALES.map((scale) => {
    const times = scale / versions;
    const parts = dollars(request, times);
    const objects = (storedBytes * times) / GB;
    const items = (ledgerBytes * times) / GB;
    const storage =
      objects * PRICES.s3.gbMonth + items * (PRICES.dynamodb.gbMonth + PRICES.dynamodb.backupGbMonth);
    return [
      scale.toLocaleString("en"),
      ...services.map((name) => money(parts[name] ?? 0)),
      `**${money(total(parts))}**`,
      `${figure(objects)} GB`,
      `${figure(items)} GB`,
      money(storage),
    ];
  });
  return table(["versions", ...services, "all, once", "objects", "ledger", "storage, a month"], rows);
}

function idleMonth({ ticks, ticksPerMonth, idlePlan, idleReconcile }: Measurements): string {
  const plan = dollars(idlePlan, ticksPerMonth.plan / ticks);
  const reconcile = dollars(idleReconcile, ticksPerMonth.reconcile / ticks);
  const services = Object.keys(plan).filter((name) => (plan[name] ?? 0) + (reconcile[name] ?? 0) > 0);
  const polls = IDLE_POLLS * PRICES.sqs;
  const row = (name: string, times: number, parts: Readonly<Record<string, number>>) => [
    name,
    figure(times),
    ...services.map((service) => money(parts[service] ?? 0)),
    `**${money(total(parts))}**`,
  ];
  return table(
    ["an idle month", "times", ...services, "all"],
    [
      row("plan", ticksPerMonth.plan, plan),
      row("reconcile", ticksPerMonth.reconcile, reconcile),
      [
        "Lambda's polling of three empty queues (computed)",
        figure(IDLE_POLLS),
        ...services.map(() => ""),
        `**${money(polls)}**`,
      ],
      ["all", "", ...services.map(() => ""), `**${money(total(plan) + total(reconcile) + polls)}**`],
    ],
  );
}

function perBuild({ versions, builds }: Measurements): string {
  const row = (name: string, tally: Tally) => {
    const parts = dollars(tally);
    return [
      name,
      figure(tally.get("gateway")),
      money(parts["API Gateway"] ?? 0),
      money(parts.Lambda ?? 0),
      money((parts.S3 ?? 0) + (parts.DynamoDB ?? 0)),
      money(parts.Logs ?? 0),
      `**${money(total(parts))}**`,
      money(total(parts) * 1_000),
    ];
  };
  return table(
    [
      `a build of ${versions} modules`,
      "requests",
      "API Gateway",
      "Lambda",
      "S3 and DynamoDB",
      "Logs",
      "all",
      "a thousand such",
    ],
    [
      row("cold, no go.sum", builds.coldNoSum),
      row("cold, with go.sum", builds.cold),
      row("warm", builds.warm),
    ],
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function figure(value: number): string {
  if (value === 0) return "0";
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

function money(value: number): string {
  if (value === 0) return "$0";
  return value >= 100 ? `$${Math.round(value).toLocaleString("en")}` : `$${Number(value.toPrecision(3))}`;
}
