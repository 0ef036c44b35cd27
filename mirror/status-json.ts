import { escapeObeyed } from "./json-line.ts";
import type { Status } from "./status.ts";

/** What a reader may rely on: fields are added, and none is taken away or changed, while this stays the same. */
const FORMAT = 1;
/** Fields that are times, in ms since the epoch: in JSON they are RFC 3339 in UTC. */
const TIMES: ReadonlySet<string> = new Set([
  "at",
  "watermark",
  "completeUntil",
  "succeeded",
  "oldest",
  "notBefore",
  "until",
  "since",
  "due",
  "applied",
] satisfies (keyof Status | TimeOf<Status>)[]);
/** The latest moment of a Date (ECMAScript, Time Values). */
const LATEST = 8.64e15;

type TimeOf<T> = T extends readonly (infer E)[]
  ? TimeOf<E>
  : T extends object
    ? keyof T | TimeOf<T[keyof T]>
    : never;

/** A status as one line of JSON, the same on the command line and at the endpoint. */
export function printStatus(status: Status): string {
  const text = JSON.stringify({ format: FORMAT, ...status }, (name, value: unknown) =>
    TIMES.has(name) && typeof value === "number" ? shownTime(value) : value,
  );
  return escapeObeyed(text);
}

/** Null where it is no moment: a status must come whatever a ledger holds. */
function shownTime(time: number): string | null {
  return Math.abs(time) <= LATEST ? new Date(time).toISOString() : null;
}
