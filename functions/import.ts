import type { Context, SQSEvent } from "aws-lambda";
import { z } from "zod";
import { type InboxEvent, takeInbox } from "../mirror/bundle/bundle-inbox.ts";
import { trustConfigured } from "../mirror/bundle/configured-signers.ts";
import { lookLater } from "../mirror/bundle/look-later.ts";
import type { Deadline } from "../mirror/deadline.ts";
import { MirrorError } from "../mirror/errors.ts";
import { BY_HAND } from "../mirror/tick-hold.ts";
import { underLease } from "../mirror/tick-lease.ts";
import { TimeIsUp } from "../mirror/time-is-up.ts";
import { timedTree } from "../mirror/timed-tree.ts";
import { inboxParts } from "./bundle-parts.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { FunctionLog } from "./function-log.ts";
import { deadlineOf, mirrorParts, owner } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const log = new FunctionLog(environment);
const parts = mirrorParts(environment, log.report);
const { wake, stages, trusted, signer, ...inbox } = inboxParts(environment, parts);

/** So often a call may end without having come further before it is for a person to look. */
const MOST_IDLE = 12;

/** What the function tells itself when its time is up. What S3 tells of objects says no more than that there are some. */
const continued = z.object({ continue: z.int().min(1), reached: z.string() });

/** Something has come into the inbox, or an earlier call's time was up: imports what is there as far as it goes. */
export const handler = (event: SQSEvent, context: Context): Promise<void> =>
  log.call(async () => {
    const deadline = deadlineOf(context);
    try {
      await trustConfigured(parts.ledger, trusted);
      if (await lookThrough(deadline)) return;
      await lookLater(parts, (seconds) => wake.wake({ later: true }, seconds));
      log.write({ level: "info", action: "bundle-busy", message: "another import or collection is at work" });
    } catch (thrown) {
      if (!(thrown instanceof TimeIsUp)) throw thrown;
      await goOn(event, thrown.subject);
    }
  });

/** @returns whether nobody else was at it. */
async function lookThrough(deadline: Deadline): Promise<boolean> {
  const importing = async () => {
    const tree = timedTree(parts.tree, deadline);
    const own = { ...parts, ...inbox, tree, signer: await signer(), stages: stages.until(deadline) };
    await takeInbox({
      ...own,
      progress: (phase, bytes) => log.metrics.add(FIGURES[phase], "Bytes", bytes),
      tell,
    });
    return true;
  };
  // Whoever imports by hand has the same one; and nothing is collected meanwhile.
  const alone = () => underLease(parts, "garbage", owner, importing);
  return (await underLease(parts, BY_HAND, owner, alone)) === true;
}

const FIGURES = { check: "BundleBytesChecked", publish: "BundleBytesPublished" } as const;

/** The next call begins where this one has ended. */
async function goOn({ Records: messages }: SQSEvent, subject: string): Promise<void> {
  const { reached } = stages;
  const before = messages.flatMap(({ body }) => {
    const told = continued.safeParse(parsed(body));
    return told.success ? [told.data] : [];
  });
  const idle = Math.max(0, ...before.filter((told) => told.reached === reached).map((told) => told.continue));
  if (idle >= MOST_IDLE) {
    const message = `inbox: ${MOST_IDLE} calls in a row have not come further than ${reached} at ${subject}; give the function more memory, or smaller bundles`;
    throw new MirrorError("transient", "inbox", message);
  }
  await wake.wake({ continue: idle + 1, reached });
  const labels = { reached, subject };
  log.write({ level: "info", action: "bundle-continued", message: "import goes on in another call", labels });
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** One line of each. */
function tell(event: InboxEvent): void {
  const { where } = event;
  if (event.event === "waiting") {
    const labels = { where, missing: event.missing.length, such_as: event.missing.slice(0, 10).join(" ") };
    log.write({ level: "info", action: "bundle-waiting", message: "bundle is not complete yet", labels });
  } else if (event.event === "refused") {
    log.failure("bundle-refused", "bundle is refused", event.error, { where, gap: event.isGap });
    log.metrics.add("BundlesRefused", "Count", 1);
  } else {
    const { name, to, outcome, files, bytes, signed } = event.imported;
    const labels = { where, name, to, outcome, files, bytes, signed };
    log.write({ level: "info", action: "bundle-imported", message: "bundle is imported", labels });
    log.metrics.add("BundlesImported", "Count", 1);
  }
}
