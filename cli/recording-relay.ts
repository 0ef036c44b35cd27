import type { OpenedUpstream } from "../adapters/upstream/open-upstream.ts";
import { parseInfo } from "../gomod/info.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import { moduleVersion } from "../gomod/version.ts";
import type { Answer } from "../mirror/answer.ts";
import { type Body, isSpool, sha256Of } from "../mirror/body.ts";
import { asMirrorError } from "../mirror/errors.ts";
import type { StoredObject } from "../mirror/ports.ts";
import { isRecorded } from "../mirror/recording.ts";
import { MOST_RECORDED } from "../mirror/requests.ts";
import { cacheControlOf, contentTypeOf } from "../mirror/served-headers.ts";
import {
  infoKey,
  parseRevisionQuery,
  parseTreeKey,
  type RevisionQuery,
  type TreeEntry,
  type TreeKey,
} from "../mirror/tree-keys.ts";

/**
 * Answers a client from an upstream, file by file, and keeps the keys of what it gave. Replies come through the mirror's
 * own client, so they are bounded, tried again and checked as for a sync; the upstream's credentials stay on this side.
 */
export class RecordingRelay {
  readonly #upstream: OpenedUpstream;
  readonly #keys = new Set<TreeKey>();
  #overflowed = false;

  constructor(upstream: OpenedUpstream) {
    this.#upstream = upstream;
  }

  /** What was asked and given so far. */
  get keys(): ReadonlySet<string> {
    return this.#keys;
  }

  /** Whether more was asked than a request may hold: the rest is not in `keys`. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** Answers one request. @param path percent-decoded, without leading slash. Attacker-controlled. */
  readonly answer = async (path: string): Promise<Answer> => {
    const entry = parseTreeKey(path);
    const query = entry === undefined ? parseRevisionQuery(path) : undefined;
    if (entry === undefined && query === undefined)
      return { kind: "text", status: 404, text: "not found: not a path of the GOPROXY protocol\n" };
    try {
      if (entry !== undefined) return await this.#file(entry);
      if (query !== undefined) return await this.#revision(query);
    } catch (thrown) {
      return refused(thrown, path);
    }
    return refused(undefined, path);
  };

  async #file(entry: TreeEntry): Promise<Answer> {
    const body = await this.#ask(entry);
    // Where go asks @latest, it takes that answer for the version's .info and does not ask for it again.
    if (entry.kind === "latest" && !isSpool(body)) this.#addVersionIn(entry.path, body);
    if (isRecorded(entry)) this.#add(entry.key);
    return {
      kind: "object",
      object: new RelayedObject(body),
      type: contentTypeOf(entry),
      cacheControl: cacheControlOf(entry),
    };
  }

  /** A mirror holds versions, not branches: what is recorded is the version that the upstream gave. */
  async #revision({ path, revision }: RevisionQuery): Promise<Answer> {
    const body = await this.#upstream.revision(path, revision);
    this.#addVersionIn(path, body);
    return {
      kind: "object",
      object: new RelayedObject(body),
      type: "application/json",
      cacheControl: "no-store",
    };
  }

  async #ask(entry: TreeEntry): Promise<Body> {
    const upstream = this.#upstream;
    switch (entry.kind) {
      case "info":
        return await upstream.info(entry.version);
      case "mod":
        return await upstream.mod(entry.version);
      case "zip":
        return await upstream.zip(entry.version);
      case "list":
        return await upstream.list(entry.path);
      case "latest":
        return await upstream.latest(entry.path);
      case "supported":
        return await upstream.supported(entry.database);
      case "treeHead":
        return await upstream.sumdb(entry.database).latest();
      case "lookup":
        return await upstream.sumdb(entry.database).lookup(entry.version);
      case "tile":
        return await upstream.sumdb(entry.database).tile(entry.tile);
    }
  }

  #addVersionIn(path: ModulePath, info: Uint8Array): void {
    try {
      this.#add(infoKey(moduleVersion(path, parseInfo(info).version)));
    } catch {
      // Not an .info: the client will say so.
    }
  }

  #add(key: TreeKey): void {
    if (this.#keys.size < MOST_RECORDED || this.#keys.has(key)) this.#keys.add(key);
    else this.#overflowed = true;
  }
}

/** An absent file is a 404, a refused one a 403; all else is no word on the file, and so never a 404. */
function refused(thrown: unknown, path: string): Answer {
  const error = asMirrorError(thrown, path);
  const text = `${error.message.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ")}\n`;
  if (error.class === "absent") return { kind: "text", status: 404, text: `not found: ${text}` };
  return { kind: "text", status: error.class === "withheld" ? 403 : 503, text };
}

/** An upstream's reply as something to be sent. */
class RelayedObject implements StoredObject {
  readonly size: number;
  readonly etag: string;
  readonly #body: Body;

  constructor(body: Body) {
    this.#body = body;
    this.size = isSpool(body) ? body.size : body.byteLength;
    this.etag = isSpool(body) ? body.sha256 : sha256Of(body);
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return isSpool(this.#body)
      ? await this.#body.read(offset, length)
      : this.#body.subarray(offset, offset + length);
  }

  async *stream(range?: { readonly start: number; readonly end: number }): AsyncGenerator<Uint8Array> {
    const { start, end } = range ?? { start: 0, end: this.size - 1 };
    for (let at = start; at <= end; at += PART) yield await this.read(at, Math.min(PART, end + 1 - at));
  }

  async close(): Promise<void> {
    if (isSpool(this.#body)) await this.#body.dispose();
  }
}

/** A spool is read and sent in parts of this many bytes. */
const PART = 1 << 20;
