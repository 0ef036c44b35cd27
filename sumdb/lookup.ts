import { type H1, isH1 } from "../gomod/dirhash.ts";
import { FormatError } from "../gomod/format-error.ts";
import type { ModuleVersion } from "../gomod/version.ts";
import { decodeNoteText } from "./note.ts";
import { ProofError } from "./proof-error.ts";
import { MAX_TREE_SIZE } from "./tlog.ts";
import { parseDecimal } from "./tree-head.ts";

/** Longest lookup reply that is looked at: two go.sum lines and a note, in truth some 400 bytes; as for notes. */
const LONGEST_LOOKUP = 1_000_000;
const NEWLINE = 0x0a;

/** One record of the database, as it is sent. */
export interface SumdbRecord {
  /** Its number in the log, from 0. */
  readonly id: number;
  /** What the log has the hash of: lines, the last one ended, none of them empty. */
  readonly text: string;
}

/** A lookup's reply. The signed tree head in it says nothing of the record: only a proof ties the two. */
export interface Lookup extends SumdbRecord {
  readonly treeNote: Uint8Array;
}

function isRecordText(text: string): boolean {
  return text.endsWith("\n") && !text.includes("\n\n") && decodeNoteText(Buffer.from(text)) === text;
}

const malformed = (why: string) => new FormatError("record", `malformed checksum database record: ${why}`);

/**
 * A record as a lookup's reply begins: its number, its text, a blank line (tlog, FormatRecord).
 * @throws FormatError when the text has control characters, a blank line, or no newline at its end.
 */
export function formatRecord(id: number, text: string): Uint8Array {
  if (!isRecordText(text)) throw malformed("its text must be lines of plain text without a blank one");
  return Buffer.from(`${id}\n${text}\n`);
}

/**
 * Parses a record at the start of `bytes`, up to and with the first blank line after its number (tlog, ParseRecord;
 * stricter: the number must be spelt as Go prints it). Attacker-controlled.
 * @returns the record, and what comes after it, which the record's hash does not cover.
 * @throws FormatError when it is malformed.
 */
export function parseRecord(bytes: Uint8Array): { record: SumdbRecord; rest: Uint8Array } {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const idEnd = whole.indexOf(NEWLINE);
  const end = whole.indexOf("\n\n", idEnd + 1);
  if (idEnd < 0 || end < 0) throw malformed("it has no number, or no blank line after it");
  const id = parseDecimal(whole.toString("latin1", 0, Math.min(idEnd, 32)), MAX_TREE_SIZE);
  if (id === undefined) throw malformed("its first line is not its number");
  const text = decodeNoteText(whole.subarray(idEnd + 1, end + 1));
  if (text === undefined || !isRecordText(text)) throw malformed("it is not plain UTF-8 text");
  return { record: { id, text }, rest: whole.subarray(end + 2) };
}

/**
 * Parses a lookup's reply: a record, and a signed tree head, which is not opened here. Attacker-controlled.
 * @throws FormatError when it is malformed; formatLookup prints what it accepts, byte for byte.
 */
export function parseLookup(bytes: Uint8Array): Lookup {
  if (bytes.length > LONGEST_LOOKUP)
    throw malformed(`the lookup has ${bytes.length} bytes; at most ${LONGEST_LOOKUP} are read`);
  const { record, rest } = parseRecord(bytes);
  if (rest.length === 0) throw malformed("the lookup has no signed tree head after the record");
  return { ...record, treeNote: rest };
}

/** Prints a lookup's reply. @throws FormatError as formatRecord. */
export function formatLookup(id: number, text: string, treeNote: Uint8Array): Uint8Array {
  return Buffer.concat([formatRecord(id, text), treeNote]);
}

/**
 * The two hashes that a record holds for a module version. It takes a record's text, never a whole reply: what stands
 * after the record is not authenticated (CVE-2026-56864). The text must be exactly the line of the zip and that of the
 * go.mod, in any order: a client that only looks for a line that contradicts takes a record without one for proof
 * (CVE-2026-42501), and a further line is none that we could vouch for.
 * @throws ProofError `record` when it is anything else.
 */
export function recordHashes(text: string, mv: ModuleVersion): { zip: H1; goMod: H1 } {
  const lines = text.split("\n");
  const zip = hashAfter(`${mv.path} ${mv.version} `, lines);
  const goMod = hashAfter(`${mv.path} ${mv.version}/go.mod `, lines);
  if (zip === undefined || goMod === undefined || lines.length !== 3 || lines[2] !== "") {
    const subject = `${mv.path}@${mv.version}`;
    const message = `${subject}: the checksum database's record is not the two lines of its zip and its go.mod`;
    throw new ProofError("record", subject, message);
  }
  return { zip, goMod };
}

function hashAfter(prefix: string, lines: readonly string[]): H1 | undefined {
  const hash = lines.find((line) => line.startsWith(prefix))?.slice(prefix.length);
  return hash !== undefined && isH1(hash) ? hash : undefined;
}
