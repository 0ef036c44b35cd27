import { type Body, isSpool, sizeOf } from "../body.ts";
import type { LineRuns } from "../scrub/sorted-lines.ts";

/** Receives chunks outside of memory; the caller disposes of a Spool. SpoolFolder's method, for one. */
export type SpoolBody = (chunks: AsyncIterable<Uint8Array>, limit: number, subject?: string) => Promise<Body>;

/** No run of lines, and no object of a snapshot, is larger: 100 million versions stay below. */
export const LARGEST_SPOOL = 64 * 1024 ** 3;
const LINES_PER_BATCH = 500;
/** Runs are read in such parts: many are at the same time, and lines keep the part they were cut from. */
const PART = 128 * 1024;

/** Runs of lines in spools, until they are disposed of. */
export class SpooledRuns implements LineRuns {
  readonly #spool: SpoolBody;
  readonly #bodies: Body[] = [];

  constructor(spool: SpoolBody) {
    this.#spool = spool;
  }

  async store(lines: Iterable<string> | AsyncIterable<string>): Promise<() => AsyncIterable<string>> {
    const stored = await this.storeBatches(batched(lines));
    return async function* () {
      for await (const batch of stored()) yield* batch;
    };
  }

  /** As store, for lines that come and go in batches. */
  async storeBatches(
    batches: AsyncIterable<readonly string[]>,
  ): Promise<() => AsyncIterable<readonly string[]>> {
    const body = await this.#spool(chunksOf(batches), LARGEST_SPOOL, "sorted lines");
    this.#bodies.push(body);
    return () => linesOf(partsOf(body));
  }

  async dispose(): Promise<void> {
    for (const body of this.#bodies.splice(0)) if (isSpool(body)) await body.dispose();
  }
}

/** Lines that come one by one, so many at a time. */
export async function* batched(
  lines: Iterable<string> | AsyncIterable<string>,
): AsyncGenerator<readonly string[]> {
  let batch: string[] = [];
  for await (const line of lines) {
    batch.push(line);
    if (batch.length < LINES_PER_BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

async function* chunksOf(batches: AsyncIterable<readonly string[]>): AsyncGenerator<Uint8Array> {
  for await (const batch of batches) if (batch.length > 0) yield Buffer.from(`${batch.join("\n")}\n`);
}

async function* partsOf(body: Body): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sizeOf(body); at += PART)
    yield isSpool(body) ? await body.read(at, PART) : body.subarray(at, at + PART);
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<readonly string[]> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n");
    rest = lines.pop() ?? "";
    if (lines.length > 0) yield lines;
  }
}
