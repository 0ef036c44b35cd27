import { openFolderMirror } from "../adapters/local/folder-mirror.ts";
import { coverage } from "../adapters/upstream/sources.ts";
import { misuse } from "../mirror/errors.ts";
import { retry as retryWaiting } from "../mirror/retry.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** `modferry retry`: what waits after a failure is due now; the next sync tries it again. */
export async function retry(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const [pattern, surplus] = options.arguments;
  if (surplus !== undefined)
    throw misuse(surplus, `${surplus}: \`modferry retry\` takes one pattern; separate several with commas`);
  const covering = coverage(options.sumdbs, options.noSumdb ?? (await environment.gonosumdb()));
  const mirror = await openFolderMirror(options.mirror, { mode: "write" });
  try {
    const provable = (path: Parameters<typeof covering>[0]) => covering(path).size > 0;
    const retried = await retryWaiting({ ledger: mirror.ledger, now: Date.now, provable }, pattern);
    const { versions, requests, conflicts } = retried;
    if (options.json) output.print(jsonLine({ event: "retried", ...retried }));
    else
      output.error(`${versions} versions and ${requests} requests are due now; \`modferry sync\` tries them`);
    if (conflicts > 0 && !options.json)
      output.error(`${conflicts} conflicts that no checksum database can settle are left as they are`);
    return 0;
  } finally {
    await mirror.close();
  }
}
