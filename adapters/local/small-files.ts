import { closeSync, mkdirSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { fileError } from "./file-error.ts";

/**
 * Small contents side by side in one temporary file, while they fit: what is kept need not be asked for again. The file has
 * no name any more once it is open, so that nothing of it outlives the process.
 */
export class SmallFiles {
  readonly #path: string;
  readonly #most: number;
  readonly #places = new Map<number, { readonly at: number; readonly size: number }>();
  #descriptor: number | undefined;
  #end = 0;

  /** @param path of the file, made when it is needed. @param most bytes. */
  constructor(path: string, most: number) {
    this.#path = path;
    this.#most = most;
  }

  has(id: number): boolean {
    return this.#places.has(id);
  }

  /** Does nothing where there is no room for it. */
  keep(id: number, bytes: Uint8Array): void {
    if (this.#places.has(id) || this.#end + bytes.byteLength > this.#most) return;
    const at = this.#end;
    try {
      this.#descriptor ??= this.#open();
      for (let written = 0; written < bytes.byteLength; )
        written += writeSync(this.#descriptor, bytes, written, bytes.byteLength - written, at + written);
    } catch (error) {
      throw fileError(error, this.#path);
    }
    this.#end = at + bytes.byteLength;
    this.#places.set(id, { at, size: bytes.byteLength });
  }

  read(id: number): Uint8Array | undefined {
    const place = this.#places.get(id);
    if (place === undefined || this.#descriptor === undefined) return undefined;
    const bytes = Buffer.allocUnsafe(place.size);
    for (let at = 0; at < place.size; ) {
      const read = readSync(this.#descriptor, bytes, at, place.size - at, place.at + at);
      if (read === 0) return undefined;
      at += read;
    }
    return bytes;
  }

  clear(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    this.#places.clear();
    this.#end = 0;
  }

  #open(): number {
    mkdirSync(dirname(this.#path), { recursive: true });
    const descriptor = openSync(this.#path, "wx+", 0o600);
    rmSync(this.#path);
    return descriptor;
  }
}
