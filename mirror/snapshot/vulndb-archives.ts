import { MirrorError } from "../errors.ts";
import type { Clock, Vault } from "../ports.ts";
import type { TreeKey } from "../tree-keys.ts";
import { PackedVulndb } from "./packed-vulndb.ts";

/** So many states of the database are held: of two snapshots that are compared. */
const MOST_HELD = 2;
/** One that is damaged is not read again for so long, in ms: it may have tens of MB, and anybody may ask for it. */
const DAMAGED = 60_000;

interface Held {
  readonly database: Promise<PackedVulndb>;
  /** When it was found to be damaged. */
  damagedAt?: number;
}

/** The archived vulnerability databases that a process serves from. */
export class VulndbArchives {
  readonly #vault: Pick<Vault, "open">;
  readonly #now: Clock;
  /** By the archive's key; the last used last. */
  readonly #held = new Map<string, Held>();

  constructor(vault: Pick<Vault, "open">, now: Clock) {
    this.#vault = vault;
    this.#now = now;
  }

  /**
   * A file of the database, its `.json` or `.json.gz`, byte for byte as the tree had it.
   * @param archive its key in the vault, as a snapshot's header names it.
   * @returns undefined where the database had no such file.
   * @throws MirrorError malformed where the archive is missing or damaged; transient as the vault.
   */
  async file(archive: string, key: TreeKey): Promise<Uint8Array | undefined> {
    return await (await this.#hold(archive).database).file(key);
  }

  #hold(archive: string): Held {
    const known = this.#held.get(archive);
    this.#held.delete(archive);
    const isStale = known?.damagedAt !== undefined && Math.abs(this.#now() - known.damagedAt) > DAMAGED;
    const held: Held =
      known === undefined || isStale ? { database: PackedVulndb.read(this.#vault, archive) } : known;
    this.#held.set(archive, held);
    if (held !== known)
      held.database.catch((thrown) => {
        if (thrown instanceof MirrorError && thrown.class === "malformed") held.damagedAt = this.#now();
        else if (this.#held.get(archive) === held) this.#held.delete(archive);
      });
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= MOST_HELD) break;
      this.#held.delete(oldest);
    }
    return held;
  }
}
