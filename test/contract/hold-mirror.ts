// Run by writer-lock.test.ts: opens the mirror in argv[2] to write, says how that went, and holds it until it is ended.
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { MirrorError } from "../../mirror/errors.ts";

try {
  await openFolderMirror(process.argv[2] ?? "", { mode: "write" });
  process.stdout.write("held\n");
  setInterval(() => {}, 60_000);
} catch (error) {
  process.stdout.write(`${error instanceof MirrorError ? error.class : "crash"}: ${error}\n`);
}
