import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import { z } from "zod";
import type { ModulePath } from "../gomod/module-path.ts";
import { TIME_TO_CLOSE } from "./deadline.ts";
import { MirrorError } from "./errors.ts";
import { OutOfTime } from "./go-mod-loader.ts";
import type { RequestKey } from "./orders.ts";
import type { Deadline, MirrorParts } from "./parts.ts";
import type { Upstream } from "./ports.ts";
import { parseRequestKey } from "./requests.ts";
import { withinTime } from "./within-time.ts";

/** What is kept of one request's lists, in bytes as upstream sent them; beyond that they are asked again. */
const MOST_KEPT = 64 * 1024 * 1024;
/** A list that is older is asked again, in ms. */
const KEPT_FOR = 24 * 3_600_000;

const entry = z.strictObject({
  kind: z.enum(["list", "latest"]),
  path: z.string(),
  at: z.int(),
  /** Base64 of what upstream sent. */
  bytes: z.string().optional(),
  /** What upstream said in place of it. */
  absent: z.string().optional(),
});
type Entry = z.output<typeof entry>;

/** Beside the request's closure. */
function keptListsKey({ name, time }: RequestKey): string {
  return `requests/${name}/${time}/lists.ndjson.zst`;
}

/** @returns undefined when `key` is not one of a request's kept lists. */
export function parseKeptListsKey(key: string): RequestKey | undefined {
  const [, request] = /^requests\/(.+)\/lists\.ndjson\.zst$/.exec(key) ?? [];
  return request === undefined ? undefined : parseRequestKey(request);
}

/**
 * An upstream's lists for the resolution of one request: each is asked once, and where that does not fit its time, the
 * next try goes on from what the earlier ones got. So a resolution over many slow lists comes to its end.
 */
export class KeptLists implements Pick<Upstream, "list" | "latest"> {
  /** Set where one was left out for want of time. */
  outOfTime: OutOfTime | undefined;
  readonly #parts: Pick<MirrorParts, "upstream" | "now">;
  readonly #deadline: Deadline;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(parts: Pick<MirrorParts, "upstream" | "now">, deadline: Deadline) {
    this.#parts = parts;
    this.#deadline = deadline;
  }

  list(path: ModulePath): Promise<Uint8Array> {
    return this.#file("list", path, () => this.#parts.upstream.list(path));
  }

  latest(path: ModulePath): Promise<Uint8Array> {
    return this.#file("latest", path, () => this.#parts.upstream.latest(path));
  }

  /** What earlier tries have kept; nothing where that is damaged: then it is asked again. */
  async load(vault: MirrorParts["vault"], request: RequestKey): Promise<void> {
    try {
      const packed = await vault.get(keptListsKey(request), 2 * MOST_KEPT);
      if (packed === undefined) return;
      const text = await promisify(zstdDecompress)(packed, { maxOutputLength: 4 * MOST_KEPT });
      for (const line of text.toString("utf8").split("\n").slice(0, -1))
        this.#keep(entry.parse(JSON.parse(line)));
    } catch (thrown) {
      if (thrown instanceof MirrorError && thrown.class !== "malformed") throw thrown;
      this.#entries.clear();
    }
  }

  async save(vault: MirrorParts["vault"], request: RequestKey): Promise<void> {
    const lines = [...this.#entries.values()].map((kept) => `${JSON.stringify(kept)}\n`);
    await vault.put(keptListsKey(request), await promisify(zstdCompress)(lines.join("")));
  }

  async #file(kind: Entry["kind"], path: ModulePath, ask: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const kept = this.#entries.get(`${kind} ${path}`);
    if (kept?.bytes !== undefined) return Buffer.from(kept.bytes, "base64");
    if (kept?.absent !== undefined) throw new MirrorError("absent", path, kept.absent);
    const subject = kind === "list" ? `${path}/@v/list` : `${path}/@latest`;
    if (this.#deadline.remaining() < TIME_TO_CLOSE) {
      this.outOfTime = new OutOfTime(`${subject}: no time left to ask for it`);
      throw this.outOfTime;
    }
    const at = this.#parts.now();
    try {
      const bytes = await withinTime(ask(), this.#deadline, subject);
      this.#keep({ kind, path, at, bytes: Buffer.from(bytes).toString("base64") });
      return bytes;
    } catch (thrown) {
      if (thrown instanceof MirrorError && thrown.class === "absent")
        this.#keep({ kind, path, at, absent: thrown.message });
      throw thrown;
    }
  }

  #keep(kept: Entry): void {
    const size = kept.bytes?.length ?? 0;
    if (kept.at < this.#parts.now() - KEPT_FOR || this.#bytes + size > MOST_KEPT) return;
    this.#bytes += size;
    this.#entries.set(`${kept.kind} ${kept.path}`, kept);
  }
}
