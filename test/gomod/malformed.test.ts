import { fork } from "node:child_process";
import { once } from "node:events";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import { hostileParsers } from "./hostile-parsers.ts";
import type { HugeRun } from "./huge-inputs-child.ts";
import { mutant } from "./mutations.ts";
import { cases } from "./oracle.ts";

const parsers = Object.entries(hostileParsers);

/** A value or a FormatError; anything else fails the test with the bytes that did it. */
async function expectJudged(parse: (bytes: Uint8Array) => unknown, bytes: Uint8Array): Promise<void> {
  try {
    await parse(bytes);
  } catch (error) {
    if (error instanceof FormatError) return;
    const input = Buffer.from(bytes).toString("latin1");
    throw new Error(`no FormatError for ${JSON.stringify(input)}`, { cause: error });
  }
}

describe.each(parsers)("%s", (name, { samples, parse }) => {
  test("the samples are good", async () => {
    for (const sample of samples) await parse(Buffer.from(sample));
  });

  test("a sample cut anywhere is a value or a FormatError", async () => {
    for (const sample of samples.map((one) => Buffer.from(one))) {
      for (let end = 0; end <= sample.length; end++) {
        await expectJudged(parse, sample.subarray(0, end));
        await expectJudged(parse, sample.subarray(end));
      }
    }
  });

  test("so is one with any single bit flipped, any byte dropped, doubled or made extreme", async () => {
    for (const sample of samples.map((one) => Buffer.from(one))) {
      for (let at = 0; at < sample.length; at++) {
        const [before, after] = [sample.subarray(0, at), sample.subarray(at + 1)];
        const byte = sample[at] ?? 0;
        const others = [
          0,
          0xff,
          0x80,
          10,
          32,
          34,
          92,
          ...Array.from({ length: 8 }, (_, bit) => byte ^ (1 << bit)),
        ];
        for (const other of others)
          await expectJudged(parse, Buffer.concat([before, Buffer.of(other), after]));
        await expectJudged(parse, Buffer.concat([before, after]));
        await expectJudged(parse, Buffer.concat([before, Buffer.of(byte, byte), after]));
      }
    }
  });

  test("so are random bytes, and random changes of a sample", async () => {
    for (const bytes of cases(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutant(samples)), 300)) {
      await expectJudged(parse, bytes);
    }
  });

  // One process a parser, whose heap ends where a parser that hoards would go on.
  const size = 64 * 1024;
  test(`${size} bytes of one piece again and again take bounded time and memory`, async () => {
    const runs = await inProcess(name, size, "");
    expect(runs.length).toBeGreaterThan(150);
    expect(runs.filter(({ crash }) => crash !== undefined)).toEqual([]);
    // Two seconds of processor time for a megabyte: a quadratic parser needs minutes.
    const slow = runs.filter(({ spent, bytes }) => spent > 100 + (bytes / (1024 * 1024)) * 2000);
    expect(slow).toEqual([]);
    // Go's messages repeat the words that are wrong, quoted: six characters for one at most.
    expect(runs.filter(({ messageLength, bytes }) => messageLength > 8 * bytes)).toEqual([]);
    // What took longest takes about twice as long when it is twice as long.
    const worst = runs.reduce((a, b) => (a.spent > b.spent ? a : b));
    if (worst.spent < 50) return;
    const [doubled] = await inProcess(name, 2 * size, worst.input);
    expect({
      ...worst,
      doubled: doubled?.spent,
      isLinear: (doubled?.spent ?? 0) < 3.5 * worst.spent + 100,
    }).toMatchObject({
      isLinear: true,
    });
  }, 300_000);
});

/** How much of the heap a parser may take, in MB: node and this program need about 20 of it. */
const HEAP = 96;

/**
 * A process each, no thread: a heap that is full ends what it is in, and that is to be this one, with its parser's name.
 */
async function inProcess(name: string, size: number, only: string): Promise<HugeRun[]> {
  const child = fork(new URL("./huge-inputs-child.ts", import.meta.url), [name, String(size), only], {
    execArgv: [`--max-old-space-size=${HEAP}`, "--max-semi-space-size=16"],
  });
  let runs: HugeRun[] | undefined;
  child.once("message", (message) => {
    runs = message as HugeRun[];
  });
  const [code, signal] = await once(child, "exit");
  if (runs === undefined) throw new Error(`${name}: its process ended with ${code ?? signal}`);
  return runs;
}
