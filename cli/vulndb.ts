import { gateOf } from "../adapters/upstream/upstream-gates.ts";
import { HttpVulndb } from "../adapters/upstream/vulndb.ts";
import { asMirrorError } from "../mirror/errors.ts";
import { noteTick } from "../mirror/ticks.ts";
import { mirrorVulndb } from "../mirror/vulndb.ts";
import type { EmbeddedMirror } from "./embedded.ts";
import type { CliEnvironment } from "./environment.ts";
import { type Output, oneLine } from "./output.ts";

/**
 * Brings the mirrored vulnerability database up to the one at `url`; what goes wrong holds up nothing else of the run.
 * @returns how many databases could not be brought up: 0 or 1.
 */
export async function syncVulndb(
  { parts: { tree, ledger, now, report }, vulndb: url, egress }: EmbeddedMirror,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  if (url === undefined) return 0;
  const gate = gateOf(url, undefined, { ledger, now, report, probe: "at once" });
  const netrc = await environment.netrc();
  const source = new HttpVulndb(url, { netrc, egress, ...(gate && { gate }) });
  try {
    const synced = await noteTick({ ledger, now }, "vulndb", () => mirrorVulndb(tree, source));
    if (synced !== undefined)
      output.error(
        `vulnerability database: ${synced.entries} entries are new or changed, as of ${synced.modified}`,
      );
    return 0;
  } catch (thrown) {
    output.error(`modferry: vulnerability database: ${oneLine(asMirrorError(thrown, "vulndb").message)}`);
    return 1;
  } finally {
    await source.close();
  }
}
