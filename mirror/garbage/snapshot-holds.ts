import type { ModulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion } from "../../gomod/version.ts";
import { readMark } from "../bundle/mark.ts";
import type { MirrorParts } from "../parts.ts";
import { covers, type VersionRecord } from "../records.ts";
import { type CatalogEntry, expireSnapshot, listSnapshots } from "../snapshot/catalog.ts";
import { openSnapshot } from "../snapshot/open-snapshot.ts";
import { isPinned, pinsOf } from "../snapshot/pin.ts";
import type { SnapshotEntry } from "../snapshot/snapshot.ts";
import { SNAPSHOTS, type SnapshotName, timeOfSnapshot } from "../snapshot/snapshot-name.ts";
import { underLease } from "../tick-lease.ts";
import type { SurplusObject } from "./garbage-list.ts";

type HoldParts = Pick<MirrorParts, "vault" | "ledger" | "now">;

/** Of what has expired, objects stay this long for whoever has it open, in ms. */
const READ_ON = 3_600_000;
/** What was begun and never announced is nobody's any more after this long, in ms. */
const ABANDONED = 86_400_000;
/** Versions of so many modules are looked up one by one; of more, the snapshot is read through. */
const MODULES_LOOKED_UP = 200;
/** The lease under which snapshots are taken (mirror/snapshot/take.ts). */
const TAKING = "snapshot";

/**
 * What snapshots keep. One that somebody has pinned, has a lease on, or that bundles have brought this mirror to, keeps
 * what it names as it is. Any other that has not expired keeps the files of what it names where they are, no more: else
 * whatever is in today's snapshot would be in tomorrow's, too, and nothing would ever go.
 */
export class SnapshotHolds {
  readonly #parts: HoldParts;

  constructor(parts: HoldParts) {
    this.#parts = parts;
  }

  /** Expires those that are older than `window` ms, but for the newest and what somebody holds. @returns their names. */
  async expire(window: number): Promise<SnapshotName[]> {
    const { ledger, now } = this.#parts;
    const kept = await this.#kept();
    const held = await this.#held(kept);
    const expired: SnapshotName[] = [];
    for (const { name } of kept.slice(0, -1)) {
      if (timeOfSnapshot(name) + window > now() || held.has(name)) continue;
      if (await expireSnapshot({ vault: this.#parts.vault, ledger }, name, now())) expired.push(name);
    }
    return expired;
  }

  /** The entries of those that somebody holds. */
  async *entries(): AsyncGenerator<SnapshotEntry> {
    for (const name of await this.#held(await this.#kept())) {
      const snapshot = await openSnapshot(this.#parts.vault, name);
      try {
        if (snapshot !== undefined) yield* snapshot.entries();
      } finally {
        await snapshot?.close();
      }
    }
  }

  /**
   * Those of these versions of which a snapshot that has not expired names more than what is to stay, by
   * `module@version`.
   */
  async naming(records: ReadonlyMap<string, VersionRecord>): Promise<Set<string>> {
    const named = new Set<string>();
    const look = ({ path, version, held }: SnapshotEntry) => {
      const name = formatModuleVersion({ path, version });
      const record = records.get(name);
      if (record !== undefined && !covers(record.removal?.keeps ?? "nothing", held)) named.add(name);
    };
    if (records.size === 0) return named;
    const paths = new Set<ModulePath>([...records.values()].map(({ path }) => path));
    for (const { name } of await this.#kept()) {
      const snapshot = await openSnapshot(this.#parts.vault, name);
      try {
        if (snapshot === undefined) continue;
        if (paths.size <= MODULES_LOOKED_UP)
          for (const path of paths) for (const entry of await snapshot.module(path)) look(entry);
        else for await (const entry of snapshot.entries()) look(entry);
      } finally {
        await snapshot?.close();
      }
    }
    return named;
  }

  /** Those of which nothing is read any more: `snapshots/<name>/`. */
  async *surplus(): AsyncGenerator<SurplusObject> {
    const now = this.#parts.now();
    for (const { name, state, expiredAt = 0 } of await listSnapshots(this.#parts)) {
      const object = `${SNAPSHOTS}${name}/`;
      if (state === "expired" && expiredAt + READ_ON < now && (await this.#hasObjects(object)))
        yield { object, why: "it has expired" };
      if (state === "abandoned" && timeOfSnapshot(name) + ABANDONED < now)
        yield { object, why: "it was never announced" };
    }
  }

  /** Does something while no snapshot is being taken; undefined where one is. */
  async whileNoneIsTaken<T>(
    owner: string,
    work: (keep: () => Promise<boolean>) => Promise<T>,
  ): Promise<T | undefined> {
    return await underLease(this.#parts, TAKING, owner, work);
  }

  async #kept(): Promise<CatalogEntry[]> {
    return (await listSnapshots(this.#parts)).filter(({ state }) => state === "kept");
  }

  async #held(kept: readonly CatalogEntry[]): Promise<Set<SnapshotName>> {
    const { ledger, now } = this.#parts;
    const pins = await pinsOf(ledger);
    const mark = (await readMark(ledger))?.snapshot;
    return new Set(
      kept.map(({ name }) => name).filter((name) => name === mark || isPinned(pins, name, now())),
    );
  }

  async #hasObjects(prefix: string): Promise<boolean> {
    for await (const _ of this.#parts.vault.keys(prefix)) return true;
    return false;
  }
}
