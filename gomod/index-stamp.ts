import { FormatError } from "./format-error.ts";
import { quote } from "./go-quote.ts";

declare const checked: unique symbol;
/**
 * A time as a module index writes it: RFC 3339 in UTC with up to nine digits of a second (time.RFC3339Nano). Kept
 * verbatim: a Date holds milliseconds only, and a `since` that was rounded down or up repeats or loses entries.
 */
export type IndexStamp = string & { readonly [checked]: "IndexStamp" };

const FORM = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?Z$/;
const NANO_DIGITS = 9;

/**
 * @throws FormatError where it is not RFC 3339, names no time (February 30), or is not in UTC: the hours of a feed are
 * counted by what stands in the text.
 */
export function indexStamp(text: string): IndexStamp {
  const seconds = FORM.exec(text)?.[1];
  // Date takes February 30 for March 2: what does not come back the same was no time.
  const date = seconds === undefined ? undefined : new Date(`${seconds}.000Z`);
  if (date === undefined || Number.isNaN(date.getTime()) || !date.toISOString().startsWith(seconds ?? "?"))
    throw new FormatError("Timestamp", `Timestamp ${quote(text.slice(0, 64))} is not RFC 3339 in UTC`);
  return text as IndexStamp;
}

/** The stamp of a moment of ours, in ms since the epoch. */
export function stampOf(now: number): IndexStamp {
  return new Date(now).toISOString() as IndexStamp;
}

/** -1, 0 or 1 by time; `…06Z` and `…06.000Z` are the same moment. */
export function compareStamps(a: IndexStamp, b: IndexStamp): number {
  const [secondsA, nanosA] = parts(a);
  const [secondsB, nanosB] = parts(b);
  if (secondsA !== secondsB) return secondsA < secondsB ? -1 : 1;
  return Math.sign(nanosA - nanosB);
}

/** The stamp so many whole seconds earlier, its fraction verbatim. */
export function secondsBefore(stamp: IndexStamp, seconds: number): IndexStamp {
  const [text] = parts(stamp);
  const earlier = new Date(Date.parse(`${text}.000Z`) - seconds * 1000).toISOString().slice(0, text.length);
  return `${earlier}${stamp.slice(text.length)}` as IndexStamp;
}

/** The next stamp of an index with microseconds. */
export function microsecondAfter(stamp: IndexStamp): IndexStamp {
  const [seconds, nanos] = parts(stamp);
  const micros = Math.floor(nanos / 1000) + 1;
  const carried = micros === 1_000_000;
  const whole = carried
    ? new Date(Date.parse(`${seconds}.000Z`) + 1000).toISOString().slice(0, seconds.length)
    : seconds;
  return `${whole}.${String(carried ? 0 : micros).padStart(6, "0")}Z` as IndexStamp;
}

/** Milliseconds since the epoch, rounded down: for comparing with our own clock alone. */
export function millisecondsOf(stamp: IndexStamp): number {
  const [seconds, nanos] = parts(stamp);
  return Date.parse(`${seconds}.000Z`) + Math.floor(nanos / 1_000_000);
}

/** `2026-01-31T23:05:06`, which sorts as text does, and nanoseconds. */
function parts(stamp: IndexStamp): readonly [seconds: string, nanos: number] {
  const [, seconds = "", fraction = ""] = FORM.exec(stamp) ?? [];
  return [seconds, Number(fraction.padEnd(NANO_DIGITS, "0"))];
}
