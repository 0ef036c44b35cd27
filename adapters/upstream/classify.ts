import { type Body, isSpool } from "../../mirror/body.ts";
import { EVIDENCE_LIMIT, MirrorError } from "../../mirror/errors.ts";
import type { RequestKind } from "./request-kind.ts";
import { parseRetryAfter } from "./retries.ts";
import type { Reply } from "./transfer.ts";

/** What was asked, for the error's subject and message. */
export interface Asked {
  readonly kind: RequestKind;
  readonly subject: string;
  /** The upstream's name without secrets. */
  readonly server: string;
  readonly secrets: readonly string[];
}

/** What a status means for one path: fine, an error, or a refusal whose class only the upstream's probe can tell. */
export type Verdict =
  | { readonly is: "answered" }
  | { readonly is: "refused"; readonly reason: string }
  | { readonly is: "error"; readonly error: MirrorError };

/**
 * Classes a reply by its status (docs/architecture.md, Errors). Attacker-controlled.
 * 200 is answered, 404 and 410 absent; 401 and 407 unauthorized; 408, 425, 429 and 5xx transient; other 4xx (403, 451,
 * 400 foremost) refused; the rest malformed, since cmd/go accepts 200 alone.
 * @param now milliseconds since the epoch, for Retry-After dates.
 */
export function classifyStatus(reply: Reply, asked: Asked, now: number): Verdict {
  const { status } = reply;
  const { subject, server } = asked;
  if (status === 200) return { is: "answered" };
  const said = reasonIn(reply, asked.secrets);
  const fault = (
    errorClass: "absent" | "unauthorized" | "transient" | "malformed",
    text: string,
  ): Verdict => {
    const wait = parseRetryAfter(reply.headers["retry-after"], now);
    const options = {
      ...(wait !== undefined && errorClass === "transient" ? { retryAfter: wait } : {}),
      // It is asked too much: whatever the next file is.
      ...(status === 429 ? { ofHost: true } : {}),
      ...(errorClass === "malformed" && !isSpool(reply.body) ? { evidence: reply.body } : {}),
    };
    return { is: "error", error: new MirrorError(errorClass, subject, `${subject}: ${text}`, options) };
  };
  if (status === 404 || status === 410)
    return fault("absent", `${server} does not have it (${status}${said})`);
  if (status === 401 || status === 407) {
    return fault(
      "unauthorized",
      `${server} wants other credentials (${status}${said}); check its token, the user-info of its URL, or its machine in the netrc`,
    );
  }
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    return fault("transient", `${server} answered ${status}${said}; run again later`);
  }
  if (status === 400 && server.startsWith("http:") && WANTS_TLS.test(beginning(reply))) {
    const text = `${server} wants https (400); give it as https:// instead`;
    return {
      is: "error",
      error: new MirrorError("transient", subject, `${subject}: ${text}`, { ofHost: true }),
    };
  }
  if (status >= 400) return { is: "refused", reason: `${status}${said}` };
  return fault("malformed", `${server} answered ${status} where only 200 is known; tell its operator`);
}

/** As long as nothing tells whether one thing is refused or all, it is asked for again after this, in ms. */
const UNCLEAR_WAIT = 60_000;

/**
 * The error of a refusal: withheld where the upstream serves other things, unauthorized where it serves nothing. Where
 * that cannot be told it is neither: a version must not be taken for refused (clients would be told that there is none)
 * because of a token that has run out, nor an upstream be stopped because of one file. It is transient, without a second
 * try now; each later one is judged anew, by what was served meanwhile.
 */
export function refusal(
  reason: string,
  { subject, server }: Asked,
  others: "served" | "refused" | "unknown",
): MirrorError {
  switch (others) {
    case "served":
      return new MirrorError(
        "withheld",
        subject,
        `${subject}: ${server} refuses this one (${reason}); ask its operator, or name another upstream`,
      );
    case "refused":
      return new MirrorError(
        "unauthorized",
        subject,
        `${subject}: ${server} refuses everything (${reason}); check its token, the user-info of its URL, or its machine in the netrc`,
      );
    case "unknown":
      return new MirrorError(
        "transient",
        subject,
        `${subject}: ${server} refuses it (${reason}), and has served nothing yet that would tell whether all; check its token`,
        { retryAfter: UNCLEAR_WAIT },
      );
  }
}

/** As long as the text of a refusal is that we pass on. */
const LONGEST_REASON = 120;

/** What net/http, nginx and Apache answer in plain text to plain text at a port of TLS; it holds for all of the host. */
const WANTS_TLS =
  /HTTP request to an HTTPS server|HTTP request was sent to HTTPS port|SSL-enabled server port/i;

function beginning({ body }: Reply): string {
  return isSpool(body) ? "" : new TextDecoder().decode(body.subarray(0, 4096));
}

/** `: ` and the first line of a plain-text error body, as cmd/go shows it; empty when it is not fit to print. */
function reasonIn({ headers, body }: Reply, secrets: readonly string[]): string {
  const type = headers["content-type"];
  if (typeof type !== "string" || !/^text\/plain\s*(?:;|$)/i.test(type) || isSpool(body)) return "";
  const text = new TextDecoder().decode(body.subarray(0, 4096));
  const line =
    text
      .trim()
      .split(/[\r\n]/, 1)[0]
      ?.trim() ?? "";
  // A server may send back what it was sent: then its words are not for any log.
  if (line === "" || /[\p{Cc}\p{Cf}\uFFFD]/u.test(line) || secrets.some((secret) => text.includes(secret)))
    return "";
  return `: ${line.length > LONGEST_REASON ? `${line.slice(0, LONGEST_REASON)}…` : line}`;
}

/**
 * Checks that a 200's body can be what was asked for: not a page, not nothing, not compressed. What the bytes say in
 * full is for their parsers. A wrong Content-Type alone is no fault: registries send odd ones.
 * @param size exact number of bytes, where it is known before (tiles).
 * @throws MirrorError malformed with the reply's beginning as evidence. A spool is disposed of.
 */
export async function checkContent(body: Body, asked: Asked, size?: number): Promise<void> {
  const head = isSpool(body) ? await body.read(0, 4) : body;
  const what = contentFault(asked.kind, head, size);
  if (what === undefined) return;
  const evidence = isSpool(body)
    ? await body.read(0, EVIDENCE_LIMIT)
    : Buffer.from(body.subarray(0, EVIDENCE_LIMIT));
  if (isSpool(body)) await body.dispose();
  const { subject, server } = asked;
  const message = `${subject}: ${server} answered 200 with ${what}; tell its operator, or name another upstream`;
  throw new MirrorError("malformed", subject, message, { evidence });
}

function contentFault(kind: RequestKind, head: Uint8Array, size: number | undefined): string | undefined {
  if (kind === "tile") {
    return size === undefined || head.byteLength === size
      ? undefined
      : `${head.byteLength} bytes, not the ${size} of this tile`;
  }
  // A module with nothing to list has an empty list: that is legal.
  if (head.byteLength === 0) return kind === "list" ? undefined : "nothing";
  // A zip begins with a file's header, an empty one with the end record.
  if (kind === "zip")
    return head[0] === 0x50 && head[1] === 0x4b
      ? undefined
      : looksLikePage(head)
        ? "a web page, not a zip"
        : "what is no zip";
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip data that it does not call so";
  return looksLikePage(head) ? "a web page" : undefined;
}

/** Whether the first character is `<`: no go.mod, list, info, note or record begins so, and every HTML or XML page does. */
function looksLikePage(bytes: Uint8Array): boolean {
  let at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  while (bytes[at] === 0x20 || bytes[at] === 0x09 || bytes[at] === 0x0a || bytes[at] === 0x0d) at++;
  return bytes[at] === 0x3c;
}
