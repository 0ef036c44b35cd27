import { z } from "zod";
import { quote } from "../gomod/go-quote.ts";
import { misuse } from "./errors.ts";
import { type RequestKey, requestName, requestTime, traceField } from "./orders.ts";

/** For which go commands a request must work offline (docs/architecture.md, Words). */
export const tier = z.enum(["build", "tidy", "upgrade"]);
export type Tier = z.infer<typeof tier>;

/** How much of the module graph is held: what go reads of it, or every version that it reaches without pruning. */
export const graphExtent = z.enum(["pruned", "full"]);
export type GraphExtent = z.infer<typeof graphExtent>;

/** One go.mod, go.work or go.sum is at most this large: cmd/go's own limit of a go.mod (modfetch, codehost.MaxGoMod). */
const LARGEST_FILE = 16 * 1024 * 1024;
/** As many wishes and files as one request may hold. */
const MOST_WISHES = 10_000;
const MOST_FILES = 1_000;
/** The largest `go mod tidy` seen asks some ten thousand files. */
export const MOST_RECORDED = 200_000;

/** What a line of text can show as it stands. */
const PRINTABLE = /^[^\p{Cc}\p{Cf}\u2028\u2029]*$/u;
const NOT_PRINTABLE = "holds a control character; write it without";

const shape = z.strictObject({
  format: z.literal(1),
  tier,
  /**
   * Main modules by file name as their author has them: `go.mod`, `go.sum`, `go.work`, `sub/go.mod`. Files of one
   * folder belong together; with a go.work, its `use` lines name the others.
   */
  files: z
    .record(z.string().min(1).max(512).regex(PRINTABLE, NOT_PRINTABLE), z.string().max(LARGEST_FILE))
    .refine((files) => Object.keys(files).length <= MOST_FILES, `more than ${MOST_FILES} files`),
  /** `module@version`, each wanted whole as it stands, without a graph: a build list that go has printed. */
  exact: z.array(z.string().min(3).max(2400).regex(PRINTABLE, NOT_PRINTABLE)).max(MOST_WISHES),
  /** `module@version` or `module@latest`, each a root. */
  wishes: z.array(z.string().min(3).max(2400).regex(PRINTABLE, NOT_PRINTABLE)).max(MOST_WISHES),
  /** Whether the wishes are also closed all together, or (a feed's new versions) each alone only. */
  together: z.boolean(),
  graph: graphExtent.default("pruned"),
  /** `module@version`, each a root without its graph: to be listed as soon as it is whole itself. Left out: none. */
  alone: z.array(z.string().min(3).max(2400).regex(PRINTABLE, NOT_PRINTABLE)).max(MOST_WISHES).optional(),
  /** What commands asked of a recording proxy and got: keys of a GOPROXY tree (mirror/recording.ts). */
  recorded: z.array(z.string().min(3).max(2400)).max(MOST_RECORDED).default([]),
  /** The tick or call that handed it in, for the log; handIn adds it. */
  trace: traceField,
});

/** What a user hands in, as it lies in the vault's inbox: one object with all files of the request. */
export type RequestBody = z.infer<typeof shape>;

/** The largest request object that is read. */
export const LARGEST_REQUEST = 64 * 1024 * 1024;

/** @throws MirrorError misuse naming the field; attacker-controlled bytes. */
export function parseRequestBody(bytes: Uint8Array): RequestBody {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw misuse(
      "request",
      "request: not a JSON object in UTF-8; write one with `modferry sync` or see docs/architecture.md",
      cause,
    );
  }
  const parsed = shape.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  // The names of files are whatever their author wrote.
  const field =
    issue === undefined || issue.path.length === 0
      ? "request"
      : printable(issue.path.join(".").slice(0, 200));
  throw misuse(field, `request: ${field}: ${printable(issue?.message ?? "not understood")}`);
}

/** As one line: an author's names must not break the line that reports them. */
function printable(text: string): string {
  return PRINTABLE.test(text) ? text : quote(text);
}

export function printRequestBody(body: RequestBody): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(body));
}

/**
 * OPEN: to be resolved; RESOLVED: orders of it are out; then DONE, or INCOMPLETE with what is missing and due again
 * then; REFUSED: misuse; ENDED: replaced by a newer one of its name, expired or dropped, so that nothing is kept for it.
 */
export type RequestState = "OPEN" | "RESOLVED" | "DONE" | "INCOMPLETE" | "REFUSED" | "ENDED";

/** The ledger's item of a request; below 1 KB. */
export interface RequestRecord extends RequestKey {
  readonly revision: number;
  readonly state: RequestState;
  readonly tier: Tier;
  /** Versions in its closure, and those of them not READY when it was last settled. */
  readonly total: number;
  readonly missing: number;
  /** Why it was refused, or what stopped the last try: 200 bytes. */
  readonly error?: string;
  /** Tries of its resolution that had no time for all of it, in a row. */
  readonly tries?: number;
  readonly due?: number;
  /** Of ENDED: since when. */
  readonly endedAt?: number;
}

const inboxKey = /^inbox\/requests\/(.+)\.json$/;

/** Where a request is handed in: the only prefix of the vault that triggers. */
export function requestInboxKey(request: RequestKey): string {
  return `inbox/requests/${request.name}/${request.time}.json`;
}

/** @returns undefined when `key` is not one of requestInboxKey's. Attacker-controlled. */
export function parseRequestInboxKey(key: string): RequestKey | undefined {
  return parseRequestKey(inboxKey.exec(key)?.[1] ?? "");
}

/** Reads `name/time`. @returns undefined where it is none. Attacker-controlled. */
export function parseRequestKey(text: string): RequestKey | undefined {
  const at = text.lastIndexOf("/");
  const key = { name: text.slice(0, Math.max(0, at)), time: text.slice(at + 1) };
  const parsed = z.object({ name: requestName, time: requestTime }).safeParse(key);
  return parsed.success ? parsed.data : undefined;
}

export function closureVaultKey(request: RequestKey): string {
  return `requests/${request.name}/${request.time}/closure.ndjson.zst`;
}

/** @returns undefined when `key` is not one of closureVaultKey's. */
export function parseClosureKey(key: string): RequestKey | undefined {
  const [, name, time] = /^requests\/(.+)\/([^/]+)\/closure\.ndjson\.zst$/.exec(key) ?? [];
  const parsed = z.object({ name: requestName, time: requestTime }).safeParse({ name, time });
  return parsed.success ? parsed.data : undefined;
}

/** When a request was handed in, in ms since the epoch. */
export function handedInAt({ time }: RequestKey): number {
  const [, year, month, day, hour, minute, second, ms] =
    /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})(\d{3})Z$/.exec(time) ?? [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`);
}

/** A request's time: UTC, `YYYYMMDDTHHMMSSmmmZ`. */
export function requestTimeOf(now: number): string {
  return new Date(now).toISOString().replace(/[-:.]/g, "");
}
