import { createHash, hash } from "node:crypto";

declare const sha256Brand: unique symbol;
/** SHA-256 of the bytes as stored, 64 lower-case hexadecimal digits. */
export type Sha256 = string & { readonly [sha256Brand]: true };

/** A body too large for memory, in a temporary file of the adapter that received it. */
export interface Spool {
  readonly size: number;
  readonly sha256: Sha256;
  /** The file, so that a folder tree on the same file system may link it instead of copying it. */
  readonly path: string;
  /**
   * Its bytes are on the disk, this process itself has hashed them, and nobody writes to the file any more: a folder
   * tree on the same file system takes the file as it is.
   */
  readonly isDurable?: true;
  /** @throws MirrorError transient when the file cannot be read. */
  read(offset: number, length: number): Promise<Uint8Array>;
  stream(): AsyncIterable<Uint8Array>;
  /** Removes the file; safe to call twice and after the file was linked elsewhere. */
  dispose(): Promise<void>;
}

/** Bytes on their way into a tree: in memory, or above SPOOL_LIMIT in a spool. */
export type Body = Uint8Array | Spool;

/** Bodies above this many bytes go through a temporary file, so that a worker's memory stays small. */
export const SPOOL_LIMIT = 8 * 1024 * 1024;

export function isSpool(body: Body): body is Spool {
  return !(body instanceof Uint8Array);
}

export function sizeOf(body: Body): number {
  return isSpool(body) ? body.size : body.byteLength;
}

export function sha256Of(bytes: Uint8Array): Sha256 {
  return hash("sha256", bytes, "hex") as Sha256;
}

/** A running SHA-256, for bodies that pass in chunks. */
export function sha256Stream(): { update(chunk: Uint8Array): void; digest(): Sha256 } {
  const running = createHash("sha256");
  return {
    update: (chunk) => void running.update(chunk),
    digest: () => running.digest("hex") as Sha256,
  };
}
