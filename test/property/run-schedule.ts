import { stampOf } from "../../gomod/index-stamp.ts";
import { acceptRequest } from "../../mirror/accept.ts";
import { tick } from "../../mirror/tick.ts";
import { parseTreeKey } from "../../mirror/tree-keys.ts";
import { indexOnly, MadeIndex, microStamp, subscribed } from "../mirror/made-index.ts";
import { MadeMirror, MINUTE } from "../mirror/made-mirror.ts";
import type { Step } from "./schedule.ts";
import { Broken, Simulation, type Tally } from "./simulation.ts";
import { BODIES, LATER, RELEASES, SUBSCRIPTIONS, universe } from "./universe.ts";

/** What a run without troubles, blocks and policy makes of the same, by what that is. */
const clean = new Map<string, Promise<string>>();

/** @throws Broken where a reader saw what must never be seen, or work did not end as it has to. */
export async function runSchedule(steps: readonly Step[], seed: number, tally: Tally): Promise<void> {
  const simulation = new Simulation(seed, tally);
  await simulation.step([{ action: "hand in", pick: seed, process: 0, twice: false, troubles: [] }]);
  for (const step of steps) await simulation.step(step);
  await ended(simulation);
  await simulation.letAllIn();
  await ended(simulation);
  const files = await moduleFiles(simulation.reader);
  const wanted = {
    bodies: [...simulation.bodies].sort(),
    ticked: simulation.ticked,
    later: simulation.released,
  };
  const key = JSON.stringify(wanted);
  if (!clean.has(key)) clean.set(key, cleanRun(wanted));
  const expected = (await clean.get(key)) as string;
  const [ours, theirs] = [files.split("\n"), expected.split("\n")];
  const wrong = [
    ...ours.filter((line) => !theirs.includes(line)).map((line) => `5: without troubles not: ${line}`),
    ...theirs.filter((line) => !ours.includes(line)).map((line) => `5: without troubles: ${line}`),
  ];
  if (wrong.length > 0) throw new Broken(wrong);
}

async function ended(simulation: Simulation): Promise<void> {
  const left = await simulation.settle();
  if (left.length > 0) throw new Broken(left.map((what) => `5: work does not end: ${what}`));
  await simulation.lookAtEnd();
}

async function cleanRun({
  bodies,
  ticked,
  later,
}: {
  readonly bodies: readonly number[];
  readonly ticked: boolean;
  readonly later: number;
}): Promise<string> {
  const mirror = new MadeMirror(universe(later));
  for (const body of bodies) await mirror.request(BODIES[body] as (typeof BODIES)[number]);
  if (ticked) {
    const index = new MadeIndex();
    const names = [...RELEASES, ...LATER.slice(0, later)];
    for (const [at, { name }] of names.entries())
      index.see(name, microStamp(mirror.clock.ms - (90 - at) * MINUTE));
    const from = stampOf(mirror.clock.ms - 180 * MINUTE);
    const settings = indexOnly(index, subscribed(...SUBSCRIPTIONS), from);
    await tick(mirror.parts, settings, "test", { accept: acceptRequest });
    await mirror.drain();
  }
  return await moduleFiles(mirror.tree);
}

/** The tree without the checksum database, whose heads depend on when it was asked. */
async function moduleFiles(tree: MadeMirror["tree"]): Promise<string> {
  const files: string[] = [];
  for await (const { key } of tree.keys()) {
    const entry = parseTreeKey(key);
    if (entry === undefined || "database" in entry) continue;
    const stored = await tree.get(entry.key, 1 << 24);
    const isText = entry.kind === "list" || entry.kind === "latest";
    files.push(`${key} ${isText ? JSON.stringify(new TextDecoder().decode(stored?.bytes)) : stored?.etag}`);
  }
  return files.sort().join("\n");
}
