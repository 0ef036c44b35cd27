import { type GoMod, parseGoMod } from "../gomod/go-mod.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { TIME_TO_CLOSE } from "./deadline.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import { fetchVersion } from "./fetch.ts";
import { noteFailed, noteFetched } from "./outcome.ts";
import type { Deadline, MirrorParts } from "./parts.ts";
import { type VersionRecord, want } from "./records.ts";
import { LARGEST_GO_MOD } from "./store-files.ts";
import { modKey } from "./tree-keys.ts";
import { updateRecords } from "./update.ts";
import { withinTime } from "./within-time.ts";

/** Thrown when a unit of work runs out of time; nothing is wrong, and what is done so far is kept. */
export class OutOfTime extends Error {
  override readonly name = "OutOfTime";
}

/** For whom go.mod files are loaded. */
export interface LoadingFor {
  /** The request's name. */
  readonly wish: string;
  /** When it was handed in: what has failed since then is not asked again before its own wait is over. */
  readonly since?: number;
  readonly deadline: Deadline;
}

/**
 * Loads dependencies' go.mod files for a module graph: from the tree where they are held, else by the same step as
 * fetch (proven, stored, recorded). One per request; each file is asked once.
 */
export class GoModLoader {
  /**
   * What could not be had. The graph goes on without it, so a closure that was computed with any of these is not the
   * whole one, even when their files come later.
   */
  readonly unavailable = new Map<string, ModuleVersion>();
  /** What the ledger holds and the tree did not give, nor upstream: as above, but no fetch will mend it. */
  readonly lost = new Map<string, MirrorError>();
  /** Set where a file was left out for want of time: gomod/ takes that for a missing file, so the caller must look. */
  outOfTime: OutOfTime | undefined;
  readonly #parts: MirrorParts;
  readonly #for: LoadingFor;
  readonly #loading = new Map<string, Promise<GoMod>>();
  readonly #loaded = new Map<string, GoMod>();

  constructor(parts: MirrorParts, loadingFor: LoadingFor) {
    this.#parts = parts;
    this.#for = loadingFor;
  }

  /** @throws MirrorError when it cannot be had, which is then recorded; OutOfTime. */
  readonly load = (version: ModuleVersion): Promise<GoMod> => {
    const name = formatModuleVersion(version);
    const known = this.#loading.get(name);
    if (known !== undefined) return known;
    const loading = this.#load(version, name);
    this.#loading.set(name, loading);
    return loading;
  };

  /** What is loaded already; undefined without asking anybody. */
  loaded(version: ModuleVersion): GoMod | undefined {
    return this.#loaded.get(formatModuleVersion(version));
  }

  async #load(version: ModuleVersion, name: string): Promise<GoMod> {
    const goMod = this.#parse(name, await this.#bytes(version, name));
    this.#loaded.set(name, goMod);
    return goMod;
  }

  async #bytes(version: ModuleVersion, name: string): Promise<Uint8Array> {
    let held = false;
    try {
      const [record] = await this.#parts.ledger.read([version]);
      held = record !== undefined && record.held !== "nothing";
      const stored = held ? await this.#parts.tree.get(modKey(version), LARGEST_GO_MOD) : undefined;
      return stored?.bytes ?? (await this.#fromUpstream(version, name, record));
    } catch (thrown) {
      if (thrown instanceof OutOfTime) this.outOfTime = thrown;
      else if (held) this.lost.set(name, asMirrorError(thrown, name));
      else this.unavailable.set(name, version);
      throw thrown;
    }
  }

  async #fromUpstream(
    version: ModuleVersion,
    name: string,
    current: VersionRecord | undefined,
  ): Promise<Uint8Array> {
    const { databasesFor, now } = this.#parts;
    const { wish, since, deadline } = this.#for;
    if (deadline.remaining() < TIME_TO_CLOSE) throw new OutOfTime(`${name}: no time left to load its go.mod`);
    const provable = databasesFor(version.path).length > 0;
    const wanted = (record: VersionRecord | undefined) =>
      want(record, version, "mod", wish, now(), provable, since);
    // What was collected is asked for in the ledger before it is stored again: whoever notes it then knows that nobody
    // is still taking its files out.
    const known = current?.state === "REMOVED" ? await this.#askAgain(version, wanted) : current;
    const record = wanted(known);
    if (record.state !== "PENDING" && record.held === "nothing") throw asRecorded(record, name);
    try {
      const fetching = { ...record, wanted: "mod", held: "nothing" } as const;
      const { added, bytes, goMod } = await withinTime(fetchVersion(this.#parts, fetching), deadline, name);
      await noteFetched(this.#parts, version, added, bytes, wanted);
      if (goMod === undefined) throw new Error("fetchVersion gave no go.mod");
      return goMod;
    } catch (thrown) {
      throw await noteFailed(this.#parts, version, thrown, "mod", wanted);
    }
  }

  async #askAgain(
    version: ModuleVersion,
    wanted: (record: VersionRecord | undefined) => VersionRecord,
  ): Promise<VersionRecord | undefined> {
    const [record] = await updateRecords(this.#parts.ledger, [version], (stored) =>
      stored?.state === "REMOVED" ? wanted(stored) : stored,
    );
    return record;
  }

  /** A proven go.mod that go cannot parse stays in the tree: go itself will say so. The graph goes on without it. */
  #parse(name: string, bytes: Uint8Array): GoMod {
    try {
      return parseGoMod(`${name}.mod`, bytes, "lax");
    } catch (cause) {
      const reason = asMirrorError(cause, name).message;
      throw new MirrorError("malformed", name, `${name}: its go.mod does not parse: ${reason}`, { cause });
    }
  }
}

/** What the last try found, while it is not time for the next. */
function asRecorded({ lastError }: VersionRecord, name: string): MirrorError {
  return new MirrorError(
    lastError?.class ?? "transient",
    name,
    lastError?.message ?? `${name}: it could not be had; try again later`,
  );
}
