import type { Ticked } from "../mirror/tick.ts";
import type { Output } from "./output.ts";
import { type Problem, sayProblem } from "./problem.ts";

/**
 * Tells what a tick could not read of its feeds; in a log, with the same lines as the deployed plan function's, also what
 * it has read.
 * @param told feeds and modules of which this run has said already that they cannot be read; those of this tick come to it.
 * @returns how many feeds and modules could not be read.
 */
export function sayFeeds(
  { indexes, poll, named }: Extract<Ticked, { outcome: "ticked" }>,
  output: Output,
  told: Set<string>,
): number {
  let problems = 0;
  const say = (problem: Problem & { readonly prefix: string }) => {
    problems++;
    if (told.has(problem.prefix)) return;
    told.add(problem.prefix);
    sayProblem(output, problem);
  };
  for (const { problem, ...read } of indexes) {
    const { feed } = read;
    if (problem !== undefined) {
      say({
        action: "feed-not-read",
        message: "feed could not be read",
        thrown: problem,
        prefix: `feed ${feed}`,
        labels: { feed },
      });
    }
    output.log?.({ level: "info", action: "planned", message: "feed is read", labels: { ...read } });
  }
  for (const [shown, polled] of [
    ["feed poll", poll],
    ["named module", named],
  ] as const) {
    if (polled === undefined) continue;
    for (const { module, message: said } of polled.failed) {
      say({
        action: "module-not-polled",
        message: "module could not be polled",
        thrown: said,
        prefix: `${shown}: ${module}`,
        labels: { module },
      });
    }
    const labels = { ...polled, failed: polled.failed.length, failing: polled.failing.length };
    output.log?.({ level: "info", action: "planned", message: "feed is read", labels });
  }
  return problems;
}
