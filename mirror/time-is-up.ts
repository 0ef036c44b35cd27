import type { Deadline } from "./deadline.ts";
import { MirrorError } from "./errors.ts";

/** A unit of work that goes on from where it is begins nothing more when this much of its time is left, in ms. */
export const TIME_TO_END = 60_000;

/** There is no time for more: what is done is noted, and the same call goes on behind it. */
export class TimeIsUp extends MirrorError {
  constructor(subject: string) {
    super("transient", subject, `${subject}: there is no time for more in this call; the next one goes on`);
  }
}

/** @throws TimeIsUp where too little time is left to begin anything. */
export function requireTime(deadline: Deadline, subject: string, needed = TIME_TO_END): void {
  if (deadline.remaining() < needed) throw new TimeIsUp(subject);
}
