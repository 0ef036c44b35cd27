import { z } from "zod";
import { MirrorError } from "./errors.ts";
import type { LedgerItem } from "./ledger-entries.ts";
import type { Ledger } from "./ports.ts";
import { contended, MOST_RACES } from "./update.ts";

type PauseLedger = Pick<Ledger, "readItem" | "writeItem" | "deleteItem">;

const KIND = "control";
const NAME = "pause";
/** A person's words in the ledger: an item holds less than 2 KB. */
const LONGEST_REASON = 300;
const MOST_WINDOWS = 14;

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;
const words = z
  .string()
  .min(1)
  .max(LONGEST_REASON)
  .regex(/^[^\p{Cc}\p{Cf}\u2028\u2029]*$/u, "holds a control character; write it without");
const clockTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "give a time of day in UTC, such as 22:30");

/** A time of the week in which no tick works: from `from` on the named days for as long as until the next `to`, UTC. */
const maintenanceWindow = z.strictObject({
  /** Left out: every day. */
  days: z.array(z.enum(DAYS)).min(1).max(7).optional(),
  from: clockTime,
  to: clockTime,
  reason: words.default("maintenance"),
});
export type MaintenanceWindow = z.output<typeof maintenanceWindow>;

/** As the ledger's item has room for them, beside a pause (LARGEST_ITEM). */
const LONGEST_WINDOWS = 1_000;

/** `maintenance` of the configuration. */
export const maintenanceWindows = z
  .array(maintenanceWindow)
  .max(MOST_WINDOWS)
  .refine(
    (windows) => Buffer.byteLength(JSON.stringify(windows)) <= LONGEST_WINDOWS,
    `more than ${LONGEST_WINDOWS} bytes in all; give shorter reasons`,
  );

const shape = z.strictObject({
  /** When it ends by itself, RFC 3339; left out: when somebody lifts it. */
  until: z.iso.datetime({ offset: true }).optional(),
  reason: words.optional(),
  by: z.string().min(1).max(200).optional(),
  windows: z.array(maintenanceWindow).max(MOST_WINDOWS).optional(),
});

/** Why ticks do nothing now, for people. */
export interface Pause {
  /** When they go on, ms since the epoch; undefined until somebody lifts it. */
  readonly until?: number;
  readonly reason: string;
  readonly by: string;
}

export interface PauseOrder {
  /** Milliseconds since the epoch. */
  readonly until?: number;
  readonly reason: string;
  readonly by: string;
}

/** Whether ticks pause now. @throws MirrorError as Ledger.readItem, and misuse where the item is not ours. */
export async function readPause(
  ledger: Pick<PauseLedger, "readItem">,
  now: number,
): Promise<Pause | undefined> {
  const item = await ledger.readItem(KIND, NAME);
  return item === undefined ? undefined : pauseIn(parse(item), now);
}

/**
 * As readPause, once the ledger has the windows of the configuration, so that status and metrics show what ticks obey: a
 * write only where they have changed since.
 * @throws MirrorError also as Ledger.writeItem.
 */
export async function readPauseUnder(
  ledger: PauseLedger,
  windows: readonly MaintenanceWindow[],
  now: number,
): Promise<Pause | undefined> {
  const item = await ledger.readItem(KIND, NAME);
  const value = item === undefined ? {} : parse(item);
  if (JSON.stringify(value.windows ?? []) === JSON.stringify(windows)) return pauseIn(value, now);
  await setMaintenance(ledger, windows);
  return await readPause(ledger, now);
}

/** Pauses all ticks; another pause is replaced, maintenance windows stay. */
export async function setPause(ledger: PauseLedger, { until, reason, by }: PauseOrder): Promise<void> {
  const order = { ...(until === undefined ? {} : { until: new Date(until).toISOString() }), reason, by };
  await update(ledger, ({ windows }) => ({ ...order, ...(windows === undefined ? {} : { windows }) }));
}

/** Lifts a pause; maintenance windows stay. @returns whether there was one. */
export async function liftPause(ledger: PauseLedger): Promise<boolean> {
  let lifted = false;
  await update(ledger, ({ windows, reason }) => {
    lifted = reason !== undefined;
    return windows === undefined ? {} : { windows };
  });
  return lifted;
}

/** Sets the maintenance windows, none to end them; a pause stays. */
export async function setMaintenance(
  ledger: PauseLedger,
  windows: readonly MaintenanceWindow[],
): Promise<void> {
  await update(ledger, ({ windows: _old, ...pause }) => ({
    ...pause,
    ...(windows.length === 0 ? {} : { windows: [...windows] }),
  }));
}

type Value = z.output<typeof shape>;

async function update(ledger: PauseLedger, decide: (value: Value) => Value): Promise<void> {
  for (let race = 0; race < MOST_RACES; race++) {
    const item = await ledger.readItem(KIND, NAME);
    const next = parseValue(decide(item === undefined ? {} : parse(item)));
    const isEmpty = Object.keys(next).length === 0;
    if (isEmpty && item === undefined) return;
    const stored: LedgerItem = { kind: KIND, name: NAME, revision: item?.revision ?? 0, value: next };
    const done = isEmpty ? await ledger.deleteItem(stored) : (await ledger.writeItem(stored)) !== "changed";
    if (done) return;
  }
  throw contended("pause");
}

function parse({ value }: LedgerItem): Value {
  return parseValue(value);
}

function parseValue(value: unknown): Value {
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const message = `pause: ${issue?.path.join(".") || "item"}: ${issue?.message}; set it again`;
  throw new MirrorError("misuse", "pause", message);
}

function pauseIn({ until, reason, by, windows = [] }: Value, now: number): Pause | undefined {
  const end = until === undefined ? undefined : Date.parse(until);
  if (reason !== undefined && (end === undefined || end > now))
    return { reason, by: by ?? "unknown", ...(end === undefined ? {} : { until: end }) };
  const ends = windows.flatMap((window) => {
    const windowEnd = endOf(window, now);
    return windowEnd === undefined ? [] : [{ window, until: windowEnd }];
  });
  const [last] = ends.sort((a, b) => b.until - a.until);
  return last && { until: last.until, reason: last.window.reason, by: "maintenance window" };
}

const DAY = 86_400_000;

/** When the window that `now` lies in ends; one that began yesterday may last past midnight. */
function endOf({ days, from, to }: MaintenanceWindow, now: number): number | undefined {
  const midnight = Math.floor(now / DAY) * DAY;
  for (const day of [midnight - DAY, midnight]) {
    const name = DAYS[new Date(day).getUTCDay()];
    if (days !== undefined && !days.some((chosen) => chosen === name)) continue;
    const start = day + inDay(from);
    const end = day + inDay(to) + (inDay(to) <= inDay(from) ? DAY : 0);
    if (start <= now && now < end) return end;
  }
  return undefined;
}

function inDay(time: string): number {
  const [hours = 0, minutes = 0] = time.split(":").map(Number);
  return (hours * 60 + minutes) * 60_000;
}
