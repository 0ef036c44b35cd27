import fc from "fast-check";

/** What breaks parsers: bytes that are no UTF-8, characters that look like others, Go's own marks, numbers too large. */
const pieces: readonly Uint8Array[] = [
  ...["\0", "\x7f", "\ufeff", "\u2028", "\u0085", "\u00a0", "\u1680", "\u3000", "\u200b", "\u0301"],
  ...[
    "é",
    "ß",
    "İ",
    "ı",
    "ſ",
    "\u212a",
    "٠",
    "．",
    "／",
    "１",
    "Ａ",
    "☺",
    "\u{1f600}",
    "\u{10400}",
    "\u0378",
    "\ufffd",
  ],
  ...[
    "/",
    "//",
    ".",
    "..",
    "...",
    "/../",
    "~",
    "~1",
    "-",
    "--",
    "+",
    "!",
    "!a",
    "!!",
    "@",
    "%",
    "%2f",
    ":",
    ";",
    "=",
    "*",
  ],
  ...[
    "0",
    "00",
    "1",
    "01",
    "9",
    "99999999999999999999",
    "18446744073709551616",
    "9007199254740993",
    "-1",
    "1e3",
    "0x1",
  ],
  ...[
    "v",
    "V",
    "v0",
    "v1",
    "v2",
    "v02",
    "/v1",
    "/v2",
    ".v1",
    ".v2",
    "-unstable",
    "gopkg.in/",
    "v1.0.0",
    "v2.0.0",
  ],
  ...[
    "+incompatible",
    "+meta",
    "-pre",
    "-0.",
    "-0",
    ".0.",
    "20060102150405",
    "-abcdef123456",
    "con",
    "AUX",
    "com1",
  ],
  ...[
    "\\",
    "\\a",
    "\\x41",
    "\\xff",
    "\\u00e9",
    "\\U0001f600",
    "\\ud800",
    "`",
    '"',
    "'",
    "[",
    "]",
    "[^",
    "(",
    ")",
    "{",
    "}",
    ",",
  ],
  ...[
    "\n",
    "\r",
    "\r\n",
    "\t",
    " ",
    "\v",
    "\f",
    "//",
    "// indirect",
    "// indirect; x",
    "// Deprecated: x",
    "/*",
    "*/",
    "=>",
    " ( ",
    ")\n",
  ],
  ...[
    "module ",
    "go ",
    "toolchain ",
    "require ",
    "exclude ",
    "replace ",
    "retract ",
    "tool ",
    "ignore ",
    "godebug ",
    "use ",
  ],
]
  .map((text) => Buffer.from(text))
  .concat(
    ["ff", "80", "c3", "c080", "e282", "eda080", "edb080", "f09f98", "f4908080"].map((hex) =>
      Buffer.from(hex, "hex"),
    ),
  );

interface Edit {
  readonly kind: "drop" | "cut" | "insert" | "replace" | "double" | "flip" | "splice" | "case";
  /** Where, as a share of the length. */
  readonly at: number;
  readonly length: number;
  readonly piece: Uint8Array;
}

const edit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom("drop", "cut", "insert", "insert", "replace", "double", "flip", "splice", "case"),
  // Not fc.double: its values crowd at 0.
  at: fc.noBias(fc.nat(999_999)).map((millionths) => millionths / 1_000_000),
  length: fc.noBias(fc.nat(8)),
  piece: fc.constantFrom(...pieces),
});

/** Bytes that are one of the samples, or were until a few edits ago: near enough to be accepted at times. */
export function mutant(samples: readonly (string | Uint8Array)[]): fc.Arbitrary<Buffer> {
  const sample = fc.constantFrom(...samples.map((one) => Buffer.from(one)));
  return fc
    .tuple(sample, sample, fc.array(edit, { maxLength: 3 }))
    .map(([bytes, other, edits]) => edits.reduce<Buffer>((edited, one) => apply(edited, other, one), bytes));
}

function apply(bytes: Buffer, other: Buffer, { kind, at, length, piece }: Edit): Buffer {
  const start = Math.min(bytes.length, Math.floor(at * (bytes.length + 1)));
  const [before, after] = [bytes.subarray(0, start), bytes.subarray(start)];
  switch (kind) {
    case "drop":
      return Buffer.concat([before, after.subarray(length)]);
    case "cut":
      return before;
    case "insert":
      return Buffer.concat([before, piece, after]);
    case "replace":
      return Buffer.concat([before, piece, after.subarray(Math.max(1, length))]);
    case "double":
      return Buffer.concat([before, after.subarray(0, length), after]);
    case "flip":
      return Buffer.concat([
        before,
        after.subarray(0, 1).map((byte) => byte ^ (1 << (length % 8))),
        after.subarray(1),
      ]);
    case "splice":
      return Buffer.concat([before, other.subarray(Math.floor(at * other.length))]);
    case "case":
      return Buffer.from(
        bytes.map((byte) =>
          (byte | 0x20) >= 97 && (byte | 0x20) <= 122 && length % 2 === 0 ? byte ^ 0x20 : byte,
        ),
      );
  }
}
