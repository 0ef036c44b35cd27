import { DynamoDbMeter } from "./dynamodb-units.ts";
import type { Exchange } from "./metered-endpoint.ts";

/** What was counted while something was done: AWS calls by kind, and the time of functions. */
export class Tally {
  readonly counts = new Map<string, number>();

  add(kind: string, amount: number): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + amount);
  }

  get(kind: string): number {
    return this.counts.get(kind) ?? 0;
  }

  /** Sum of all kinds that begin so. */
  all(prefix: string): number {
    return [...this.counts].reduce((sum, [kind, amount]) => sum + (kind.startsWith(prefix) ? amount : 0), 0);
  }
}

/** What the calls of one service are; each kind of Tally begins with it. */
const DYNAMODB = "DynamoDB_20120810.";
const SQS = "AmazonSQS.";

/** Counts exchanges of all services into the tally of the hour. */
export class Meter {
  readonly ledger = new DynamoDbMeter();
  readonly #stored = new Map<string, number>();
  tally = new Tally();

  see = ({ method, path, headers, body, status, reply }: Exchange): void => {
    const target = String(headers["x-amz-target"] ?? "");
    if (target.startsWith(DYNAMODB)) {
      const call = target.slice(DYNAMODB.length);
      const units = this.ledger.unitsOf(call, parse(body), parse(reply), status === 200);
      this.tally.add(`dynamodb ${call}`, 1);
      this.tally.add("dynamodb-read", units.read);
      this.tally.add("dynamodb-write", units.write);
      this.tally.add("dynamodb-index", units.index);
    } else if (target.startsWith(SQS)) {
      this.tally.add(`sqs ${target.slice(SQS.length)}`, 1);
    } else {
      this.tally.add(`s3 ${kindOfS3(method, path)}`, 1);
      if (method === "PUT" && status === 200) this.#stored.set(path.split("?", 1)[0] ?? "", body.byteLength);
    }
  };

  /** Bytes of all objects, each at its newest. */
  get storedBytes(): number {
    return [...this.#stored.values()].reduce((sum, size) => sum + size, 0);
  }
}

/** ms from a request to its end, in the same region. ASSUMPTIONS, as the prices are: typical figures, not measured. */
export function assumedLatency({
  method,
  path,
  headers,
}: Pick<Exchange, "method" | "path" | "headers">): number {
  const target = String(headers["x-amz-target"] ?? "");
  if (target.startsWith(DYNAMODB)) return /Transact/.test(target) ? 12 : /Batch|Scan/.test(target) ? 8 : 5;
  if (target.startsWith(SQS)) return 8;
  const kind = kindOfS3(method, path);
  return kind === "GET" || kind === "HEAD" ? 20 : 40;
}

/** ms of one request to the module proxy. An assumption. */
export const UPSTREAM_LATENCY = 40;

/** A GET with a signature in its URL is a client's that was redirected. */
function kindOfS3(method: string, path: string): string {
  if (method === "GET" && path.includes("list-type=2")) return "LIST";
  if (method === "GET" && path.includes("X-Amz-Signature=")) return "client GET";
  return method;
}

function parse(bytes: Buffer): Record<string, unknown> {
  return bytes.byteLength === 0 ? {} : (JSON.parse(bytes.toString()) as Record<string, unknown>);
}
