import { appendFileSync } from "node:fs";
import { oneLine } from "../../mirror/missing-table.ts";

/** A terminal's line is rewritten this often, in ms. */
const REDRAW = 200;
/** Where stderr is no terminal, a step that takes long says where it is this often, in ms. */
const PLAIN_LINE = 10_000;

/** Says how far a step is: `show` replaces what it said before, and its last word stays. */
export interface Step {
  show(detail: string): void;
}

/** Shows one line a step, on stderr; the same lines go into the log. */
export class Steps {
  readonly #log: string;
  readonly #stream: NodeJS.WriteStream;

  constructor(log: string, stream: NodeJS.WriteStream = process.stderr) {
    this.#log = log;
    this.#stream = stream;
  }

  /** Runs a step; its line ends with how long it took. */
  async run<T>(name: string, body: (step: Step) => Promise<T>): Promise<T> {
    appendFileSync(this.#log, `== ${name}\n`);
    const begun = Date.now();
    let detail = "";
    const line = (mark: string) => `${mark} ${name}${detail === "" ? "" : `: ${detail}`}`;
    const seconds = () => `${((Date.now() - begun) / 1000).toFixed(1)} s`;
    const timer = this.#stream.isTTY
      ? setInterval(() => this.#draw(`${line("…")} (${seconds()})`), REDRAW)
      : setInterval(() => this.say(`${line("…")} (${seconds()})`), PLAIN_LINE);
    try {
      const result = await body({
        show: (text) => {
          detail = oneLine(text);
        },
      });
      this.say(`${line("✓")} (${seconds()})`);
      return result;
    } catch (error) {
      this.say(`${line("✗")} (${seconds()})`);
      throw error;
    } finally {
      clearInterval(timer);
    }
  }

  /** A line for people. */
  say(line: string): void {
    appendFileSync(this.#log, `${line}\n`);
    this.#stream.write(`${this.#stream.isTTY ? "\r\u001b[K" : ""}${line}\n`);
  }

  #draw(line: string): void {
    this.#stream.write(`\r\u001b[K${line.slice(0, (this.#stream.columns ?? 80) - 1)}`);
  }
}
