import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { asMirrorError, ERROR_CLASSES, MirrorError } from "./errors.ts";
import { handIn, readRequestBody } from "./inbox.ts";
import { type Missing, missingOf } from "./missing.ts";
import { isFeedName, type RequestKey, requestName } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { LARGEST_REQUEST, parseRequestBody, parseRequestKey, type RequestRecord } from "./requests.ts";
import { parseWishes } from "./wishes.ts";

/** Below which requests are handed in and asked about; no module path begins with a hyphen. */
export const REQUESTS_PATH = "-/requests";
/** As many missing versions are told in one report. */
const MOST_TOLD = 1_000;

export interface DeskRequest {
  readonly method: string;
  /** Decoded, without leading slash. Attacker-controlled, as all of it. */
  readonly path: string;
  /** The Authorization header. */
  readonly authorization: string | undefined;
  readonly body: () => Promise<Uint8Array>;
}

export interface DeskReply {
  readonly status: 200 | 202 | 400 | 401 | 404 | 405 | 413;
  readonly type: "application/json" | "text/plain; charset=utf-8";
  readonly text: string;
  /** Where the request's report is, as a path. */
  readonly location?: string;
}

/** How far a request has come, as an endpoint tells it: `request` is `name/time`, `error` why it was refused. */
export const missingReport = z.object({
  request: z.string(),
  state: z.enum(["OPEN", "RESOLVED", "DONE", "INCOMPLETE", "REFUSED", "ENDED"]),
  total: z.number(),
  /** What is not served, at most MOST_TOLD of it. */
  missing: z.array(
    z.object({
      subject: z.string(),
      state: z.string(),
      class: z.exactOptional(z.enum(ERROR_CLASSES)),
      message: z.string(),
      due: z.exactOptional(z.number().max(8.64e15)),
    }),
  ),
  error: z.exactOptional(z.string()),
});
export type RequestReport = z.infer<typeof missingReport>;

/**
 * Where CI hands in requests without any right to the mirror's storage: `POST /-/requests/<name>` with a request object
 * (mirror/requests.ts) answers 202 and where to ask; `GET /-/requests/<name>/<time>` says how far it has come. Both ask
 * for `Authorization: Bearer <token>`.
 */
export class RequestDesk {
  readonly #parts: Pick<MirrorParts, "vault" | "ledger" | "now">;
  readonly #token: string;

  /** @param token a secret. */
  constructor(parts: Pick<MirrorParts, "vault" | "ledger" | "now">, token: string) {
    this.#parts = parts;
    this.#token = token;
  }

  /** @throws MirrorError where a store does not answer. */
  async answer(request: DeskRequest): Promise<DeskReply> {
    if (!this.#knows(request.authorization))
      return plain(401, "give the mirror's request token: Authorization: Bearer TOKEN");
    const rest = request.path.slice(REQUESTS_PATH.length + 1);
    if (request.method === "POST") return await this.#take(rest, request);
    if (request.method !== "GET") return plain(405, "only GET and POST");
    const key = parseRequestKey(rest);
    const report = key && (await reportOf(this.#parts, key));
    return report === undefined
      ? plain(404, `${REQUESTS_PATH}/NAME/TIME: no such request`)
      : json(200, report);
  }

  async #take(name: string, request: DeskRequest): Promise<DeskReply> {
    if (!requestName.safeParse(name).success || isFeedName(name))
      return plain(
        400,
        "name the request by up to four parts of a-z, 0-9, '.', '_' and '-', such as team/app",
      );
    try {
      const body = parseRequestBody(await request.body());
      parseWishes(body);
      const key = await handIn(this.#parts, name, body);
      const shown = `${key.name}/${key.time}`;
      return { ...json(202, { request: shown }), location: `/${REQUESTS_PATH}/${shown}` };
    } catch (thrown) {
      const error = asMirrorError(thrown, "request");
      if (error.class === "misuse") return plain(400, error.message);
      throw error;
    }
  }

  /** In a time that says nothing of how much of it is right. */
  #knows(authorization: string | undefined): boolean {
    const given = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
    return given !== undefined && timingSafeEqual(digest(given), digest(this.#token));
  }
}

/** @returns undefined where there is no such request. @throws MirrorError where a store does not answer. */
export async function reportOf(
  parts: Pick<MirrorParts, "vault" | "ledger">,
  key: RequestKey,
): Promise<RequestReport | undefined> {
  const request = `${key.name}/${key.time}`;
  const record = await parts.ledger.readRequest(key);
  // Handed in, and not seen by a writer yet.
  if (record === undefined)
    return (await isHandedIn(parts, key)) ? { request, state: "OPEN", total: 0, missing: [] } : undefined;
  const { state, total, error } = record;
  const base = { request, state, total, ...(error === undefined ? {} : { error }) };
  if (state !== "INCOMPLETE" && state !== "RESOLVED") return { ...base, missing: [] };
  return { ...base, missing: (await missingNow(parts, key, record)).slice(0, MOST_TOLD) };
}

/** Of what was never resolved, why. */
async function missingNow(
  parts: Pick<MirrorParts, "vault" | "ledger">,
  key: RequestKey,
  { error, due }: RequestRecord,
): Promise<Missing[]> {
  try {
    return await missingOf(parts, key);
  } catch (thrown) {
    if (error === undefined || !(thrown instanceof MirrorError && thrown.class === "malformed")) throw thrown;
    const subject = `${key.name}/${key.time}`;
    return [{ subject, state: "transient", message: error, ...(due === undefined ? {} : { due }) }];
  }
}

async function isHandedIn(parts: Pick<MirrorParts, "vault">, key: RequestKey): Promise<boolean> {
  try {
    await readRequestBody(parts, key);
    return true;
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.class === "misuse") return false;
    throw thrown;
  }
}

/** A body is read no further than a request may be long. @throws MirrorError misuse above that. */
export async function boundedBody(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const read: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > LARGEST_REQUEST)
      throw new MirrorError(
        "misuse",
        "request",
        `request: larger than ${LARGEST_REQUEST} bytes; hand it in in parts`,
      );
    read.push(chunk);
  }
  return Buffer.concat(read, size);
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

function plain(status: DeskReply["status"], text: string): DeskReply {
  return { status, type: "text/plain; charset=utf-8", text: `${text}\n` };
}

function json(status: 200 | 202, value: object): DeskReply {
  return { status, type: "application/json", text: `${JSON.stringify(value)}\n` };
}
