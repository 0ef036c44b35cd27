import { z } from "zod";
import { MirrorError } from "../errors.ts";
import { sha256OfObject } from "../object-sha256.ts";
import type { BundlePack } from "./bundle-json.ts";
import type { BundleTarget } from "./bundle-ports.ts";
import { packName } from "./pack-writer.ts";

/** Beside the bundle while it is being made; gone when it is done. */
const FOLDER = ".modferry-export/";

const noteShape = z.strictObject({
  export: z.string(),
  pack: z.strictObject({ name: z.string(), size: z.int(), sha256: z.string() }),
  files: z.int().min(1),
  bytes: z.int().min(0),
  last: z.string(),
});

/** A pack that is done: how many files it holds, their bytes, and the last one's path. */
export interface FinishedPack {
  readonly pack: BundlePack;
  readonly files: number;
  readonly bytes: number;
  readonly last: string;
}

/**
 * What an export has done so far: for each finished pack a file with the lines of bundle.json, written after the pack.
 * An export that dies leaves them, and the next one goes on behind them.
 */
export class ExportProgress {
  readonly #target: BundleTarget;
  readonly #export: string;

  /** @param name of what is exported and how: notes of another export count for nothing. */
  constructor(target: BundleTarget, name: string) {
    this.#target = target;
    this.#export = name;
  }

  /** The packs from the first one on that are finished and still what they were. @param at where each pack lies. */
  async finished(at: (number: number) => string): Promise<FinishedPack[]> {
    const found: FinishedPack[] = [];
    for (;;) {
      const note = await this.#read(found.length);
      if (note === undefined || note.pack.name !== packName(found.length)) return found;
      const stored = await this.#target.open(at(found.length));
      if (stored === undefined) return found;
      try {
        if (stored.size !== note.pack.size || (await sha256OfObject(stored)) !== note.pack.sha256)
          return found;
      } finally {
        await stored.close();
      }
      found.push(note);
    }
  }

  /** @param lines of its files, as bundle.json has them. */
  async note(number: number, finished: FinishedPack, lines: readonly string[]): Promise<void> {
    const writer = await this.#target.create(nameOf(number));
    try {
      await writer.write(Buffer.from(`${JSON.stringify({ export: this.#export, ...finished })}\n`));
      for (const line of lines) await writer.write(Buffer.from(`${line}\n`));
      await writer.finish();
    } catch (thrown) {
      await writer.discard();
      throw thrown;
    }
  }

  /** The lines of all files of the first so many packs. */
  async *lines(packs: number): AsyncGenerator<string> {
    for (let number = 0; number < packs; number++) {
      const stored = await this.#target.open(nameOf(number));
      if (stored === undefined)
        throw new MirrorError("transient", FOLDER, `${nameOf(number)}: has vanished; export again`);
      try {
        let isFirst = true;
        for await (const line of linesOf(stored.stream())) {
          if (!isFirst) yield line;
          isFirst = false;
        }
      } finally {
        await stored.close();
      }
    }
  }

  async remove(packs: number): Promise<void> {
    for (let number = 0; number < packs; number++) await this.#target.remove(nameOf(number));
    await this.#target.remove(FOLDER);
  }

  async #read(number: number): Promise<FinishedPack | undefined> {
    const stored = await this.#target.open(nameOf(number));
    if (stored === undefined) return undefined;
    try {
      for await (const line of linesOf(stored.stream())) {
        const { export: made, ...note } = noteShape.parse(JSON.parse(line));
        return made === this.#export ? (note as FinishedPack) : undefined;
      }
      return undefined;
    } catch {
      // Not ours, or cut: the pack is made anew.
      return undefined;
    } finally {
      await stored.close();
    }
  }
}

const nameOf = (number: number): string => `${FOLDER}${packName(number)}.ndjson`;

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
