import type { Dispatcher } from "undici";
import type { Body } from "../../mirror/body.ts";
import { EVIDENCE_LIMIT, MirrorError } from "../../mirror/errors.ts";
import { networkFault } from "./network-fault.ts";
import { type BodyOwner, ReplyBody, type SpoolChunks } from "./reply-body.ts";
import type { Timing, Watchdog, Watched } from "./timing.ts";

export type ReplyHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** An upstream's reply, whole. Attacker-controlled. Of a status other than 200 at most EVIDENCE_LIMIT bytes are kept. */
export interface Reply {
  readonly status: number;
  readonly headers: ReplyHeaders;
  readonly body: Body;
}

/** What one exchange is about, and how it is bounded. */
export interface Exchange {
  /** `module@version` or a file of it, for messages. */
  readonly subject: string;
  /** The server's name for messages, without secrets. */
  readonly server: string;
  /** Most bytes that a 200's body may have. */
  readonly limit: number;
  /** When absent, bodies above SPOOL_LIMIT stay in memory; `limit` bounds them. */
  readonly spool?: SpoolChunks;
  readonly timing: Timing;
  /** performance.now() when the first exchange of a chain of redirects began. */
  readonly startedAt: number;
}

type Controller = Dispatcher.DispatchController;

/**
 * One HTTP exchange, as a handler of undici's `dispatch`: no stream objects, no timers of its own. Settles once, with
 * the whole reply or a MirrorError: transient (cut, reset, late, too slow) or malformed (too large, coded).
 */
export class Transfer implements Dispatcher.DispatchHandler, Watched, BodyOwner {
  readonly reply: Promise<Reply>;
  readonly #exchange: Exchange;
  readonly #watchdog: Watchdog;
  #resolve: (reply: Reply) => void = () => {};
  #reject: (error: MirrorError) => void = () => {};
  #settled = false;
  #controller: Controller | undefined;
  #phase: "connecting" | "headers" | "body" = "connecting";
  /** When the last thing happened that the phase waits for. */
  #lastAt: number;
  #windowAt = 0;
  #windowBytes = 0;
  #held = false;
  #status = 0;
  #headers: ReplyHeaders = {};
  #body: ReplyBody | undefined;

  constructor(exchange: Exchange, watchdog: Watchdog) {
    this.#exchange = exchange;
    this.#watchdog = watchdog;
    this.#lastAt = performance.now();
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    watchdog.watch(this);
  }

  /** Ends it at once, with this error. */
  fail(error: MirrorError): void {
    if (this.#settled) return;
    this.#settle();
    this.#controller?.abort(error);
    const cleared = this.#body?.abandon(error) ?? Promise.resolve();
    void cleared.then(() => this.#reject(error));
  }

  /** While the spool holds it back, an upstream is neither silent nor slow. */
  hold(held: boolean): void {
    if (this.#settled) return;
    this.#held = held;
    this.#lastAt = this.#windowAt = performance.now();
    this.#windowBytes = 0;
    if (held) this.#controller?.pause();
    else this.#controller?.resume();
  }

  check(now: number): void {
    const { timing, startedAt } = this.#exchange;
    const silent = now - this.#lastAt;
    if (now - startedAt > timing.whole) {
      this.#late(`was not done after ${seconds(timing.whole)}`);
    } else if (this.#phase === "headers" && silent > timing.headers) {
      this.#late(`did not answer within ${seconds(timing.headers)}`);
    } else if (this.#phase === "body" && !this.#held && silent > timing.idle) {
      this.#late(`fell silent for ${seconds(timing.idle)} after ${this.#body?.size} bytes`);
    } else if (this.#phase === "body" && !this.#held && now - this.#windowAt > timing.rateWindow) {
      const least = (timing.leastRate * timing.rateWindow) / 1000;
      if (this.#windowBytes < least) this.#late(`sent less than ${timing.leastRate} bytes a second`);
      this.#windowAt = now;
      this.#windowBytes = 0;
    }
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#settled) controller.abort(new Error("no longer wanted"));
    this.#phase = "headers";
    this.#lastAt = performance.now();
  }

  onResponseStart(controller: Controller, status: number, headers: ReplyHeaders): void {
    // Informational replies (1xx) come before the real one and prove no progress.
    if (status < 200) return;
    this.#controller = controller;
    this.#phase = "body";
    this.#lastAt = this.#windowAt = performance.now();
    this.#status = status;
    this.#headers = headers;
    const coding = headers["content-encoding"];
    if (status === 200 && coding !== undefined && coding !== "" && coding !== "identity") {
      // We asked for identity; unpacking what was not asked for would let a few bytes become gigabytes.
      this.#malformed("came with a Content-Encoding although none was asked for");
      return;
    }
    const { subject, spool } = this.#exchange;
    const limit = status === 200 ? this.#exchange.limit : EVIDENCE_LIMIT;
    const length = declaredLength(headers);
    const tooLong = length !== undefined && length > limit;
    if (status === 200 && tooLong)
      this.#malformed(`announces ${length} bytes, more than the ${limit} allowed`);
    else this.#body = new ReplyBody(subject, limit, tooLong ? undefined : length, spool, this);
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (this.#settled) return;
    this.#lastAt = performance.now();
    this.#windowBytes += chunk.byteLength;
    if (this.#body?.add(chunk)) return;
    if (this.#status === 200) this.#malformed(`is larger than the ${this.#exchange.limit} bytes allowed`);
    else this.#cutShort();
  }

  onResponseEnd(): void {
    if (this.#settled) return;
    this.#settle();
    const body = this.#body?.end() ?? new Uint8Array();
    if (body instanceof Uint8Array) this.#resolve(this.#replyWith(body));
    else body.then((spooled) => this.#resolve(this.#replyWith(spooled)), this.#reject);
  }

  onResponseError(_controller: Controller | null, thrown: Error): void {
    if (this.#settled) return;
    const { subject, server, timing } = this.#exchange;
    const length = declaredLength(this.#headers);
    const got = this.#phase === "body" ? { size: this.#body?.size ?? 0, of: length } : undefined;
    const what = networkFault(thrown, server, timing.connect, got);
    this.fail(new MirrorError(what.class, subject, `${subject}: ${what.message}`, { cause: thrown }));
  }

  #replyWith(body: Body): Reply {
    return { status: this.#status, headers: this.#headers, body };
  }

  #settle(): void {
    this.#settled = true;
    this.#watchdog.forget(this);
  }

  #late(what: string): void {
    const { subject, server } = this.#exchange;
    this.fail(new MirrorError("transient", subject, `${subject}: ${server} ${what}; run again later`));
  }

  #malformed(what: string): void {
    const { subject, server } = this.#exchange;
    const evidence = this.#body?.evidence();
    const message = `${subject}: the reply of ${server} ${what}; tell its operator, or name another upstream`;
    this.fail(new MirrorError("malformed", subject, message, evidence === undefined ? {} : { evidence }));
  }

  /** An error's page is longer than we keep: the status is known, the rest is not wanted. */
  #cutShort(): void {
    this.#settle();
    this.#resolve(this.#replyWith(this.#body?.evidence() ?? new Uint8Array()));
    this.#controller?.abort(new Error("the rest is not wanted"));
  }
}

/** The Content-Length of a reply, or undefined; undici has refused what is no number. */
function declaredLength(headers: ReplyHeaders): number | undefined {
  const text = headers["content-length"];
  if (typeof text !== "string" || !/^[0-9]{1,15}$/.test(text)) return undefined;
  return Number(text);
}

function seconds(milliseconds: number): string {
  return `${milliseconds / 1000} s`;
}
