import { setTimeout as sleep } from "node:timers/promises";
import { MirrorError, misuse } from "../mirror/errors.ts";
import {
  type LeftOrder,
  leaveOrder,
  type OrderAnswer,
  readOrder,
  withdrawOrder,
} from "../mirror/left-orders.ts";
import type { CliEnvironment } from "./environment.ts";
import { openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";

const POLL = 200;
/** A writer looks every two seconds (meanwhile.ts), and a busy machine is slow. In ms. */
const LONGEST_WAIT = 30_000;
/** What it has begun may be a pattern of many versions, which it goes on with whoever waits. In ms. */
const LONGEST_WORK = 600_000;

/**
 * Leaves to the process that writes a folder mirror what only that may do, and waits for what comes of it.
 * @returns what was done; undefined where nobody writes any more, so that the caller can.
 * @throws MirrorError what the writer met; misuse where it does not answer, and nothing was done.
 */
export async function leftToWriter(
  options: Options,
  environment: CliEnvironment,
  order: LeftOrder,
): Promise<Readonly<Record<string, string | number | boolean>> | undefined> {
  const { ledger, isWritten, close } = await openMirror(options, environment, { mode: "beside" });
  try {
    const name = await leaveOrder(ledger, order, Date.now());
    const began = performance.now();
    for (;;) {
      const standing = await readOrder(ledger, name);
      if (standing === undefined) throw unanswered(options.mirror, order);
      const waited = performance.now() - began;
      const gone = standing.answer === undefined && isWritten?.() !== true;
      const late = standing.answer === undefined && waited > (standing.taken ? LONGEST_WORK : LONGEST_WAIT);
      if (standing.answer === undefined && !gone && !late) {
        await sleep(POLL);
        continue;
      }
      if (!(await withdrawOrder(ledger, standing))) continue;
      if (standing.answer !== undefined) return doneOf(order, standing.answer);
      if (gone) return undefined;
      throw unanswered(options.mirror, order);
    }
  } finally {
    await close();
  }
}

function doneOf({ name }: LeftOrder, answer: OrderAnswer) {
  if ("done" in answer) return answer.done;
  throw new MirrorError(answer.class, name, answer.message);
}

function unanswered(mirror: string, { name, verb }: LeftOrder): MirrorError {
  return misuse(
    mirror,
    `${name}: the process that writes ${mirror} does not answer; end it, then \`modferry ${verb}\` again`,
  );
}
