import { hostname, userInfo } from "node:os";
import { misuse } from "../mirror/errors.ts";
import { liftPause, setPause } from "../mirror/pause.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** A pause that somebody forgot must not leave a mirror behind for good: 30 days, in ms. */
const LONGEST_PAUSE = 30 * 86_400_000;
const UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `modferry pause`: no tick works until a time. */
export async function pause(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const until = parseUntil(options.pause.until, Date.now());
  const { reason } = options.pause;
  if (reason === undefined)
    throw misuse("--reason", "--reason: not given; say why, for those who find it paused");
  const by = `${userInfo().username}@${hostname()}`;
  const mirror = await openMirror(options, environment, { mode: "beside" });
  try {
    await setPause(mirror.ledger, { until, reason, by });
  } finally {
    await mirror.close();
  }
  const at = new Date(until).toISOString();
  if (options.json) output.print(jsonLine({ event: "paused", until: at, reason, by }));
  else output.error(`paused until ${at}; \`modferry resume\` ends it`);
  return 0;
}

/** `modferry resume`: ticks work again. */
export async function resume(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const mirror = await openMirror(options, environment, { mode: "beside" });
  let lifted: boolean;
  try {
    lifted = await liftPause(mirror.ledger);
  } finally {
    await mirror.close();
  }
  if (options.json) output.print(jsonLine({ event: "resumed", wasPaused: lifted }));
  else output.error(lifted ? "goes on" : "was not paused");
  return 0;
}

/** A moment, RFC 3339 with its zone, or a time from now on: 90m, 2h, 3d. @throws MirrorError misuse. */
function parseUntil(text: string | undefined, now: number): number {
  const right = "give a time with its zone, such as 2026-12-24T18:00:00Z, or one from now on: 90m, 2h, 3d";
  if (text === undefined) throw misuse("--until", `--until: not given; ${right}`);
  const [, count, unit] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  const moment = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/i.test(text);
  const until =
    unit !== undefined
      ? now + Number(count) * UNITS[unit as keyof typeof UNITS]
      : moment
        ? Date.parse(text)
        : Number.NaN;
  if (Number.isNaN(until)) throw misuse("--until", `--until ${text}: no time; ${right}`);
  if (until <= now) throw misuse("--until", `--until ${text}: is over already; give a time to come`);
  if (until > now + LONGEST_PAUSE)
    throw misuse(
      "--until",
      `--until ${text}: more than 30 days away; give a nearer time, and pause again then`,
    );
  return until;
}
