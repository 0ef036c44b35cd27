import { parseVersionList } from "../../../gomod/list-file.ts";
import { formatModuleVersion, type ModuleVersion, parseModuleVersion } from "../../../gomod/version.ts";
import { readClosure } from "../../../mirror/closure-file.ts";
import { covers, dependable } from "../../../mirror/records.ts";
import { listSnapshots } from "../../../mirror/snapshot/catalog.ts";
import { openSnapshot } from "../../../mirror/snapshot/open-snapshot.ts";
import type { SnapshotName } from "../../../mirror/snapshot/snapshot-name.ts";
import { infoKey, listKey, type TreeKey } from "../../../mirror/tree-keys.ts";
import { count } from "../simulation.ts";
import { NAMES } from "./garbage-universe.ts";
import { DAY, DOUBT, type GarbageWorld, requestNameOf } from "./garbage-world.ts";
import { type Extents, type HandedIn, needsByHand } from "./referred.ts";

/** The newest request of a name keeps its closure for so long (`garbage.requests`). */
export const KEPT_FOR = 90 * DAY;

const LIMIT = 1 << 24;

interface KeptSnapshot {
  readonly name: SnapshotName;
  readonly extents: Extents;
}

/** What a mirror owes to requests and snapshots at any moment, by what was done and how the modules were made. */
export class Promised {
  readonly #world: GarbageWorld;
  /** What each snapshot has had since it was taken. */
  readonly #snapshots = new Map<SnapshotName, Extents>();

  constructor(world: GarbageWorld) {
    this.#world = world;
    world.reader.collected = {
      removed: (version, file) => this.#removed(version, file),
      mayGoOffList: () => true,
    };
  }

  /** All that is promised is there, and of what requests need nothing is on its way out. */
  async look(): Promise<void> {
    const { upstream } = this.#world;
    for (const request of await this.requests()) {
      const extents = needsByHand(upstream.made, request);
      await this.#lookAtFiles(`${request.name}/${request.time}`, extents);
      await this.#lookAtRecords(`${request.name}/${request.time}`, extents);
    }
    for (const { name, extents } of await this.#keptSnapshots())
      await this.#lookAtFiles(`snapshot ${name}`, extents);
    await this.#lookAtWaiting();
  }

  /** After a whole run: of what these snapshots name, which were pinned before it began, nothing is on its way out. */
  async lookAtPinned(pinned: readonly SnapshotName[]): Promise<void> {
    for (const { name, extents } of await this.#keptSnapshots())
      if (pinned.includes(name) && this.#world.pinned.has(name))
        await this.#lookAtRecords(`snapshot ${name}, which is pinned,`, extents);
  }

  /**
   * The requests whose closure must be there: of each name the newest that has been DONE, as long as nothing newer has been
   * handed in but what is still to be resolved, nobody has begun to drop it, and it has not expired by anybody's clock. What
   * a request has replaced stays so, though it is tried again (INCOMPLETE, and due), or a resolution that was handed out twice
   * says RESOLVED behind its DONE.
   */
  async requests(): Promise<HandedIn[]> {
    const { ledger, ends } = this.#world;
    const promised: HandedIn[] = [];
    for (const name of NAMES)
      for (const request of this.#newestFirst(name)) {
        if (this.#isOver(request)) break;
        const state = (await ledger.readRequest(request))?.state;
        const end = ends.get(requestNameOf(request));
        if (end === "DONE" && state !== "ENDED") promised.push(request);
        if (end !== undefined || state === "ENDED") break;
      }
    return promised;
  }

  /** What is wrong with taking out this file at this moment. */
  async #removed(version: ModuleVersion, file: "info" | "mod" | "zip"): Promise<readonly string[]> {
    const { tally, upstream, shown, reader } = this.#world;
    const name = formatModuleVersion(version);
    count(tally, `${file} deleted`);
    const problems: string[] = [];
    const needs = (extents: Extents) =>
      extents.get(name) === "whole" || (file === "mod" && extents.get(name) === "mod");
    for (const request of await this.requests())
      if (needs(needsByHand(upstream.made, request)))
        problems.push(`10: ${name} .${file} was deleted, but ${request.name}/${request.time} needs it`);
    for (const snapshot of await this.#keptSnapshots())
      if (needs(snapshot.extents))
        problems.push(`10: ${name} .${file} was deleted, but snapshot ${snapshot.name} has it`);
    problems.push(...shown.stillShown(name, file));
    // Tools take an .info for a promise of the other two.
    const info = await reader.get(infoKey(version), LIMIT);
    if (file !== "info" && info !== undefined)
      problems.push(`3: ${name} .${file} was deleted before its .info`);
    return problems;
  }

  /** What somebody waits for is not forgotten: a client is told to try again, not that it was collected. */
  async #lookAtWaiting(): Promise<void> {
    const { vault, ledger, reader } = this.#world;
    for (const name of NAMES) {
      const [newest] = this.#newestFirst(name);
      if (newest === undefined || this.#isOver(newest)) continue;
      if ((await ledger.readRequest(newest))?.state !== "RESOLVED") continue;
      // By its own closure: what upstream did not answer for is not in it yet.
      for (const { version } of (await readClosure(vault, newest)).needs) {
        const [record] = await ledger.read([version]);
        const needed = formatModuleVersion(version);
        if (record === undefined || record.state === "REMOVED")
          reader.broken.push(`10: ${name}/${newest.time} waits for ${needed}, which is ${record?.state}`);
      }
    }
  }

  #newestFirst(name: string): HandedIn[] {
    const of = this.#world.requests.filter((request) => request.name === name);
    return of.sort((a, b) => (a.time < b.time ? 1 : -1));
  }

  #isOver({ name, at }: HandedIn): boolean {
    const { dropped, clock } = this.#world;
    return at <= (dropped.get(name) ?? -1) || at + KEPT_FOR < clock.ms + DOUBT;
  }

  async #lookAtFiles(by: string, extents: Extents): Promise<void> {
    const { reader } = this.#world;
    for (const [name, extent] of extents)
      for (const suffix of extent === "whole" ? ["mod", "zip", "info"] : ["mod"]) {
        const key = `${name.replace("@", "/@v/")}.${suffix}` as TreeKey;
        if ((await reader.get(key, LIMIT)) === undefined)
          reader.broken.push(`10: ${by} needs ${key}, which is not there`);
      }
  }

  /** Whoever sweeps has to see what was wanted while it swept, not only by its next run. */
  async #lookAtRecords(by: string, extents: Extents): Promise<void> {
    const { reader, ledger } = this.#world;
    for (const [name, extent] of extents) {
      const [record] = await ledger.read([parseModuleVersion(name)]);
      if (record?.state === "REMOVING" && !covers(dependable(record), extent))
        reader.broken.push(`10: ${by} needs ${name}, which is REMOVING`);
    }
  }

  async #keptSnapshots(): Promise<KeptSnapshot[]> {
    const { vault, pinned, reader } = this.#world;
    const found: KeptSnapshot[] = [];
    for (const { name, state } of await listSnapshots(this.#world)) {
      if (state !== "kept" && pinned.has(name)) reader.broken.push(`10: ${name} is pinned, and ${state}`);
      if (state !== "kept") continue;
      const known = this.#snapshots.get(name);
      const extents: Extents = known ?? new Map();
      if (known === undefined) {
        const snapshot = await openSnapshot(vault, name);
        for await (const entry of snapshot?.entries() ?? [])
          extents.set(formatModuleVersion(entry), entry.held);
        await snapshot?.close();
        this.#snapshots.set(name, extents);
      }
      found.push({ name, extents });
    }
    return found;
  }
}

/** Whether a list names a version now. */
export async function isInList({ reader }: GarbageWorld, name: string): Promise<boolean> {
  const { path, version } = parseModuleVersion(name);
  const list = await reader.get(listKey(path), LIMIT);
  return list !== undefined && parseVersionList(list.bytes).versions.includes(version);
}
