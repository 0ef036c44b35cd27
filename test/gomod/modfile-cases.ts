import fc from "fast-check";

/** Random go.mod and go.work files: plausible lines, and soups of their pieces; bytes, not always UTF-8. */

const paths = [
  "example.com/a",
  "example.com/a/v2",
  "gopkg.in/x.v1",
  "a.b/v1",
  '"example.com/q"',
  "m",
  "a.b/C",
  "x@v1",
];
const versions = [
  "v1.0.0",
  "v2.0.0",
  "v2.0.0+incompatible",
  "v1.2",
  "v0.0.0-20200101000000-abcdefabcdef",
  "master",
  "v1.0.0+meta",
  '"v1.0.0"',
  '"v1.0',
];
const pieces = [
  ...paths,
  ...versions,
  ...[
    "=>",
    "[",
    "]",
    ",",
    "(",
    ")",
    "{",
    "}",
    "=",
    "k=v",
    "k=v,w",
    "1.21",
    "1.21rc1",
    "v1.2x",
    "go1.21",
    "default",
  ],
  ...[
    "../dir",
    "./a\\b",
    "C:\\x",
    "/abs",
    "..",
    "`raw`",
    "'x'",
    '"a\\qb"',
    '"\\x41\\101\\u00e9"',
    '"\\xff"',
    '"\\\n"',
  ],
  ...[
    "é",
    "\u0378",
    "\u200b",
    "\ufeff",
    "\u00a0",
    "\u{1f600}",
    "\u{1fae9}",
    "\0",
    "\x7f",
    "a/*b",
    "/*",
    "/",
    "a//b",
  ],
  ...['a"b', "\v", "\r", "\u2028", '"', "`"],
];
const verbs = [
  "module",
  "go",
  "toolchain",
  "require",
  "exclude",
  "replace",
  "retract",
  "tool",
  "ignore",
  "godebug",
  "use",
  "odd",
];
const word = fc.constantFrom(...pieces);
const blank = fc.constantFrom(" ", " ", "\t", "  ", "\r");
const comment = fc.constantFrom(
  ...[
    "// indirect",
    "//indirect",
    "// indirect; why",
    "// Deprecated: old",
    "//",
    "// é \u{1f600}",
    "///",
    "// indirect x",
  ],
);
const ending = fc.oneof(
  { weight: 5, arbitrary: fc.constant("\n") },
  { weight: 1, arbitrary: fc.constantFrom("\r\n", "", " \n", ";\n") },
  {
    weight: 3,
    arbitrary: fc.tuple(blank, comment, fc.constantFrom("\n", "\r\n")).map((parts) => parts.join("")),
  },
);

const plausible = fc.oneof(
  fc
    .tuple(fc.constantFrom(...paths), fc.constantFrom(...versions))
    .map(([path, v]) => `require ${path} ${v}`),
  fc
    .tuple(fc.constantFrom(...paths), fc.constantFrom(...versions))
    .map(([path, v]) => `exclude ${path} ${v}`),
  fc.constantFrom(...versions).map((v) => `retract ${v}`),
  fc.constantFrom(
    "retract [v1.0.0, v1.1.0]",
    "retract [v1.0.0,v1.1.0] x",
    "retract [v1.0.0",
    "retract",
    "retract [,",
  ),
  fc.constantFrom(
    "module m",
    "module m",
    "module example.com/a/v2",
    "module",
    'module "q"',
    "go 1.21",
    "go 1.21.0",
    "go v1.2.x",
  ),
  fc.constantFrom(
    "toolchain go1.21.0",
    "toolchain x",
    "tool a.b/c",
    "ignore ./x",
    "godebug a=b",
    "godebug a",
    "use ./a",
    "use",
  ),
  fc.constantFrom(
    "replace a.b/c => ../c",
    "replace a.b/c v1.0.0 => a.b/d v1.1.0",
    "replace a.b/c => a.b/d",
    "replace a => b@v1",
  ),
  fc.constantFrom(
    "replace a.b/c v1 => ./d v1.0.0",
    "replace => x",
    "replace a/v1 => ./x",
    "replace a.b/c => .\\x",
    "odd x",
  ),
);
const soup = fc
  .tuple(fc.constantFrom(...verbs), fc.array(fc.tuple(blank, word), { maxLength: 6 }))
  .map(([verb, rest]) => verb + rest.flat().join(""));
const line = fc
  .tuple(
    fc.constantFrom("", "", "\t", "  "),
    fc.oneof({ weight: 4, arbitrary: plausible }, { weight: 1, arbitrary: soup }),
    ending,
  )
  .map((parts) => parts.join(""));
const whole = fc
  .oneof(
    comment,
    fc.constant(""),
    fc.tuple(blank, comment).map((parts) => parts.join("")),
  )
  .map((text) => `${text}\n`);
const inside = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(fc.constantFrom(...paths), fc.constantFrom(...versions), ending)
      .map(([p, v, end]) => `\t${p} ${v}${end}`),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom(...pieces, "=>"), ending).map(([piece, end]) => `\t${piece}${end}`),
  },
  { weight: 2, arbitrary: whole },
);
const block = fc
  .tuple(
    fc.constantFrom(...verbs, "require", "require", "retract", "module"),
    fc.constantFrom(" (", "(", " x (", " ( "),
    ending,
    fc.array(inside, { maxLength: 5 }),
    fc.oneof(
      { weight: 9, arbitrary: fc.constant(")") },
      { weight: 1, arbitrary: fc.constantFrom("", ") x", "))") },
    ),
    ending,
  )
  .map(([verb, open, first, lines, close, last]) => [verb, open, first, ...lines, close, last].join(""));
const emptyBlock = fc.constantFrom(
  "require ()\n",
  "require ( ) // c\n",
  "require () x\n",
  "odd ()\n",
  "retract ( // c\n)\n",
);
const rawBytes = fc.constantFrom(
  ...["ff", "e282", "c3", "80", "f09f98", "eda080", "c080"].map((hex) => Buffer.from(hex, "hex")),
);

/** The pieces of a file one after the other. */
export const modFile: fc.Arbitrary<Buffer> = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: line.map((text) => Buffer.from(text)) },
      { weight: 4, arbitrary: block.map((text) => Buffer.from(text)) },
      { weight: 4, arbitrary: whole.map((text) => Buffer.from(text)) },
      { weight: 1, arbitrary: emptyBlock.map((text) => Buffer.from(text)) },
      { weight: 1, arbitrary: rawBytes },
    ),
    { maxLength: 7 },
  )
  .map((parts) => Buffer.concat(parts));
