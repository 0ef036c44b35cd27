/** Keeps sorted runs outside of memory until they are merged: files that are gone with the process. */
export interface LineRuns {
  /** Stores lines in the order given. @returns what reads them back, as often as asked. */
  store(lines: Iterable<string> | AsyncIterable<string>): Promise<() => AsyncIterable<string>>;
}

/**
 * So much text is sorted in memory at a time, some 25 MB of lines; a million versions make twenty runs. More than
 * SPOOL_LIMIT (mirror/body.ts), up to which a spool would stay in memory.
 */
const CHARACTERS_PER_RUN = 10 * 1024 * 1024;
/** So many runs are merged into one: each that is being read takes some hundred kilobytes. */
const RUNS_AT_ONCE = 64;

type Run = () => AsyncIterable<string>;

/**
 * Sorts any number of lines in bounded memory: sorted runs, merged as they are read. Lines are ASCII and without line
 * ends, so the order of their UTF-16 units is that of their bytes; equal ones all come out.
 */
export class SortedLines {
  readonly #runs: LineRuns;
  readonly #perRun: number;
  /** Of the second level each is merged of so many of the first, and so on. */
  readonly #levels: Run[][] = [];
  #lines: string[] = [];
  #characters = 0;

  /** @param perRun characters. */
  constructor(runs: LineRuns, perRun = CHARACTERS_PER_RUN) {
    this.#runs = runs;
    this.#perRun = perRun;
  }

  async add(line: string): Promise<void> {
    this.#lines.push(line);
    this.#characters += line.length;
    if (this.#characters < this.#perRun) return;
    const lines = this.#lines.sort(byUnits);
    this.#lines = [];
    this.#characters = 0;
    await this.#keep(0, await this.#runs.store(lines));
  }

  /** All lines, sorted; to be called once nothing more is added. */
  async *sorted(): AsyncGenerator<string> {
    const lines = this.#lines.sort(byUnits);
    if (this.#levels.length === 0) yield* lines;
    else yield* merged([...this.#levels.flat(), () => asyncIterator(lines)]);
  }

  async #keep(level: number, run: Run): Promise<void> {
    const runs = this.#levels[level] ?? [];
    this.#levels[level] = runs;
    runs.push(run);
    if (runs.length < RUNS_AT_ONCE) return;
    const one = await this.#runs.store(merged(runs));
    this.#levels[level] = [];
    await this.#keep(level + 1, one);
  }
}

async function* merged(runs: readonly Run[]): AsyncGenerator<string> {
  const heap: Head[] = [];
  for (const run of runs) {
    const source = run()[Symbol.asyncIterator]();
    const first = await source.next();
    if (first.done !== true) push(heap, { line: first.value, source });
  }
  for (let head = heap[0]; head !== undefined; head = heap[0]) {
    yield head.line;
    const next = await head.source.next();
    if (next.done === true) {
      const last = heap.pop();
      if (heap.length === 0 || last === undefined) continue;
      heap[0] = last;
    } else head.line = next.value;
    sink(heap);
  }
}

interface Head {
  line: string;
  readonly source: AsyncIterator<string>;
}

const byUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** A binary heap, the least line first: a run more costs a comparison more, not a pass over all heads. */
function push(heap: Head[], head: Head): void {
  let at = heap.push(head) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if ((heap[parent] as Head).line <= head.line) break;
    heap[at] = heap[parent] as Head;
    at = parent;
  }
  heap[at] = head;
}

/** Moves the first head to where it belongs. */
function sink(heap: Head[]): void {
  const head = heap[0] as Head;
  for (let at = 0; ; ) {
    let child = 2 * at + 1;
    if (child >= heap.length) return;
    if (child + 1 < heap.length && (heap[child + 1] as Head).line < (heap[child] as Head).line) child++;
    if (head.line <= (heap[child] as Head).line) return;
    heap[at] = heap[child] as Head;
    heap[child] = head;
    at = child;
  }
}

async function* asyncIterator(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines;
}
