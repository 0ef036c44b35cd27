import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import { openNote, parseSignerKey, parseVerifierKey, signNote } from "../../sumdb/note.ts";
import { ProofError } from "../../sumdb/proof-error.ts";
import { describeWithOracle } from "../go-command.ts";
import { base64, Oracle, xModFolder } from "./oracle.ts";

interface Opened {
  readonly text?: string;
  readonly sigs?: readonly string[];
  readonly unverifiedSigs?: readonly string[];
  readonly fault?: string;
}

/** What openNote makes of it, in the oracle's words; undefined when it is malformed. */
function opened(bytes: Uint8Array, keys: readonly string[]): Opened | undefined {
  const line = (sig: { name: string; keyHash: number; base64: string }) =>
    `${sig.name} ${sig.keyHash} ${sig.base64}`;
  try {
    const note = openNote(bytes, keys.map(parseVerifierKey));
    return { text: note.text, sigs: note.sigs.map(line), unverifiedSigs: note.unverifiedSigs.map(line) };
  } catch (error) {
    if (error instanceof ProofError) return { fault: error.fault };
    expect(error).toBeInstanceOf(FormatError);
    return undefined;
  }
}

describe("the public database's key", () => {
  // From shared facts and cmd/go's own list of known keys.
  const key = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

  test("is parsed with the hash that its text states", () => {
    expect(parseVerifierKey(key)).toMatchObject({ name: "sum.golang.org", keyHash: 0x033de0ae });
  });

  test("is refused when its name is another's", () => {
    expect(() => parseVerifierKey(key.replace("golang", "go1ang"))).toThrow(FormatError);
  });
});

describeWithOracle("notes, judged by golang.org/x/mod/sumdb/note", () => {
  let oracle: Oracle;
  let keys: { signer: string; verifier: string }[];
  /** Every string of x/mod's own tests of notes. */
  let strings: string[];

  beforeAll(async () => {
    oracle = new Oracle();
    keys = [];
    for (const text of ["example.com/sumdb", "EnochRoot", "Jürgen"])
      keys.push(await oracle.ask("generateKey", { text }));
    const source = readFileSync(join(xModFolder(), "sumdb/note/note_test.go"), "utf8");
    const literals = source.match(/`[^`]*`|"(?:[^"\\\n]|\\.)*"/g) ?? [];
    strings = literals.flatMap((literal) => {
      if (literal.startsWith("`")) return [literal.slice(1, -1)];
      return /\\[^n"\\]/.test(literal) ? [] : [JSON.parse(literal) as string];
    });
    expect(strings.length).toBeGreaterThan(80);
  });
  afterAll(() => oracle.stop());

  test("every string of x/mod's own tests is a key to us exactly if it is one to x/mod", async () => {
    let accepted = 0;
    for (const text of strings) {
      for (const [op, parse] of [
        ["newVerifier", parseVerifierKey],
        ["newSigner", parseSignerKey],
      ] as const) {
        const theirs = await oracle.judge<{ name: string; keyHash: number }>(op, { text });
        if (theirs === undefined) {
          expect(() => parse(text), text).toThrow(FormatError);
        } else {
          accepted++;
          expect(parse(text)).toMatchObject(theirs);
        }
      }
    }
    expect(accepted).toBeGreaterThan(3);
  });

  test("every cut and every changed byte of a key is judged as x/mod judges it", async () => {
    const key = keys[0]?.verifier ?? "";
    const variants = new Set<string>();
    for (let i = 0; i < key.length; i++) {
      variants.add(key.slice(i)).add(key.slice(0, i));
      variants.add(key.slice(0, i) + String.fromCharCode(key.charCodeAt(i) + 1) + key.slice(i + 1));
      variants.add(`${key.slice(0, i)}+${key.slice(i)}`);
    }
    for (const text of variants) {
      const theirs = await oracle.judge("newVerifier", { text });
      let ours: boolean;
      try {
        ours = parseVerifierKey(text) !== undefined;
      } catch {
        ours = false;
      }
      expect(ours, text).toBe(theirs !== undefined);
    }
  });

  test("what we sign is byte for byte what x/mod signs, by one key or by several", async () => {
    const text = "first\n\nthird, nach dem Absatz: ü\n";
    for (const count of [1, 2, 3]) {
      const signers = keys.slice(0, count).map(({ signer }) => signer);
      const theirs = await oracle.ask<string>("sign", { text, keys: signers });
      expect(base64(signNote(text, signers.map(parseSignerKey)))).toBe(theirs);
    }
  });

  test("notes with one bit flipped, cut, or with lines doubled are judged as x/mod judges them", async () => {
    const verifiers = keys.map(({ verifier }) => verifier);
    const text = "go.sum database tree\n3\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n";
    const note = Buffer.from(
      signNote(
        text,
        keys.map(({ signer }) => parseSignerKey(signer)),
      ),
    );
    const variants: Buffer[] = [note];
    for (let i = 0; i < note.length; i++) {
      const flipped = Buffer.from(note);
      flipped[i] = (flipped[i] ?? 0) ^ (1 << (i % 8));
      variants.push(flipped);
      if (i % 3 === 0) variants.push(note.subarray(0, i));
    }
    const lines = note.toString().split("\n");
    for (let i = 0; i < lines.length; i++) {
      variants.push(Buffer.from([...lines.slice(0, i), lines[i], ...lines.slice(i)].join("\n")));
      variants.push(Buffer.from([...lines.slice(0, i), ...lines.slice(i + 1)].join("\n")));
    }
    const signature = lines.at(-2) ?? "";
    variants.push(Buffer.from(`${text}\n${`${signature}\n`.repeat(100)}`));
    variants.push(Buffer.from(`${text}\n${`${signature}\n`.repeat(101)}`));
    const outcomes = new Set<string>();
    for (const variant of variants) {
      for (const known of [verifiers, verifiers.slice(0, 1), [...verifiers, ...verifiers]]) {
        const theirs = await oracle.judge<Opened>("open", { bytes: base64(variant), keys: known });
        const ours = opened(variant, known);
        // Base64 with stray bits in its last digit is the one thing that Go reads and we do not.
        if (ours === undefined && theirs !== undefined && hasStrayBits(variant)) continue;
        expect(ours, variant.toString()).toEqual(theirs);
        outcomes.add(theirs === undefined ? "malformed" : (theirs.fault ?? "open"));
      }
    }
    expect([...outcomes].sort()).toEqual(["malformed", "open", "signature"]);
  });

  function hasStrayBits(note: Buffer): boolean {
    const words = note
      .toString()
      .split("\n")
      .map((line) => line.split(" ")[2] ?? "");
    return words.some((word) => Buffer.from(word, "base64").toString("base64") !== word);
  }

  test("x/mod's notes of its own tests open to the same text and signatures", async () => {
    const text =
      "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const sigs = strings.filter((line) => line.startsWith("— ") && line.endsWith("\n"));
    const verifiers = ["PeterNeumann+c74f20a3", "EnochRoot+af0cfe78"].map((prefix) =>
      strings.find((candidate) => candidate.startsWith(prefix)),
    );
    expect(sigs.length).toBeGreaterThanOrEqual(2);
    const known = verifiers.filter((key) => key !== undefined);
    for (const block of [...sigs, sigs.join(""), `${sigs.join("")}Unexpected line.\n`]) {
      const bytes = Buffer.from(`${text}\n${block}`);
      expect(opened(bytes, known)).toEqual(await oracle.judge("open", { bytes: base64(bytes), keys: known }));
    }
    expect(opened(Buffer.from(`${text}\n${sigs.slice(0, 2).join("")}`), known)?.sigs).toHaveLength(2);
  });
});
