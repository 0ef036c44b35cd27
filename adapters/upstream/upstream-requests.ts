import { type Body, isSpool } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { Outcome, Pass, RequestGate } from "../../mirror/upstream-gate.ts";
import { type Asked, checkContent, classifyStatus, refusal } from "./classify.ts";
import { HttpClient, type HttpClientOptions } from "./http-client.ts";
import { isUnreachable } from "./network-fault.ts";
import { Probe, type ProbeOutcome } from "./probe.ts";
import type { SpoolChunks } from "./reply-body.ts";
import { LARGEST_REPLY, noRequests, type RequestCounts, type RequestKind } from "./request-kind.ts";
import { type RetryTools, systemTools, withRetries } from "./retries.ts";
import type { Reply } from "./transfer.ts";
import type { UpstreamAddress } from "./upstream-url.ts";

export interface UpstreamOptions extends HttpClientOptions {
  /** Where zips above SPOOL_LIMIT go; without it they stay in memory, up to 500 MiB each. */
  readonly spool?: SpoolChunks;
  /** The checksum database whose head serves as probe until something else was got; else the last one asked for. */
  readonly database?: string;
  readonly tools?: RetryTools;
  /** Where the host's rate and stops are kept for all workers; without it there is neither. */
  readonly gate?: RequestGate;
}

/** A host that four tries could not reach gets one try a file for so long, in ms: the next file would fare alike. */
const DOWN_TIME = 60_000;

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
  readonly #gate: RequestGate | undefined;
  readonly #counts = noRequests();
  /** Refusals of which nothing tells whether they are of one file or of all: its host answers. */
  readonly #unclear = new WeakSet<MirrorError>();
  #downUntil = 0;

  constructor(address: UpstreamAddress, options: UpstreamOptions = {}) {
    this.name = address.name;
    this.atRoot = address.prefix === "";
    this.#client = new HttpClient(address, options);
    this.#spool = options.spool;
    this.#tools = options.tools ?? systemTools;
    this.#signal = options.signal;
    this.#gate = options.gate;
    this.#probe = new Probe((path) => this.#askProbe(path), this.#tools.clock, options.gate);
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
  async body(wanted: Wanted): Promise<Body> {
    const { clock } = this.#tools;
    const worth = (error: MirrorError) => !(isUnreachable(error) && clock() < this.#downUntil);
    try {
      return await withRetries((tries) => this.#try(wanted, tries), this.#tools, this.#signal, worth);
    } catch (error) {
      if (!(error instanceof MirrorError) || error.class !== "transient" || error.ofHost) throw error;
      if (isUnreachable(error)) this.#downUntil = clock() + DOWN_TIME;
      else if (this.#unclear.has(error) || !(await this.#probe.isDown(wanted.about))) throw error;
      await this.#gate?.noteDown();
      const { subject, message, retryAfter } = error;
      const wait = retryAfter === undefined ? {} : { retryAfter };
      throw new MirrorError("transient", subject, message, { cause: error, ofHost: true, ...wait });
    }
  }

  /** Waits for what runs and closes the connections. */
  close(): Promise<void> {
    return this.#client.close();
  }

  /** One try, once its host lets it in; what it says of the host is noted for all workers. */
  async #try(wanted: Wanted, tries: number): Promise<Body> {
    const { kind, subject, path } = wanted;
    const pass = await this.#gate?.enter(subject);
    this.#counts[kind]++;
    if (tries > 0) this.#counts.retry++;
    const spool = kind === "zip" ? this.#spool : undefined;
    const limit = wanted.size ?? LARGEST_REPLY[kind];
    let outcome: Outcome = { is: "unknown" };
    try {
      const reply = await this.#client.get({ subject, path, limit, ...(spool && { spool }) });
      this.#downUntil = 0;
      const judged = await this.#judge(reply, wanted);
      outcome = judged.outcome;
      if (judged.error !== undefined) throw judged.error;
      return reply.body;
    } catch (error) {
      if (!(error instanceof MirrorError) || error.class !== "unauthorized") throw error;
      outcome = { is: "refused", reason: withoutSubject(error) };
      // For all that waits behind the gate: tried again within the hour after it goes on, however often it has failed.
      throw this.#gate === undefined
        ? error
        : new MirrorError("stopped", subject, error.message, { cause: error });
    } finally {
      if (pass !== undefined) await this.#note(pass, outcome);
    }
  }

  async #note(pass: Pass, outcome: Outcome): Promise<void> {
    await this.#gate?.note(pass, outcome);
  }

  /** What a reply says of the file, and what of its host. */
  async #judge(
    reply: Reply,
    { kind, subject, path, about, size }: Wanted,
  ): Promise<{ readonly outcome: Outcome; readonly error?: MirrorError }> {
    const asked = this.#asked(kind, subject);
    const verdict = classifyStatus(reply, asked, this.#tools.clock());
    if (verdict.is === "error")
      return { outcome: outcomeOf(reply.status, verdict.error), error: verdict.error };
    if (verdict.is === "refused") return await this.#refusal(verdict.reason, asked, about);
    await checkContent(reply.body, asked, size);
    // A zip is too large to be asked for again, a tile too arbitrary.
    if (kind !== "zip" && kind !== "tile") await this.#probe.remember({ about, path });
    return { outcome: { is: "served" } };
  }

  async #refusal(
    reason: string,
    asked: Asked,
    about: string,
  ): Promise<{ readonly outcome: Outcome; readonly error: MirrorError }> {
    try {
      const outcome = await this.#probe.outcome(about);
      const error = refusal(reason, asked, outcome);
      if (outcome === "unknown") this.#unclear.add(error);
      // One whose probe cannot tell may still refuse everything: that lifts no stop.
      return { outcome: { is: outcome === "served" ? "served" : "unknown" }, error };
    } catch (cause) {
      const { subject, server } = asked;
      const message = `${subject}: ${server} refused it (${reason}) and now does not answer; run again later`;
      return { outcome: { is: "unknown" }, error: new MirrorError("transient", subject, message, { cause }) };
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

/** What a status other than 200 says of its host. */
function outcomeOf(status: number, error: MirrorError): Outcome {
  if (status === 429 || status === 503) return { is: "pushed back", status, wait: error.retryAfter };
  return { is: error.class === "absent" ? "served" : "unknown" };
}

/** The same for all files of the upstream. */
function withoutSubject({ subject, message }: MirrorError): string {
  return message.startsWith(`${subject}: `) ? message.slice(subject.length + 2) : message;
}
