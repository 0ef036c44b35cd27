import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { factor, seed } from "../differential/seed.ts";
import { describeWithOracle } from "../go-command.ts";
import { mutant } from "./mutations.ts";
import { cases } from "./oracle.ts";
import { buildZip } from "./zip-builder.ts";
import { accepted, type Case, refused, stricter } from "./zip-cases.ts";
import { ZipOracle } from "./zip-oracle.ts";
import { compareWithGo, modulePath, moduleVersionText, prefix, verdictOf } from "./zip-verdicts.ts";

/** A zip costs as much as a hundred versions or paths: a quarter of the usual factor. */
const count = 2000 * Math.ceil(factor / 4);
/** Larger zips only make slower cases. */
const MAX_SEED_BYTES = 20_000;
const ASKED_TOGETHER = 200;
const SLASH = 47;

/** Numbers that matter in 16, 32 and 64 bits. */
const tellingNumbers = [
  0, 1, 2, 8, 12, 22, 30, 46, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0xfffffffe, 0xffffffff,
];
const tellingBytes = [
  "PK\x05\x06",
  "PK\x01\x02",
  "PK\x03\x04",
  "PK\x07\x08",
  "PK\x06\x06",
  "PK\x06\x07",
  "\x01\x00\x10\x00",
];

describeWithOracle("mutated zips, against archive/zip and x/mod/zip", () => {
  let oracle: ZipOracle;
  beforeAll(() => {
    oracle = new ZipOracle();
  });
  afterAll(() => oracle.close());

  test("never an h1 that Go does not give, never accepted what Go refuses, never refused without a named reason", async () => {
    const random = randomNumbers(seed);
    const build = ([, entries, zip]: Case | (typeof stricter)[number]) => buildZip(entries, zip);
    const whole = accepted.map(build).filter((zip) => zip.length < MAX_SEED_BYTES);
    const others = [...refused.map(build), ...stricter.map(build)].filter(
      (zip) => zip.length < MAX_SEED_BYTES,
    );
    const outcomes = await compareAll(count, () => {
      const seeds = random(4) === 0 ? others : whole;
      return mutate(seeds[random(seeds.length)] ?? Buffer.alloc(0), [...whole, ...others], random);
    });
    // The mutations are worth something only while both sides of the fence are met.
    expect(outcomes["both accept"]).toBeGreaterThan(count / 20);
    expect(outcomes["both refuse"]).toBeGreaterThan(count / 20);
    expect(outcomes.stricter).toBeGreaterThan(0);
  }, 600_000);

  test("names that nearly are good, in zips that are", async () => {
    const names = [
      "go.mod",
      "LICENSE",
      "a.go",
      "A.go",
      "a/b.go",
      "a/B.go",
      "d/",
      "d",
      "sub/go.mod",
      "GO.MOD",
      "é/É.go",
    ];
    const more = [
      "vendor/x/y.go",
      "ſ",
      "S",
      "aux.go",
      "x/con",
      "K",
      "\u212a",
      ".a",
      "a.",
      "a b",
      "~1",
      "v2/go.mod",
      "",
    ];
    const name = mutant([...names, ...more].map((path) => `${prefix}${path}`));
    const entry = fc.record({ name, content: fc.constantFrom("", "module example.com/m\n", "x") });
    const made = cases(fc.array(entry, { minLength: 1, maxLength: 5 }), 500).map((entries) =>
      buildZip(entries.map((one) => (one.name.at(-1) === SLASH ? { name: one.name } : one))),
    );
    const outcomes = await compareAll(made.length, () => made.pop() ?? Buffer.alloc(0));
    expect(outcomes["both accept"]).toBeGreaterThan(0);
    expect(outcomes["both refuse"]).toBeGreaterThan(0);
  }, 600_000);

  test("zlib and Go's flate take the same streams for whole, and read the same from them", async () => {
    const random = randomNumbers(seed);
    const texts = ["", "a", "package a\n".repeat(40), JSON.stringify([...accepted]).slice(0, 3000)];
    const levels = [0, 1, 9].flatMap((level) =>
      [constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY].map((strategy) => ({
        level,
        strategy,
      })),
    );
    const streams = levels.flatMap((options) => texts.map((text) => deflateRawSync(text, options)));
    const outcomes = await compareAll(count, () => {
      const stream = Buffer.from(streams[random(streams.length)] ?? []);
      for (let flips = random(3); flips > 0; flips--) {
        const at = random(random(2) === 0 ? stream.length : Math.min(stream.length, 12));
        stream[at] = (stream[at] ?? 0) ^ (1 << random(8));
      }
      // No CRC-32 stands in the way, and the size is what the stream gives, whole or not.
      return buildZip([{ name: `${prefix}a`, data: stream, size: inflatedLength(stream), crc32: 0 }]);
    });
    expect(outcomes["both accept"]).toBeGreaterThan(count / 20);
    expect(outcomes["both refuse"]).toBeGreaterThan(count / 20);
    expect(outcomes.stricter).toBe(0);
  }, 600_000);

  /** Compares some hundred at a time, as the oracle runs beside us. */
  async function compareAll(cases: number, make: () => Buffer) {
    const outcomes = { "both accept": 0, "both refuse": 0, stricter: 0 };
    for (let made = 0; made < cases; made += ASKED_TOGETHER) {
      await Promise.all(
        Array.from({ length: Math.min(ASKED_TOGETHER, cases - made) }, make).map(async (zip) => {
          const asked = oracle.verdict(zip, modulePath, moduleVersionText);
          const [ours, go] = [await verdictOf(zip), await asked];
          try {
            outcomes[compareWithGo(ours, go)]++;
          } catch (error) {
            const told = JSON.stringify({ ours, go });
            throw new Error(`zip in base64: ${zip.toString("base64")}\n${told}`, { cause: error });
          }
        }),
      );
    }
    return outcomes;
  }
});

/** How many bytes a stream gives before its end or its first fault. */
function inflatedLength(stream: Buffer): number {
  let length = 0;
  // The longest start of the stream that has no fault, found by halving.
  for (let good = 0, bad = stream.length + 1; bad - good > 1; ) {
    const end = (good + bad) >> 1;
    try {
      length = inflateRawSync(stream.subarray(0, end), { finishFlush: constants.Z_SYNC_FLUSH }).length;
      good = end;
    } catch {
      bad = end;
    }
  }
  return length;
}

/** Changes a zip at one or two places. */
function mutate(zip: Buffer, others: readonly Buffer[], random: (below: number) => number): Buffer {
  let mutated: Buffer = Buffer.from(zip);
  for (let changes = 1 + random(2); changes > 0; changes--) {
    // Half of the changes go to the end, where the structures are.
    const at = random(2) === 0 ? random(mutated.length) : Math.max(0, mutated.length - 1 - random(180));
    const number = tellingNumbers[random(tellingNumbers.length)] ?? 0;
    switch (random(9)) {
      case 0:
        if (at < mutated.length) mutated[at] = (mutated[at] ?? 0) ^ (1 << random(8));
        break;
      case 1:
        if (at < mutated.length) mutated[at] = random(256);
        break;
      case 2:
        if (at + 2 <= mutated.length) mutated.writeUInt16LE(number % 0x10000, at);
        break;
      case 3:
        if (at + 4 <= mutated.length) mutated.writeUInt32LE(number, at);
        break;
      case 4:
        if (at + 4 <= mutated.length)
          mutated.writeUInt32LE((mutated.readUInt32LE(at) + random(9) - 4) >>> 0, at);
        break;
      case 5:
        mutated = mutated.subarray(0, mutated.length - random(Math.min(mutated.length, 30) + 1));
        break;
      case 6:
        mutated = splice(
          mutated,
          at,
          0,
          Buffer.from(tellingBytes[random(tellingBytes.length)] ?? "", "latin1"),
        );
        break;
      case 7: {
        const other = others[random(others.length)] ?? mutated;
        const from = random(other.length);
        mutated = splice(mutated, at, random(60), other.subarray(from, from + random(120)));
        break;
      }
      default:
        mutated = splice(mutated, at, random(12), Buffer.alloc(random(12)));
    }
  }
  return mutated;
}

function splice(bytes: Buffer, at: number, removed: number, inserted: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]);
}

/** Whole numbers below a bound, from a linear congruential generator with 48 bits (as in POSIX drand48). */
function randomNumbers(start: number): (below: number) => number {
  let state = BigInt(start);
  return (below) => {
    state = (state * 0x5deece66dn + 0xbn) & 0xffffffffffffn;
    return Number((state >> 16n) % BigInt(Math.max(1, below)));
  };
}
