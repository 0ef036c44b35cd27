import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MirrorError } from "../../mirror/errors.ts";
import { parseOrder } from "../../mirror/orders.ts";
import {
  parseRequestBody,
  parseRequestInboxKey,
  printRequestBody,
  requestInboxKey,
} from "../../mirror/requests.ts";
import { parseTreeKey } from "../../mirror/tree-keys.ts";
import { parseWishes } from "../../mirror/wishes.ts";
import { mutant } from "../gomod/mutations.ts";
import { cases } from "../gomod/oracle.ts";
import { requestBody } from "./made-mirror.ts";

const key = { name: "test", time: "20261123T093000000Z" };
const body = requestBody({
  files: { "go.mod": "module x\nrequire a.b/c v1.0.0\n", "go.sum": "a.b/c v1.0.0 h1:x\n" },
  wishes: ["a.org/b@v1.0.0"],
});
const order = { kind: "fetch", path: "example.com/a", versions: ["v1.0.0"], request: key, number: 0 };

/** Each parser of what lies in the vault, the queue or a client's URL: a value, or a MirrorError without control characters. */
const parsers: readonly (readonly [string, readonly Uint8Array[], (bytes: Buffer) => unknown])[] = [
  ["request bodies", [printRequestBody(body)], (bytes) => parseWishes(parseRequestBody(bytes))],
  ["orders", [Buffer.from(JSON.stringify(order))], (bytes) => parseOrder(bytes.toString())],
  ["inbox keys", [Buffer.from(requestInboxKey(key))], (bytes) => parseRequestInboxKey(bytes.toString())],
  [
    "tree keys",
    [
      "example.com/!azure/v2/@v/v2.0.0-!r!c1.info",
      "sumdb/sum.example.org/lookup/a.b/c@v1.0.0",
      "sumdb/sum.example.org/tile/8/2/x001/234.p/8",
    ].map((text) => Buffer.from(text)),
    (bytes) => {
      const entry = parseTreeKey(bytes.toString());
      // What is a key is spelt in one way only.
      if (entry !== undefined) expect(entry.key).toBe(bytes.toString());
      return entry;
    },
  ],
];

function expectJudged(parse: (bytes: Buffer) => unknown, bytes: Buffer): void {
  try {
    parse(bytes);
  } catch (error) {
    const input = bytes.toString("latin1");
    if (!(error instanceof MirrorError))
      throw new Error(`no MirrorError for ${JSON.stringify(input)}`, { cause: error });
    expect({ input, message: error.message }).toEqual({
      input,
      // Go's own text of a go.mod or go.sum has a line for each problem.
      message: expect.stringMatching(/^(?:[^\p{Cc}\u2028\u2029]|\n){1,1200}$/u),
    });
  }
}

describe.each(parsers)("%s", (_, samples, parse) => {
  test("cut anywhere, or with any bit flipped, are a value or a MirrorError that can be printed", () => {
    for (const sample of samples.map((one) => Buffer.from(one))) {
      parse(sample);
      for (let at = 0; at < sample.length; at++) {
        expectJudged(parse, sample.subarray(0, at));
        for (let bit = 0; bit < 8; bit++) {
          const flipped = Buffer.from(sample);
          flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
          expectJudged(parse, flipped);
        }
      }
    }
  });

  test("changed at random, or random, they are too", () => {
    for (const bytes of cases(fc.oneof(mutant(samples), fc.uint8Array({ maxLength: 100 })), 500)) {
      expectJudged(parse, Buffer.from(bytes));
    }
  });
});

test("a file's name does not break the line that names it", () => {
  const hostile = JSON.stringify({ ...requestBody({}), files: { "a\n\u001b[31mb\u2028": 5 } });
  expectJudged(parseRequestBody, Buffer.from(hostile));
});
