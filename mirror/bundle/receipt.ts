import { FormatError } from "../../gomod/format-error.ts";
import { MirrorError, misuse } from "../errors.ts";
import type { Ledger } from "../ports.ts";
import { isSnapshotName, type SnapshotName } from "../snapshot/snapshot-name.ts";
import { type BundleSigner, openSigned, signedNote, type TrustedSigner } from "./bundle-signer.ts";
import { readMark } from "./mark.ts";

/** What a mirror says has arrived. */
export interface Receipt {
  readonly snapshot: SnapshotName;
  /** When its last import ended, in ms since the epoch. */
  readonly at: number;
}

const TITLE = "modferry receipt";

/** Signs what this mirror holds. @throws MirrorError misuse where no bundle was imported yet. */
export async function writeReceipt(
  ledger: Pick<Ledger, "readItem">,
  signer: BundleSigner,
): Promise<Uint8Array> {
  const mark = await readMark(ledger);
  if (mark === undefined) throw misuse("--mirror", "--mirror: no bundle was imported into it yet");
  return await signedNote(`${TITLE}\n${mark.snapshot}\n${new Date(mark.at).toISOString()}\n`, signer);
}

/** Reads a receipt that one of the keys has signed. Attacker-controlled. @throws MirrorError where it is none. */
export function readReceipt(note: Uint8Array, trusted: readonly TrustedSigner[], subject: string): Receipt {
  const { text } = openSigned(note, trusted, subject);
  const [title, snapshot = "", time = "", rest, more] = text.split("\n");
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(time) ? Date.parse(time) : Number.NaN;
  if (title !== TITLE || !isSnapshotName(snapshot) || Number.isNaN(at) || rest !== "" || more !== undefined) {
    const cause = new FormatError("receipt", "malformed receipt");
    throw new MirrorError("malformed", subject, `${subject}: signed, but no receipt of a mirror`, { cause });
  }
  return { snapshot, at };
}
