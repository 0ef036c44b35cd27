import { FormatError } from "../../gomod/format-error.ts";
import { hostileParsers } from "./hostile-parsers.ts";

/** What one parser needed for one input. */
export interface HugeRun {
  readonly input: string;
  /** Processor time, in ms. */
  readonly spent: number;
  readonly bytes: number;
  /** What was thrown, if it was no FormatError. */
  readonly crash?: string;
  readonly messageLength: number;
}

const units = [
  ..."a 0 1 9 . - + v / // ! !a ~ ~1 * ? [ [a [^a] ] \\ \\x41 \" ' ` ( ) => , = @ { } [{ 0. a. .a /a a/ 1. -0. v1. a! é \u{1f600}".split(
    " ",
  ),
  ...[
    " ",
    "\t",
    "\n",
    "\r\n",
    "\0",
    "\u00a0",
    "(\n",
    "a(\n",
    "a(\n)\n",
    "require (\n",
    "[\n",
    "// x\n",
    "//\n\n",
    "a\n",
    "a b c\n",
  ],
  ...[
    '{"a":',
    '"a":1,',
    '{"a":1},',
    "machine a ",
    "machine a login b password c\n",
    "default ",
    "macdef a\n\n",
  ],
  ...[
    "v1.0.0\n",
    "a v1.0.0 h1:x\n",
    "module a\n",
    "retract v1.0.0\n",
    'require "a" v1\n',
    "*a",
    "*,",
    "[a-z]*",
    "-pre.",
    "20060102150405-",
  ],
  "\udcff",
];

/**
 * Runs a parser over inputs of about `size` bytes, made of one piece again and again, before its sample and within.
 * @param only the one input to try, by its name; empty for all.
 */
async function run(name: string, size: number, only: string): Promise<HugeRun[]> {
  const parser = hostileParsers[name];
  const [sample = ""] = parser?.samples ?? [];
  const bytes = Buffer.from(sample);
  const runs: HugeRun[] = [];
  for (const unit of units) {
    const piece = unit === "\udcff" ? Buffer.of(0xff) : Buffer.from(unit);
    const fill = Buffer.alloc(Math.floor(size / piece.length) * piece.length, piece);
    for (const at of [0, bytes.length >> 1]) {
      const input = `${JSON.stringify(unit)} at ${at}`;
      if (only !== "" && only !== input) continue;
      const text = Buffer.concat([bytes.subarray(0, at), fill, bytes.subarray(at)]);
      runs.push(await measured(input, text, (given) => parser?.parse(given)));
    }
  }
  return runs;
}

async function measured(
  input: string,
  bytes: Uint8Array,
  parse: (bytes: Uint8Array) => unknown,
): Promise<HugeRun> {
  const before = process.cpuUsage();
  let thrown: unknown;
  try {
    await parse(bytes);
  } catch (error) {
    thrown = error;
  }
  const { user, system } = process.cpuUsage(before);
  const told = { input, spent: (user + system) / 1000, bytes: bytes.length };
  if (thrown === undefined) return { ...told, messageLength: 0 };
  const messageLength = thrown instanceof Error ? thrown.message.length : 0;
  return thrown instanceof FormatError
    ? { ...told, messageLength }
    : { ...told, messageLength, crash: String(thrown).slice(0, 300) };
}

const [name = "", size = "", only = ""] = process.argv.slice(2);
process.send?.(await run(name, Number(size), only));
