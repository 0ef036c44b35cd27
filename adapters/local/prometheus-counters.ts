import { Counter, Histogram, Registry } from "prom-client";
import type { MirrorEvent } from "../../mirror/events.ts";

/** What one process has counted since it began, in Prometheus's text format, for the end of its page of gauges. */
export interface Counters {
  text(): Promise<string>;
}

/** One answer: `kind` is that of its file (mirror/tree-keys.ts), `own` or `other`; never the path. */
export interface Answered {
  readonly kind: string;
  readonly status: number;
  readonly bytes: number;
  /** In ms. */
  readonly duration: number;
}

/** What `modferry serve` has answered. */
export class ServeCounters implements Counters {
  readonly #registry = new Registry();
  readonly #requests = new Counter({
    name: "modferry_http_requests_total",
    help: "Answered requests by the kind of file and the status.",
    labelNames: ["kind", "code"],
    registers: [this.#registry],
  });
  readonly #bytes = new Counter({
    name: "modferry_http_response_bytes_total",
    help: "Bytes of the bodies that were sent.",
    labelNames: ["kind"],
    registers: [this.#registry],
  });
  readonly #durations = new Histogram({
    name: "modferry_http_request_duration_seconds",
    help: "How long answers took, to their last byte.",
    labelNames: ["kind"],
    // From a small file out of the cache to a large zip over a slow line.
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60],
    registers: [this.#registry],
  });

  answered({ kind, status, bytes, duration }: Answered): void {
    this.#requests.inc({ kind, code: String(status) });
    this.#bytes.inc({ kind }, bytes);
    this.#durations.observe({ kind }, duration / 1000);
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}

/** What a `modferry sync` has done. */
export class SyncCounters implements Counters {
  readonly #registry = new Registry();
  readonly #fetched = this.#counter(
    "versions_fetched_total",
    "Versions that were fetched, by extent.",
    "held",
  );
  readonly #bytes = this.#counter("fetched_bytes_total", "Bytes of the files that were fetched.");
  readonly #failed = this.#counter("version_failures_total", "Versions that could not be had.", "class");
  readonly #listed = this.#counter("versions_listed_total", "Versions that lists name since.");

  take(event: MirrorEvent): void {
    if (event.event === "fetched") {
      this.#fetched.inc({ held: event.held });
      this.#bytes.inc(event.bytes);
    } else if (event.event === "failed") this.#failed.inc({ class: event.class });
    else if (event.event === "listed") this.#listed.inc();
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter<L extends string = never>(name: string, help: string, ...labelNames: L[]): Counter<L> {
    return new Counter({ name: `modferry_${name}`, help, labelNames, registers: [this.#registry] });
  }
}
