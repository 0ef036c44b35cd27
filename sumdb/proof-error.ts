/**
 * What did not hold. `signature`: a note that the database's key did not sign. `tiles`: hashes that do not add up to
 * the signed tree head; one of several tiles is wrong, nobody can say which, and asking again may heal it.
 * `record`: a record that is not the one in the database. `proof`: a list of hashes that proves nothing.
 */
export type ProofFault = "signature" | "tiles" | "record" | "proof";

/** Well-formed bytes that the checksum database does not vouch for: class `mismatch` in mirror/. */
export class ProofError extends Error {
  override readonly name = "ProofError";
  readonly fault: ProofFault;
  /** What was to be proven: a database's name, `module@version`, a tree's size. */
  readonly subject: string;

  constructor(fault: ProofFault, subject: string, message: string) {
    super(message);
    this.fault = fault;
    this.subject = subject;
  }
}

/**
 * Two tree heads, both signed by the database, of which the newer does not contain the older: the database, or
 * someone who has its key, shows different people different histories. The notes and the proof convict it without
 * its help: `proof` (checkTree) leads from `computed`, the newer tree's own hash at the older size, to the newer hash,
 * and `computed` is not the older hash.
 */
export class ForkError extends Error {
  override readonly name = "ForkError";
  /** The signed notes, byte for byte. */
  readonly older: Uint8Array;
  readonly newer: Uint8Array;
  readonly computed: Uint8Array;
  readonly proof: readonly Uint8Array[];

  constructor(
    message: string,
    older: Uint8Array,
    newer: Uint8Array,
    computed: Uint8Array,
    proof: readonly Uint8Array[],
  ) {
    super(message);
    this.older = older;
    this.newer = newer;
    this.computed = computed;
    this.proof = proof;
  }
}
