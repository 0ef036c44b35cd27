import type { NamedVersion, OpenRequest, Status, StatusOptions } from "../mirror/status.ts";

/** A table's column is at most this wide; a longer name pushes its own row only. */
const WIDEST = 60;

/** A status for people: a line for each figure that is not as it should be by itself, then the versions. */
export function statusLines(status: Status, { states, limit }: StatusOptions): string[] {
  const { at, feeds, ticks, databases, upstreams, pause } = status;
  return [
    ...(pause === undefined ? [] : [pauseLine(pause)]),
    ...feeds.map(
      ({ feed, watermark, completeUntil, failing = 0 }) =>
        `feed ${feed}: complete until ${moment(completeUntil)}, ${span(at - completeUntil)} ago; read until ${moment(watermark)}${failing === 0 ? "" : `; ${failing} modules cannot be asked`}`,
    ),
    ...ticks.map(({ name, at: ended, took, error }) => {
      const how = error === undefined ? "ended well" : `failed: ${error}`;
      return `last ${name}: ${moment(ended)}, ${span(at - ended)} ago, in ${(took / 1000).toFixed(1)} s: ${how}`;
    }),
    stateLine(status),
    ...databases.map(({ database, size, stopped }) => {
      const stop =
        stopped && `: stopped since ${moment(stopped.at)}: two histories, evidence/fork/${stopped.evidence}`;
      return `checksum database ${database}: tree size ${size}${stop ?? ""}`;
    }),
    ...upstreams.flatMap(({ host, stopped, notBefore = 0 }) => [
      ...stopped.map(
        (stop) => `upstream ${host}${stop.path}: stopped since ${moment(stop.at)}: ${stop.reason}`,
      ),
      ...(notBefore > at ? [`upstream ${host}: left alone until ${moment(notBefore)}`] : []),
    ]),
    ...(status.checksumJobs ?? []).map(
      ({ job, part, status: state, total, succeeded, failed, at: looked }) =>
        `checksum job ${job} (${part}): ${state}, ${succeeded + failed} of ${total} files, ${failed} failed; looked at ${span(at - looked)} ago`,
    ),
    ...blockLines(status.blocks),
    ...requestLines(status.requests),
    ...versionLines(status.versions),
    ...leftOut(status, states, limit),
  ];
}

function pauseLine({ until, by, reason }: NonNullable<Status["pause"]>): string {
  return `paused ${until === undefined ? "until it is resumed" : `until ${moment(until)}`} by ${by}: ${reason}`;
}

function blockLines(blocks: Status["blocks"]): string[] {
  return blocks.map(({ name, reason, by, since, applied }) => {
    const how = applied === undefined ? "not all of it is taken out yet" : "taken out";
    return `blocked ${name}: by ${by} since ${moment(since)}, ${how}: ${reason}`;
  });
}

function stateLine({ at, states }: Status): string {
  const some = states.filter(({ versions }) => versions > 0);
  if (some.length === 0) return "versions: all that was wanted is served";
  const counts = some.map(({ state, versions, oldest }) => {
    const since = oldest === undefined ? "" : ` (wanted since ${span(at - oldest)})`;
    return `${versions} ${state}${since}`;
  });
  return `versions: ${counts.join(", ")}`;
}

function requestLines(requests: readonly OpenRequest[]): string[] {
  return requests.map(({ request, state, total, missing, due, error }) => {
    const next = due === undefined ? "" : `, next look ${moment(due)}`;
    const why = error === undefined ? "" : `: ${error}`;
    return `request ${request}: ${state}, ${missing} of ${total} missing${next}${why}`;
  });
}

function versionLines(versions: readonly NamedVersion[]): string[] {
  const named = Math.min(WIDEST, Math.max(0, ...versions.map(({ version }) => version.length)));
  const states = versions.map((version) => [version.state, version.class ?? ""].join(" ").trimEnd());
  const widest = Math.max(0, ...states.map((state) => state.length));
  return versions.map(({ version, reason, rule, due, attempts }, row) => {
    const said = reason?.startsWith(`${version}: `) ? reason.slice(version.length + 2) : reason;
    const why = [rule && `rule ${rule}`, said].filter((text) => text !== undefined && text !== "").join(": ");
    const next = due === undefined ? "" : ` (next try ${moment(due)}, after ${attempts})`;
    return `  ${version.padEnd(named)}  ${(states[row] ?? "").padEnd(widest)}  ${why}${next}`.trimEnd();
  });
}

/** What the bound kept out of the list. */
function leftOut(status: Status, states: StatusOptions["states"], limit: number): string[] {
  return status.states.flatMap(({ state, versions }) =>
    states.includes(state) && versions > limit
      ? [`  and ${versions - limit} more ${state}: --state ${state} --limit ${versions}`]
      : [],
  );
}

function moment(time: number): string {
  return Number.isFinite(time) && Math.abs(time) <= 8.64e15
    ? `${new Date(time).toISOString().slice(0, 19)}Z`
    : "an unknown time";
}

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
] as const;

/** A length of time in its largest unit and the next: `2 d 3 h`. */
function span(ms: number): string {
  const first = UNITS.findIndex(([, length]) => ms >= length);
  if (first < 0) return `${Math.max(0, Math.round(ms / 1000))} s`;
  let left = ms;
  const parts = UNITS.slice(first, first + 2).map(([unit, length]) => {
    const count = Math.floor(left / length);
    left -= count * length;
    return count === 0 ? "" : `${count} ${unit}`;
  });
  return parts.filter((part) => part !== "").join(" ");
}
