import type { Figures } from "./figures.ts";

/** A metric's labels are closed words, or names of the configuration: never a module path or a client's text. */
type Labels = Readonly<Record<string, string>>;
type Sample = readonly [Labels, number];

interface Family {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** What a scraper is told (Prometheus, Exposition formats, text-based format). */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * The figures as gauges in Prometheus's text format, docs/observability.md lists them. A gauge of what there is not, such
 * as the watermark of a feed that was never read, has no sample, rather than one that lies.
 */
export function printMetrics(figures: Figures): string {
  return families(figures)
    .filter(({ samples }) => samples.length > 0)
    .map(printFamily)
    .join("");
}

function families({ at, feeds, ticks, states, databases, upstreams, pause, blocks }: Figures): Family[] {
  const gauge = (name: string, help: string, samples: readonly Sample[]) => ({
    name: `modferry_${name}`,
    help,
    samples,
  });
  const age = (time: number) => Math.max(0, (at - time) / 1000);
  return [
    gauge(
      "feed_freshness_seconds",
      "How far the mirror is behind the clock: time since the feed's stamp up to which all is mirrored.",
      feeds.map(({ feed, freshness }) => [{ feed }, freshness]),
    ),
    gauge(
      "feed_complete_until_timestamp_seconds",
      "The feed's stamp up to which nothing is at work any more.",
      feeds.map(({ feed, completeUntil }) => [{ feed }, completeUntil / 1000]),
    ),
    gauge(
      "feed_watermark_timestamp_seconds",
      "The feed's stamp up to which it was read and recorded.",
      feeds.map(({ feed, watermark }) => [{ feed }, watermark / 1000]),
    ),
    gauge(
      "feed_failing_modules",
      "Polled modules whose lists cannot be had.",
      feeds.flatMap(({ feed, failing }) => (failing === undefined ? [] : [[{ feed }, failing]])),
    ),
    gauge(
      "versions",
      "Module versions by state; those that are served and up to date (READY) are not counted.",
      states.map(({ state, versions }) => [{ state }, versions]),
    ),
    gauge(
      "oldest_version_age_seconds",
      "How long ago the longest wanted version of a state was wanted.",
      states.flatMap(({ state, oldest }) => (oldest === undefined ? [] : [[{ state }, age(oldest)]])),
    ),
    gauge(
      "last_tick_timestamp_seconds",
      "When the last tick ended, well or not.",
      ticks.map((tick) => [{ tick: tick.name }, tick.at / 1000]),
    ),
    gauge(
      "last_tick_success_timestamp_seconds",
      "When the last tick that ended well did so.",
      ticks.flatMap(({ name, succeeded }) =>
        succeeded === undefined ? [] : [[{ tick: name }, succeeded / 1000]],
      ),
    ),
    gauge(
      "last_tick_duration_seconds",
      "How long the last tick took.",
      ticks.map((tick) => [{ tick: tick.name }, tick.took / 1000]),
    ),
    gauge(
      "sumdb_tree_size",
      "Records in the newest published head of a checksum database.",
      databases.map(({ database, size }) => [{ database }, size]),
    ),
    gauge(
      "sumdb_stopped",
      "1 where a checksum database signed two histories and nothing more of it is published.",
      databases.map(({ database, stopped }) => [{ database }, stopped === undefined ? 0 : 1]),
    ),
    gauge(
      "upstream_stopped",
      "1 where nothing is asked of an upstream, such as after it refused our login.",
      upstreams.map(({ host, stopped }) => [{ host }, stopped.length > 0 ? 1 : 0]),
    ),
    gauge(
      "upstream_throttled",
      "1 while an upstream is left alone because it asked for it or was overloaded.",
      upstreams.map(({ host, notBefore = 0 }) => [{ host }, notBefore > at ? 1 : 0]),
    ),
    gauge(
      "blocks",
      "What operators have blocked, a version or a pattern each, by whether all that it names is taken out.",
      [true, false].map((isApplied) => [
        { applied: String(isApplied) },
        blocks.filter(({ applied }) => (applied !== undefined) === isApplied).length,
      ]),
    ),
    gauge("paused", "1 while an operator has paused the feeds.", [[{}, pause === undefined ? 0 : 1]]),
  ];
}

function printFamily({ name, help, samples }: Family): string {
  const lines = samples.map(([labels, value]) => `${name}${printLabels(labels)} ${printValue(value)}\n`);
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} gauge\n${lines.join("")}`;
}

function printLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** As Go's strconv.ParseFloat reads it. */
function printValue(value: number): string {
  return Number.isFinite(value) ? String(value) : Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}

const escapeHelp = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
const escapeLabel = (text: string): string => escapeHelp(text.toWellFormed()).replaceAll('"', '\\"');
