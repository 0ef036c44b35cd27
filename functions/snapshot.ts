import { snapshotsShape, snapshotTick } from "../mirror/snapshot/schedule.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { FunctionLog } from "./function-log.ts";
import { mirrorParts, owner, scratchSpool } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const log = new FunctionLog(environment);
const parts = mirrorParts(environment, log.report);
const settings = environment.engine.snapshots ?? snapshotsShape.parse({});

/** Takes a snapshot where anything has changed, and expires those that are older than they are kept. */
export const handler = (): Promise<void> =>
  log.call(async () => {
    const { taken, expired } = await snapshotTick({ ...parts, spool: scratchSpool() }, settings, { owner });
    const { outcome } = taken;
    const counts = taken.outcome === "taken" ? taken.header.counts : { modules: 0, versions: 0, bytes: 0 };
    const name =
      taken.outcome === "taken" ? taken.header.name : taken.outcome === "unchanged" ? taken.name : "";
    if (outcome === "taken") log.metrics.add("SnapshotVersions", "Count", counts.versions);
    const labels = { outcome, name: name ?? "", expired: expired.length, ...counts };
    log.write({ level: "info", action: "snapshot", message: "snapshot is up to date", labels });
  });
