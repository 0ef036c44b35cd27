import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import type { MessagePort } from "node:worker_threads";
import type { Sha256 } from "../../mirror/body.ts";
import { asMirrorError, type ErrorClass } from "../../mirror/errors.ts";
import { fileError } from "./file-error.ts";

/** Tells a thread that writes one file from any other that runs the same program. */
export const WRITE_THREAD = "modferry write thread";

/** The first `length` bytes of a shared part, behind those before; part -1 ends the file. */
export interface WriteWork {
  readonly part: number;
  readonly length: number;
}

/** A part that may be filled again; or the file's hash, once its bytes are on the disk; or what has failed. */
export type WriteReply =
  | { readonly part: number }
  | { readonly sha256: Sha256 }
  | { readonly error: { readonly class: ErrorClass; readonly subject: string; readonly message: string } };

/** Writes and hashes the parts as they come; after a failure none. */
export function writeParts(port: MessagePort, path: string, parts: readonly Uint8Array[]): void {
  const running = createHash("sha256");
  let file: number | undefined;
  const work = ({ part, length }: WriteWork): WriteReply => {
    file ??= openSync(path, "w", 0o644);
    if (part === -1) {
      fsyncSync(file);
      closeSync(file);
      return { sha256: running.digest("hex") as Sha256 };
    }
    const bytes = (parts[part] as Uint8Array).subarray(0, length);
    for (let at = 0; at < length; ) at += writeSync(file, bytes, at, length - at);
    running.update(bytes);
    return { part };
  };
  let failed = false;
  port.on("message", (message: WriteWork) => {
    if (failed) return;
    try {
      port.postMessage(work(message));
    } catch (thrown) {
      failed = true;
      const { class: errorClass, subject, message } = asMirrorError(fileError(thrown, path), path);
      port.postMessage({ error: { class: errorClass, subject, message } } satisfies WriteReply);
    }
  });
}
