import { sha256Stream } from "../body.ts";
import type { BundleFileWriter, HashedFileWriter } from "./bundle-ports.ts";

/** Bytes gathered before they are hashed and written. */
const PART = 1 << 20;

/** A writer whose bytes are hashed on this thread: while one part is being written, it is hashed and the other filled. */
export function hashedHere(writer: BundleFileWriter): HashedFileWriter {
  const running = sha256Stream();
  let [part, spare] = [Buffer.allocUnsafe(PART), Buffer.allocUnsafe(PART)];
  let before: Promise<void> | undefined;
  let writing: Promise<void> | undefined;
  return {
    next: async () => {
      await before;
      return part;
    },
    put: (length) => {
      const bytes = part.subarray(0, length);
      [part, spare] = [spare, part];
      before = writing;
      writing = (before ?? Promise.resolve()).then(() => writer.write(bytes));
      // Whoever waits for it next hears of it.
      writing.catch(() => undefined);
      running.update(bytes);
    },
    finish: async () => {
      await writing;
      await writer.finish();
      return running.digest();
    },
    discard: async () => {
      await writing?.catch(() => undefined);
      await writer.discard();
    },
  };
}
