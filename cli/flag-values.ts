import { arePathPatterns } from "../gomod/path-pattern.ts";
import { misuse } from "../mirror/errors.ts";
import { isFeedName, requestName } from "../mirror/orders.ts";
import { MOST_VERSIONS_NAMED } from "../mirror/status.ts";

/** @throws MirrorError misuse, here and below, naming the flag and what would be right. */
export function outputFolder(path: string): string {
  if (path === "" || path.includes("\0") || /^[a-z][a-z0-9+.-]*:/i.test(path))
    throw misuse("--to", `--to ${path}: give a folder's path`);
  return path;
}

/** Prometheus's node exporter reads the files of a folder that end so (its textfile collector). */
export function metricsFile(path: string): string {
  if (path.endsWith(".prom") && !path.includes("\0")) return path;
  throw misuse("--metrics", `--metrics ${path}: name a file that ends in .prom`);
}

export function outputFile(path: string): string {
  if (!path.endsWith(".json") || path.includes("@") || path.includes("\0"))
    throw misuse(
      "--to",
      `--to ${path}: name a file that ends in .json and has no @, so that it is known as a request`,
    );
  return path;
}

export function parseBy(text: string | undefined): string | undefined {
  if (text === undefined || (/^[^\p{Cc}\p{Cf}\u2028\u2029]+$/u.test(text) && text.length <= 200)) return text;
  throw misuse("--by", "--by: give a name in one line of 200 characters at most");
}

export function parseName(text: string): string {
  if (requestName.safeParse(text).success && !isFeedName(text)) return text;
  throw misuse(
    "--name",
    `--name ${text}: give a name such as app or team/app, of a-z, 0-9, ".", "_" and "-" (not poll or index: feeds are called so)`,
  );
}

/** A round takes seconds where nothing is new; more often would ask the upstream for nothing. */
const SHORTEST_ROUND = 10_000;

export function parseEvery(
  text: string | undefined,
  once: boolean,
  config: string | undefined,
): number | undefined {
  if (text === undefined) return undefined;
  if (once) throw misuse("--every", "--every: given with --once; give one of them");
  if (config === undefined)
    throw misuse("--every", "--every: only with --config FILE, whose feeds it reads again and again");
  const every = /^\d{1,5}[smh]$/.test(text) ? parseTimeout(text) : 0;
  if (every >= SHORTEST_ROUND) return every;
  throw misuse("--every", `--every ${text}: give a duration of 10s or more, such as 10m or 1h`);
}

const TIMEOUT_UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

/** @returns milliseconds. */
export function parseTimeout(text: string): number {
  const [, count, unit = ""] = /^(\d{1,5})([smh])$/.exec(text) ?? [];
  if (count !== undefined) return Number(count) * (TIMEOUT_UNITS[unit] ?? 0);
  throw misuse("--timeout", `--timeout ${text}: give a duration such as 90s, 15m or 2h`);
}

/** @throws MirrorError misuse naming the words that there are. */
export function oneOf<Word extends string>(
  flag: string,
  words: { readonly options: readonly Word[] },
  text: string,
): Word {
  const found = words.options.find((word) => word === text);
  if (found !== undefined) return found;
  throw misuse(flag, `${flag} ${text}: give one of ${words.options.join(", ")}`);
}

export function parseNoSumdb(patterns: readonly string[] | undefined): string | undefined {
  const wrong = patterns?.find((pattern) => pattern !== "" && !arePathPatterns(pattern));
  if (wrong === undefined) return patterns?.join(",");
  const right = "give patterns of module paths as GONOSUMDB has them, such as corp.example,*.corp.example";
  throw misuse("--no-sumdb", `--no-sumdb ${wrong}: ${right}`);
}

export function parseLimit(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MOST_VERSIONS_NAMED) return limit;
  throw misuse("--limit", `--limit ${text}: give a number from 1 to ${MOST_VERSIONS_NAMED}`);
}

export function parseListen(text: string): { host: string; port: number } {
  const [, bracketed, plain, port] =
    /^(?:(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([A-Za-z0-9_.-]+)):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw misuse("--listen", `--listen ${text}: give HOST:PORT, such as 127.0.0.1:3000 or [::1]:3000`);
  }
  return { host: bracketed ?? plain ?? "127.0.0.1", port: Number(port) };
}
