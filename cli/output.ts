import { misuse } from "../mirror/errors.ts";
import type { LogEntry } from "../mirror/log-line.ts";

export { oneLine } from "../mirror/missing-table.ts";

/** Where a verb writes, and what it may read; tests put their own in. */
export interface Output {
  /** One line on stdout. */
  print(line: string): void;
  /** One line on stderr. */
  error(line: string): void;
  /** Rewrites the last line of a terminal's stderr; undefined where stderr is no terminal. */
  readonly status: ((line: string) => void) | undefined;
  /** Where stderr is a log (`--log json`): writes one of its lines, in place of one for people. */
  readonly log?: (entry: LogEntry) => void;
  /** All of standard input. */
  readonly stdin: () => Promise<string>;
}

/** The largest stdin that is read. */
const LARGEST_STDIN = 256 * 1024 * 1024;

export function processOutput(): Output {
  const { stdout, stderr, stdin } = process;
  const clear = stderr.isTTY ? "\r\u001b[K" : "";
  return {
    print: (line) => void stdout.write(`${line}\n`),
    error: (line) => void stderr.write(`${clear}${line}\n`),
    status: stderr.isTTY
      ? (line) => void stderr.write(`${clear}${line.slice(0, (stderr.columns ?? 80) - 1)}`)
      : undefined,
    stdin: async () => {
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of stdin) {
        size += chunk.length;
        if (size > LARGEST_STDIN)
          throw misuse("-", `-: stdin has more than ${LARGEST_STDIN} bytes; name files`);
        chunks.push(chunk);
      }
      return Buffer.concat(chunks).toString("utf8");
    },
  };
}
