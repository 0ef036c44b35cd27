import { formatModuleVersion } from "../gomod/version.ts";
import type { MirrorEvent } from "../mirror/events.ts";
import type { Missing } from "../mirror/settle.ts";
import { jsonLine } from "./json-line.ts";
import { type Output, oneLine } from "./output.ts";

/** A terminal's line is rewritten at most this often, in ms. */
const REDRAW = 100;
/** Where stderr is no terminal, a plain line at most this often, in ms. */
const PLAIN_LINE = 5_000;
const BAR_WIDTH = 24;

/** Shows how a sync goes: a bar on a terminal, plain lines when piped, NDJSON events with `--json`. */
export class SyncProgress {
  readonly #output: Output;
  readonly #json: boolean;
  readonly #started = Date.now();
  #resolvedAt = Date.now();
  #toFetch: number | undefined;
  #goMods = 0;
  #done = 0;
  /** What failed in this run and was not got later in it: `module@version`, and for whom it was tried first. */
  readonly #failed = new Map<string, "earlier requests" | "this request">();
  /** The lines about failures: what an earlier request lacks, and this one wants too, is tried for each of them. */
  readonly #said = new Set<string>();
  #workedFor: "earlier requests" | "this request" = "earlier requests";
  #bytes = 0;
  /** The checksum database's tiles that are being held now. */
  #tiles: Extract<MirrorEvent, { event: "tiles" }> | undefined;
  #drawn = 0;

  constructor(output: Output, json: boolean) {
    this.#output = output;
    this.#json = json;
  }

  /** What earlier runs left is done: from now on it is this run's own request that is worked on. */
  beginRequest(): void {
    this.#workedFor = "this request";
  }

  take(event: MirrorEvent): void {
    if (this.#json) {
      const { event: name, ...facts } = event;
      this.#output.print(jsonLine({ "@timestamp": new Date().toISOString(), event: name, ...facts }));
    }
    switch (event.event) {
      case "resolved":
        this.#toFetch = (this.#toFetch ?? 0) + event.toFetch;
        this.#resolvedAt = Date.now();
        break;
      case "fetched":
        this.#bytes += event.bytes;
        if (event.held === "whole") this.#failed.delete(formatModuleVersion(event.version));
        if (event.held === "whole" || this.#toFetch !== undefined) this.#done++;
        else this.#goMods++;
        break;
      case "tiles":
        this.#tiles = event.held < event.of ? event : undefined;
        break;
      case "seed-refused":
        if (!this.#json) this.#output.error(oneLine(`not from the module cache: ${event.message}`));
        break;
      case "refused":
        if (!this.#json) this.#output.error(oneLine(`no upgrade of it: ${event.message}`));
        break;
      case "failed":
        this.#failed.set(formatModuleVersion(event.version), this.#workedFor);
        this.#sayOnce(
          `${event.state} (${event.class}) ${formatModuleVersion(event.version)}: ${event.message}`,
        );
        break;
    }
    this.#draw(false);
  }

  #sayOnce(text: string): void {
    const line = oneLine(text);
    if (this.#json || this.#said.has(line)) return;
    this.#said.add(line);
    this.#output.error(line);
  }

  /**
   * The last line.
   * @param missing what of the request is not served: only such failures are this request's own.
   * @param unserved what the feeds have found, and is not served.
   */
  end(
    missing: readonly Pick<Missing, "subject">[],
    unserved: readonly Pick<Missing, "subject">[] = [],
  ): void {
    if (this.#json) return;
    const seconds = ((Date.now() - this.#started) / 1000).toFixed(1);
    this.#output.error(
      `${this.#done} versions, ${this.#goMods} go.mod files, ${megabytes(this.#bytes)} in ${seconds} s` +
        this.#failures(namesOf(missing), namesOf(unserved)),
    );
  }

  #failures(missing: ReadonlySet<string>, unserved: ReadonlySet<string>): string {
    const counts = { own: 0, feeds: 0, "earlier requests": 0, "this request": 0 };
    for (const [name, workedFor] of this.#failed)
      counts[missing.has(name) ? "own" : unserved.has(name) ? "feeds" : workedFor]++;
    return [
      [counts.own, ""],
      [counts.feeds, " of what the feeds found"],
      [counts["earlier requests"], " of earlier requests"],
      [counts["this request"], " that this request does without"],
    ]
      .map(([count, whose]) => (count === 0 ? "" : `, ${count} failure${count === 1 ? "" : "s"}${whose}`))
      .join("");
  }

  #draw(force: boolean): void {
    const now = Date.now();
    const status = this.#output.status;
    if (this.#json || (!force && now - this.#drawn < (status === undefined ? PLAIN_LINE : REDRAW))) return;
    if (this.#drawn === 0 && status === undefined) {
      this.#drawn = now;
      return;
    }
    this.#drawn = now;
    (status ?? ((line: string) => this.#output.error(line)))(this.#line(now));
  }

  #line(now: number): string {
    if (this.#tiles !== undefined) {
      const { database, held, of } = this.#tiles;
      return `${database}: ${held}/${of} tiles, ${Math.floor((100 * held) / Math.max(1, of))} %`;
    }
    if (this.#toFetch === undefined)
      return `module graph: ${this.#goMods} go.mod files, ${megabytes(this.#bytes)}`;
    const part = this.#toFetch === 0 ? 1 : Math.min(1, this.#done / this.#toFetch);
    const filled = Math.round(part * BAR_WIDTH);
    const bar = `[${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}]`;
    const left =
      part === 0
        ? ""
        : `, ${Math.ceil(((now - this.#resolvedAt) / part - (now - this.#resolvedAt)) / 1000)} s left`;
    // What earlier runs left, and is got besides, was never in that number.
    return `${bar} ${Math.min(this.#done, this.#toFetch)}/${this.#toFetch} versions, ${megabytes(this.#bytes)}${left}`;
  }
}

function namesOf(missing: readonly Pick<Missing, "subject">[]): ReadonlySet<string> {
  return new Set(missing.map(({ subject }) => subject));
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
