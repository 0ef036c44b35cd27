import { setTimeout as sleep } from "node:timers/promises";
import { readWishes } from "../adapters/local/read-wishes.ts";
import { misuse } from "../mirror/errors.ts";
import { handIn } from "../mirror/inbox.ts";
import type { Ledger } from "../mirror/ports.ts";
import { type RequestReport, reportOf } from "../mirror/request-desk.ts";
import { parseRequestKey } from "../mirror/requests.ts";
import { tickOf } from "../mirror/ticks.ts";
import type { Desk } from "./desk.ts";
import { EndpointDesk } from "./endpoint-desk.ts";
import { endpointToken } from "./endpoint-token.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { printMissing } from "./missing-table.ts";
import { openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/** How often it is asked how far a request has come, in ms: soon at first, for what is held already. */
const PAUSES = [200, 500, 1_000, 2_000];
const LONGEST_PAUSE = 5_000;
/** That nobody works on it is told after this, in ms: between two runs of a scheduled sync it is so for a moment. */
const IDLE_TOLD_AFTER = 3_000;

/**
 * `modferry request`: hands in what a build needs, and with `--wait` waits until it is served.
 * @returns the exit status: 1 as soon as something of it cannot be served now, with the table of what and why, or when
 * `--timeout` is over.
 */
export async function request(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const body = await readWishes(options.arguments, options, output.stdin);
  const desk = await openDesk(options, environment);
  try {
    const name = await desk.handIn(options.name, body);
    if (!options.wait.wait) {
      output.print(options.json ? jsonLine({ event: "handed-in", request: name }) : name);
      return 0;
    }
    output.error(`modferry: ${name} is handed in; waiting until it is served`);
    return conclude(name, await waitFor(desk, name, options.wait.timeout, output), options, output);
  } finally {
    await desk.close();
  }
}

async function openDesk(options: Options, environment: CliEnvironment): Promise<Desk> {
  const { endpoint } = options;
  if (endpoint === undefined) return await storesDesk(options, environment);
  const token = endpointToken(environment);
  if (token === undefined)
    throw misuse(
      "MODFERRY_TOKEN",
      "MODFERRY_TOKEN: not set; an endpoint takes requests with its token alone, see docs/ci/README.md",
    );
  return new EndpointDesk(endpoint, token, environment.egress());
}

/**
 * A folder mirror beside its one writer, `modferry sync --every`, which looks into the inbox; or a deployed one, whose
 * functions are told of each object in it.
 */
async function storesDesk(options: Options, environment: CliEnvironment): Promise<Desk> {
  const mirror = await openMirror(options, environment, { mode: "read" });
  const parts = { vault: mirror.vault, ledger: mirror.ledger, now: Date.now };
  return {
    handIn: async (name, body) => {
      const key = await handIn(parts, name, body);
      return `${key.name}/${key.time}`;
    },
    report: async (name) => {
      const key = parseRequestKey(name);
      return key && (await reportOf(parts, key));
    },
    idle: async () => (mirror.isWritten?.() === false ? await unwritten(options, mirror.ledger) : undefined),
    close: () => mirror.close(),
  };
}

/** @returns why nobody takes a request up, and what to do. */
async function unwritten({ mirror }: Options, ledger: Pick<Ledger, "items">): Promise<string> {
  let last = 0;
  for await (const item of ledger.items("control")) last = Math.max(last, tickOf(item)?.at ?? 0);
  const since = last === 0 ? "" : ` since ${new Date(last).toISOString()}`;
  return `no process is writing ${mirror}, and no tick has ended${since}; \`modferry sync --config FILE --mirror ${mirror}\` takes the request up, with --every 10m also later ones`;
}

/** @returns the last report; undefined where the request is gone. */
async function waitFor(
  desk: Desk,
  name: string,
  timeout: number,
  output: Output,
): Promise<RequestReport | undefined> {
  const began = performance.now();
  const until = began + timeout;
  for (let look = 0, isTold = false; ; look++) {
    const report = await desk.report(name);
    const isOpen = report?.state === "OPEN" || report?.state === "RESOLVED";
    if (!isOpen || performance.now() >= until) return report;
    if (!isTold && performance.now() - began >= IDLE_TOLD_AFTER) {
      const idle = await desk.idle?.();
      if (idle !== undefined) output.error(`modferry: ${oneLine(idle)}; still waiting`);
      isTold = idle !== undefined;
    }
    await sleep(Math.min(PAUSES[look] ?? LONGEST_PAUSE, Math.max(1, until - performance.now())));
  }
}

function conclude(name: string, report: RequestReport | undefined, options: Options, output: Output): number {
  if (report === undefined) {
    output.error(`modferry: ${name}: the mirror does not know it any more; hand it in again`);
    return 1;
  }
  const { state, total, missing, error } = report;
  if (options.json) output.print(jsonLine({ event: "request", request: name, state, total, error }));
  if (state === "DONE") {
    output.error(`modferry: ${name}: served, ${total} module versions`);
    return 0;
  }
  if (state === "REFUSED") output.error(`modferry: ${name}: refused: ${error ?? "not understood"}`);
  else if (state === "INCOMPLETE") printMissing(missing, output, options.json);
  else {
    if (missing.length > 0) printMissing(missing, output, options.json);
    const seconds = Math.round(options.wait.timeout / 1000);
    output.error(`modferry: ${name}: still at work after ${seconds} s; ask again with a longer --timeout`);
  }
  return 1;
}
