import { type GoMod, parseGoMod } from "../gomod/go-mod.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import { keepEvidence } from "./evidence.ts";
import { fetchVersion, LARGEST_GO_MOD } from "./fetch.ts";
import type { Deadline, MirrorParts } from "./parts.ts";
import { failed, fetched, type VersionRecord, want } from "./records.ts";
import { modKey } from "./tree-keys.ts";
import { updateRecords } from "./update.ts";

/** A unit of work stops taking on files when this much of its time is left, in ms: enough to write down where it is. */
export const TIME_TO_CLOSE = 20_000;

/** Thrown when a unit of work runs out of time; nothing is wrong, and what is done so far is kept. */
export class OutOfTime extends Error {
  override readonly name = "OutOfTime";
}

/**
 * Loads dependencies' go.mod files for a module graph: from the tree where they are held, else by the same step as
 * fetch (proven, stored, recorded). One per request; each file is asked once.
 */
export class GoModLoader {
  readonly #parts: MirrorParts;
  readonly #wish: string;
  readonly #deadline: Deadline;
  readonly #loading = new Map<string, Promise<GoMod>>();
  readonly #loaded = new Map<string, GoMod>();

  constructor(parts: MirrorParts, wish: string, deadline: Deadline) {
    this.#parts = parts;
    this.#wish = wish;
    this.#deadline = deadline;
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
    const bytes = (await this.#fromTree(version)) ?? (await this.#fromUpstream(version, name));
    const goMod = this.#parse(name, bytes);
    this.#loaded.set(name, goMod);
    return goMod;
  }

  async #fromTree(version: ModuleVersion): Promise<Uint8Array | undefined> {
    const [record] = await this.#parts.ledger.read([version]);
    if (record === undefined || record.held === "nothing") return undefined;
    return (await this.#parts.tree.get(modKey(version), LARGEST_GO_MOD))?.bytes;
  }

  async #fromUpstream(version: ModuleVersion, name: string): Promise<Uint8Array> {
    const { ledger, now, report, databaseFor } = this.#parts;
    if (this.#deadline.remaining() < TIME_TO_CLOSE)
      throw new OutOfTime(`${name}: no time left to load its go.mod`);
    const provable = databaseFor(version.path) !== undefined;
    const decideWant = (record: VersionRecord | undefined) =>
      want(record, version, "mod", this.#wish, now(), provable);
    const [current] = await ledger.read([version]);
    const wanted = decideWant(current);
    try {
      const { added, bytes, goMod } = await fetchVersion(this.#parts, {
        ...wanted,
        wanted: "mod",
        held: "nothing",
      });
      await updateRecords(ledger, [version], (record) => fetched(decideWant(record), added));
      report({ event: "fetched", version, held: "mod", bytes });
      if (goMod === undefined) throw new Error("fetchVersion gave no go.mod");
      return goMod;
    } catch (thrown) {
      const error = asMirrorError(thrown, name);
      await this.#noteFailure(version, error);
      throw error;
    }
  }

  async #noteFailure(version: ModuleVersion, error: MirrorError): Promise<void> {
    const { ledger, vault, now, report, databaseFor } = this.#parts;
    await keepEvidence(vault, error);
    const provable = databaseFor(version.path) !== undefined;
    const [record] = await updateRecords(ledger, [version], (current) =>
      failed(want(current, version, "mod", this.#wish, now(), provable), error, now()),
    );
    if (record === undefined) return;
    report({ event: "failed", version, state: record.state, class: error.class, message: error.message });
  }

  /** A proven go.mod that go cannot parse stays in the tree: go itself will say so. The graph goes on without it. */
  #parse(name: string, bytes: Uint8Array): GoMod {
    try {
      return parseGoMod(`${name}.mod`, bytes, "lax");
    } catch (thrown) {
      throw new MirrorError(
        "malformed",
        name,
        `${name}: its go.mod does not parse: ${asMirrorError(thrown, name).message}`,
        {
          cause: thrown,
        },
      );
    }
  }
}
