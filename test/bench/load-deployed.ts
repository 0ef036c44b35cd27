import { join } from "node:path";
import type { ConfigurationInput } from "../../infra/configuration.ts";
import { emulatorFolder, ensureMiniStack, startMiniStack } from "../../infra/local/ministack.ts";
import { emulatedMirror } from "../cost/emulated-mirror.ts";
import { Tally } from "../cost/tally.ts";
import { requireComplete } from "./load-complete.ts";

/** Idle ticks of plan, once all is there and their process has seen it. */
const IDLE_TICKS = 5;
/** Ticks until what the last one read has an end: the feed is complete at the tick after its work is done. */
const MOST_TICKS = 10;

/**
 * The functions, as they are bundled and each in a process of its own, over the emulator's stores: ticks of plan until the
 * index is read, its notifications and orders until none are left, and what that asked of AWS.
 * @returns figures a version, and of the whole the seconds.
 */
export async function deployedLoad(
  folder: string,
  engine: Partial<ConfigurationInput>,
  upstream: { readonly url: string; readonly vkey: string },
  load: { readonly versions: number; readonly lastStamp: string },
): Promise<Record<string, number>> {
  const { versions, lastStamp } = load;
  const emulator = emulatorFolder(process.cwd());
  await ensureMiniStack(emulator);
  const log = join(folder, "ministack.log");
  const ministack = await startMiniStack({ folder: emulator, persist: false, log });
  try {
    const settings = {
      region: "us-east-1",
      endpointUrl: ministack.endpoint,
      credentials: { accessKeyId: "test", secretAccessKey: "test" },
    };
    await using mirror = await emulatedMirror(settings, upstream, join(folder, "cdk.out"), engine);
    const begun = performance.now();
    let ticks = 0;
    let missing: unknown;
    do {
      await mirror.tick("plan");
      await mirror.drain();
      missing = await requireComplete(mirror, versions, lastStamp).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    } while (missing !== undefined && ++ticks < MOST_TICKS);
    if (missing !== undefined) throw missing;
    const wall = (performance.now() - begun) / 1_000;
    const { tally } = mirror.meter;
    const a = (count: number) => count / versions;
    const figures: Record<string, number> = {
      "wall s": wall,
      "ticks of plan": ticks + 1,
      "billed GB-s (assumed latencies)": tally.get("lambda-gb-s"),
    };
    for (const [kind, count] of [...tally.counts].toSorted())
      if (/^(?:dynamodb|s3|sqs|upstream|lambda )/.test(kind)) figures[`${kind}, a version`] = a(count);
    await mirror.tick("plan");
    mirror.meter.tally = new Tally();
    for (let tick = 0; tick < IDLE_TICKS; tick++) await mirror.tick("plan");
    for (const [kind, count] of mirror.meter.tally.counts)
      if (kind.startsWith("dynamodb ")) figures[`idle tick: ${kind}`] = count / IDLE_TICKS;
    figures["idle tick: calls of the ledger"] = mirror.meter.tally.all("dynamodb ") / IDLE_TICKS;
    figures["idle tick: calls of S3"] = mirror.meter.tally.all("s3 ") / IDLE_TICKS;
    figures["idle tick: requests of the upstream, beside the index"] =
      mirror.meter.tally.get("upstream") / IDLE_TICKS;
    return figures;
  } finally {
    await ministack.stop();
  }
}
