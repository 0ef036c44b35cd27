import { type Body, isSpool } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { type Asked, checkContent, classifyStatus, refusal } from "./classify.ts";
import { HttpClient, type HttpClientOptions } from "./http-client.ts";
import { Probe, type ProbeOutcome } from "./probe.ts";
import type { SpoolChunks } from "./reply-body.ts";
import { LARGEST_REPLY, noRequests, type RequestCounts, type RequestKind } from "./request-kind.ts";
import { type RetryTools, systemTools, withRetries } from "./retries.ts";
import type { UpstreamAddress } from "./upstream-url.ts";

export interface UpstreamOptions extends HttpClientOptions {
  /** Where zips above SPOOL_LIMIT go; without it they stay in memory, up to 500 MiB each. */
  readonly spool?: SpoolChunks;
  /** The checksum database whose head serves as probe until something else was got; else the last one asked for. */
  readonly database?: string;
  readonly tools?: RetryTools;
}

/** One wish: a file below the upstream's address. */
export interface Wanted {
  readonly kind: RequestKind;
  /** Module path or database, for the probe. */
  readonly about: string;
  readonly subject: string;
  readonly path: string;
  /** Exact size, where it is known before. */
  readonly size?: number;
}

/** GETs from one upstream with everything that a hostile one needs: retries, classes, content checks, the probe. */
export class UpstreamRequests {
  readonly name: string;
  /** Whether the upstream lies at its host's root; cmd/go escapes differently then. */
  readonly atRoot: boolean;
  readonly #client: HttpClient;
  readonly #spool: SpoolChunks | undefined;
  readonly #tools: RetryTools;
  readonly #signal: AbortSignal | undefined;
  readonly #probe: Probe;
  readonly #counts = noRequests();

  constructor(address: UpstreamAddress, options: UpstreamOptions = {}) {
    this.name = address.name;
    this.atRoot = address.prefix === "";
    this.#client = new HttpClient(address, options);
    this.#spool = options.spool;
    this.#tools = options.tools ?? systemTools;
    this.#signal = options.signal;
    this.#probe = new Probe((path) => this.#askProbe(path), this.#tools.clock);
  }

  counts(): RequestCounts {
    return { ...this.#counts, redirect: this.#client.redirects };
  }

  set probeDatabase(headPath: string) {
    this.#probe.database = headPath;
  }

  /** A small file. @throws MirrorError of every class that Upstream (mirror/ports.ts) names. */
  async bytes(wanted: Wanted): Promise<Uint8Array> {
    const body = await this.body(wanted);
    if (!isSpool(body)) return body;
    // Not reached: only zips are given a spool.
    await body.dispose();
    throw new MirrorError("malformed", wanted.subject, `${wanted.subject}: larger than memory allows`);
  }

  /** A file that may be spooled. */
  body(wanted: Wanted): Promise<Body> {
    return withRetries((tries) => this.#try(wanted, tries), this.#tools, this.#signal);
  }

  /** Waits for what runs and closes the connections. */
  close(): Promise<void> {
    return this.#client.close();
  }

  async #try(wanted: Wanted, tries: number): Promise<Body> {
    const { kind, subject, path, about } = wanted;
    this.#counts[kind]++;
    if (tries > 0) this.#counts.retry++;
    const spool = kind === "zip" ? this.#spool : undefined;
    const limit = wanted.size ?? LARGEST_REPLY[kind];
    const reply = await this.#client.get({ subject, path, limit, ...(spool && { spool }) });
    const asked = this.#asked(kind, subject);
    const verdict = classifyStatus(reply, asked, this.#tools.clock());
    if (verdict.is === "error") throw verdict.error;
    if (verdict.is === "refused") throw await this.#refusal(verdict.reason, asked, about);
    await checkContent(reply.body, asked, wanted.size);
    // A zip is too large to be asked for again, a tile too arbitrary.
    if (kind !== "zip" && kind !== "tile") this.#probe.remember({ about, path });
    return reply.body;
  }

  async #refusal(reason: string, asked: Asked, about: string): Promise<MirrorError> {
    try {
      const outcome = await this.#probe.outcome(about);
      return refusal(reason, asked, outcome === "refused" ? "refused" : "served");
    } catch (cause) {
      const { subject, server } = asked;
      const message = `${subject}: ${server} refused it (${reason}) and now does not answer; run again later`;
      return new MirrorError("transient", subject, message, { cause });
    }
  }

  #asked(kind: RequestKind, subject: string): Asked {
    return { kind, subject, server: this.name, secrets: this.#client.secrets };
  }

  /** One GET without retries. @throws MirrorError transient */
  async #askProbe(path: string): Promise<ProbeOutcome> {
    this.#counts.probe++;
    const asked = this.#asked("list", "probe");
    try {
      const reply = await this.#client.get({ subject: "probe", path, limit: LARGEST_REPLY.list });
      const verdict = classifyStatus(reply, asked, this.#tools.clock());
      if (verdict.is === "error") throw verdict.error;
      if (verdict.is === "answered") await checkContent(reply.body, asked);
      return verdict.is === "answered" ? "served" : "refused";
    } catch (error) {
      if (!(error instanceof MirrorError) || error.class === "transient") throw error;
      return error.class === "unauthorized" ? "refused" : "unknown";
    }
  }
}
