import { zipChecker } from "../../../adapters/local/zip-checker.ts";
import { isPseudoVersion } from "../../../gomod/pseudo-version.ts";
import { formatModuleVersion, parseModuleVersion } from "../../../gomod/version.ts";
import { covers, type VersionRecord } from "../../../mirror/records.ts";
import { handedInAt } from "../../../mirror/requests.ts";
import { verifyMirror } from "../../../mirror/verify.ts";
import { NAMES, WANTED_BY } from "./garbage-universe.ts";
import type { GarbageWorld } from "./garbage-world.ts";
import { isInList, KEPT_FOR } from "./promised.ts";
import { add, addAll, closedByHand, type Extents, type HandedIn, needsByHand } from "./referred.ts";

/**
 * What is held and not needed, or needed and not held or not listed, once work has ended.
 * @param subscribed what the subscription has had since before, and so has still.
 */
export async function leftOver(world: GarbageWorld, subscribed: Extents): Promise<string[]> {
  const left = world.deliveries.map(({ kind }) => `${kind} to be delivered`);
  for (const request of world.requests) {
    const state = (await world.ledger.readRequest(request))?.state;
    // Forgotten, once it has been over for long.
    if (state === undefined && request.at + KEPT_FOR < world.clock.ms) continue;
    if (state === undefined || state === "OPEN" || state === "RESOLVED" || state === "INCOMPLETE")
      left.push(`${request.name}/${request.time} is ${state}`);
  }
  const { least, most } = await keptByHand(world, subscribed);
  for await (const record of world.ledger.records()) {
    const name = formatModuleVersion(record);
    const wanted = least.get(name) ?? "nothing";
    const held = EXTENTS.indexOf(record.held);
    const isAsNeeded =
      EXTENTS.indexOf(wanted) <= held && held <= EXTENTS.indexOf(most.get(name) ?? "nothing");
    const state = record.held === "nothing" ? "REMOVED" : "READY";
    if (!isAsNeeded || record.state !== state)
      left.push(`${name} is ${record.state} and held ${record.held}; needed: ${wanted}`);
    if (!isPseudoVersion(record.version) && record.listed !== (await isInList(world, name)))
      left.push(
        `${name} is ${record.listed ? "listed by its record alone" : "in a list, not by its record"}`,
      );
    least.delete(name);
  }
  for (const name of least.keys()) left.push(`${name} is needed and not known`);
  const listed = await listedNames(world);
  for (const { name, time, wishes } of await current(world))
    for (const wish of wishes) if (!listed.has(wish)) left.push(`${wish} of ${name}/${time} is not listed`);
  return left;
}

const EXTENTS = ["nothing", "mod", "whole"] as const;

/**
 * At least: what requests need, and what is here of what the subscription needs. At most: all that the subscription needs, for
 * what of it is not here counts where it is asked of which modules anything is kept.
 */
async function keptByHand(
  world: GarbageWorld,
  subscribed: Extents,
): Promise<{ readonly least: Extents; readonly most: Extents }> {
  const { made } = world.upstream;
  const least: Extents = new Map(subscribed);
  for (const request of await current(world)) addAll(least, needsByHand(made, request));
  addAll(least, await heldForSubscription(world));
  const most: Extents = new Map(least);
  addAll(most, await neededBySubscription(world));
  const listed = await listedNames(world);
  return { least: closedByHand(made, least, listed), most: closedByHand(made, most, listed) };
}

/**
 * What is here of what the subscription needs. No more is promised: what was requested as it stands, and is not listed, waits
 * for a tick to ask for what it needs, and a collector brings nothing.
 */
export async function heldForSubscription(world: GarbageWorld): Promise<Extents> {
  const held: Extents = new Map();
  for (const [name, extent] of await neededBySubscription(world)) {
    const [known] = await world.ledger.read([parseModuleVersion(name)]);
    if (known === undefined || known.held === "nothing") continue;
    add(held, name, covers(known.held, extent) ? extent : "mod");
  }
  return held;
}

/** The closures of all that the configuration's subscription wants and is here. */
async function neededBySubscription({ ledger, upstream, subscription }: GarbageWorld): Promise<Extents> {
  const needed: Extents = new Map();
  for await (const record of ledger.records()) {
    const root = formatModuleVersion(record);
    if (isHeldWhole(record) && WANTED_BY[subscription]?.(root) === true)
      addAll(needed, needsByHand(upstream.made, { wishes: [root], exact: [] }));
  }
  return needed;
}

const isHeldWhole = ({ held, state }: VersionRecord) => held === "whole" && state === "READY";

async function listedNames({ ledger }: GarbageWorld): Promise<Set<string>> {
  const listed = new Set<string>();
  for await (const record of ledger.records()) if (record.listed) listed.add(formatModuleVersion(record));
  return listed;
}

/** By the mirror's own drops, since one that died may or may not have dropped. */
async function current({ requests, ledger, clock }: GarbageWorld): Promise<HandedIn[]> {
  const found: HandedIn[] = [];
  for (const name of NAMES) {
    const [newest] = requests
      .filter((request) => request.name === name)
      .sort((a, b) => (a.time < b.time ? 1 : -1));
    const item = await ledger.readItem("control", `drop/${name}`);
    const dropped = Number(item?.value.at ?? -1);
    if (newest === undefined || handedInAt(newest) <= dropped) continue;
    if (handedInAt(newest) + KEPT_FOR < clock.ms) continue;
    found.push(newest);
  }
  return found;
}

/**
 * What is broken once all has ended: `modferry verify`, and the tree has what the ledger holds and no file more.
 */
export async function brokenAtEnd({ reader, ledger, upstream }: GarbageWorld): Promise<string[]> {
  await reader.lookAtAll();
  const expected = new Set<string>();
  const known = new Set<string>();
  for await (const record of ledger.records()) {
    const base = `${record.path}/@v/${record.version}`;
    known.add(base);
    if (record.held !== "nothing") expected.add(`${base}.mod`);
    if (record.held === "whole") expected.add(`${base}.zip`).add(`${base}.info`);
  }
  // A worker that died between storing a file and noting it left one that no record knows; scrub finds it.
  for await (const { key } of reader.keys())
    if (known.has(key.replace(/\.(?:mod|zip|info)$/, "")) && !expected.has(key))
      reader.broken.push(`8: ${key} is in the tree, and the ledger holds no such file`);
  const { findings } = await verifyMirror({
    tree: reader,
    ledger,
    zips: zipChecker,
    verifiers: [upstream.database.verifier],
    progress: () => {},
  });
  const found = findings
    .filter(({ message }) => !message.includes("the ledger does not know it"))
    .map(({ subject, message }) => `8: verify: ${subject}: ${message}`);
  return [...reader.broken, ...found];
}
