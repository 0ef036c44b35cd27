import type { Deadline } from "./deadline.ts";
import { MirrorError } from "./errors.ts";

/** What is kept of a unit of work's time for noting what did not end, in ms. */
const TIME_TO_NOTE = 10_000;
/** setTimeout's own limit (Node, timers: 2^31 − 1 ms); no unit of work lasts so long. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * Waits for `work` until the unit of work must note where it is. Otherwise a slow upstream would have the unit killed
 * before anything was noted, and the version would be tried like this for ever instead of failing. What still runs then
 * goes on or dies with the process; each of its steps may.
 * @throws MirrorError transient about `subject` when time is up.
 */
export async function withinTime<T>(work: Promise<T>, deadline: Deadline, subject: string): Promise<T> {
  const left = deadline.remaining() - TIME_TO_NOTE;
  if (left > LONGEST_TIMER) return await work;
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<never>((_, reject) => {
    const message = `${subject}: its files did not arrive within this unit of work's time; it is tried again`;
    timer = setTimeout(() => reject(new MirrorError("transient", subject, message)), Math.max(0, left));
  });
  try {
    return await Promise.race([work, timeUp]);
  } finally {
    clearTimeout(timer);
    // Nobody waits for it any more.
    work.catch(() => undefined);
  }
}
