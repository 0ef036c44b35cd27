import type { ForkError } from "./proof-error.ts";
import type { Hash } from "./tlog.ts";

/**
 * The report of a fork, as the go command prints it (golang.org/x/mod/sumdb, Client.checkTrees): both signed notes, the
 * newer tree's own hash at the older one's size, and the proof (RFC 6962, section 2.1.2) that this hash belongs to the
 * newer tree. Whoever has the database's key can check it alone: take the tab off each line of the notes, open both
 * with the key (note.Open), and see that the older note has another hash than the first line of the proof, from which
 * the other lines lead to the newer note's hash (tlog.CheckTree).
 */
export function formatForkReport({ older, newer, computed, proof }: ForkError): Uint8Array {
  const hashes = [computed, ...proof].map((hash) => `\n\t${base64(hash)}`).join("");
  return Buffer.concat([
    Buffer.from("SECURITY ERROR\ngo.sum database server misbehavior detected!\n\nold database:\n\t"),
    indented(older),
    Buffer.from("\nnew database:\n\t"),
    indented(newer),
    Buffer.from(`\nproof of misbehavior:${hashes}\n`),
  ]);
}

const base64 = (hash: Hash): string => Buffer.from(hash).toString("base64");

/** By bytes: a note keeps whatever it was signed as. */
function indented(note: Uint8Array): Buffer {
  return Buffer.from(Buffer.from(note).toString("latin1").replaceAll("\n", "\n\t"), "latin1");
}
