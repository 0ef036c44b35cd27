import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { h1OfGoMod } from "../../gomod/dirhash.ts";
import { parseInfo } from "../../gomod/info.ts";
import { parseVersionList } from "../../gomod/list-file.ts";
import { formatModuleVersion, type ModuleVersion, moduleVersion } from "../../gomod/version.ts";
import { hashZip } from "../../gomod/zip-check.ts";
import { bytesSource } from "../../gomod/zip-source.ts";
import type { Body, Sha256 } from "../../mirror/body.ts";
import type { Ledger } from "../../mirror/ports.ts";
import type { VersionRecord } from "../../mirror/records.ts";
import { answer } from "../../mirror/serve.ts";
import {
  infoKey,
  lookupKey,
  modKey,
  parseTreeKey,
  type TreeEntry,
  type TreeKey,
  tileKey,
  zipKey,
} from "../../mirror/tree-keys.ts";
import { parseLookup } from "../../sumdb/lookup.ts";
import { OfflineClient, type OfflineTree } from "../../sumdb/offline-client.ts";
import type { Tile } from "../../sumdb/tile.ts";
import { TileCache } from "../../sumdb/tile-cache.ts";
import { TileHashReader } from "../../sumdb/tile-hash-reader.ts";
import { openTreeHead } from "../../sumdb/tree-head.ts";
import { closureByHand, type MadeUpstream } from "./made-upstream.ts";

const LIMIT = 1 << 24;
type Lookup = Extract<TreeEntry, { kind: "lookup" }>;

/**
 * A tree that is read after each write as clients might read it: what they must never see goes into `broken`. What is
 * right is known from how the modules were made (`closureByHand`, their hashes), and from an offline go client.
 */
export class WatchingReader extends MemoryTree {
  readonly broken: string[] = [];
  readonly #upstream: MadeUpstream;
  /** Every head that a client may have seen, by size. */
  readonly #heads = new Map<number, Uint8Array>();
  #newest = 0;
  readonly #lookups: Lookup[] = [];

  constructor(upstream: MadeUpstream) {
    super();
    this.#upstream = upstream;
  }

  override async create(key: TreeKey, body: Body, sha256: Sha256): Promise<"created" | "exists"> {
    const before = await super.get(key, LIMIT);
    const result = await super.create(key, body, sha256);
    const after = await super.get(key, LIMIT);
    if (before !== undefined && before.etag !== after?.etag) this.broken.push(`2: ${key} has changed`);
    if (result === "created") await this.#look(key);
    return result;
  }

  override async replace(
    key: TreeKey,
    bytes: Uint8Array,
    previous: string | undefined,
  ): Promise<"replaced" | "changed"> {
    const result = await super.replace(key, bytes, previous);
    if (result === "changed") return result;
    const kind = parseTreeKey(key)?.kind;
    if (kind !== "list" && kind !== "latest" && kind !== "treeHead")
      this.broken.push(`2: ${key} was replaced`);
    await this.#look(key);
    return result;
  }

  /** What a version's record promises is never answered with a 404 unless upstream said so (invariant 6). */
  async lookAtRecord(ledger: Ledger, name: string): Promise<void> {
    const made = this.#upstream.made.get(name);
    const [record] = made === undefined ? [] : await ledger.read([made.version]);
    if (record === undefined) return;
    await this.#lookAtHeld(record);
    if (record.state === "GONE" || record.state === "WITHHELD") return;
    for (const key of record.wanted === "whole" ? [modKey, infoKey, zipKey] : [modKey]) {
      const reply = await answer({ tree: this, ledger, now: Date.now }, key(record), LIMIT);
      if (reply.kind === "text" && reply.status === 404)
        this.broken.push(`6: ${key(record)} answered 404: ${reply.text}`);
    }
  }

  /** A record says no more than is there, and never that there is nothing to do while there is. */
  async #lookAtHeld(record: VersionRecord): Promise<void> {
    const name = formatModuleVersion(record);
    const keys =
      record.held === "nothing" ? [] : record.held === "mod" ? [modKey] : [modKey, zipKey, infoKey];
    for (const key of keys)
      if ((await this.get(key(record), LIMIT)) === undefined)
        this.broken.push(`8: the record holds ${record.held} of ${name}, but ${key(record)} is not there`);
    const idle = record.state === "READY" || record.state === "CONFLICT";
    if (idle === (record.due !== undefined))
      this.broken.push(`${name} is ${record.state}, due ${record.due}`);
    if (record.state === "READY" && record.held !== "whole" && record.held !== record.wanted)
      this.broken.push(`${name} is READY with ${record.held} of ${record.wanted}`);
    if (record.listed && record.held !== "whole") this.broken.push(`${name} is listed with ${record.held}`);
  }

  async #look(key: TreeKey): Promise<void> {
    const entry = parseTreeKey(key);
    if (entry === undefined) {
      this.broken.push(`7: ${key} is no key of a tree`);
      return;
    }
    try {
      await this.#lookAt(entry);
    } catch (thrown) {
      this.broken.push(`${key}: ${String(thrown)}`);
    }
  }

  async #lookAt(entry: TreeEntry): Promise<void> {
    const bytes = (await this.get(entry.key, LIMIT))?.bytes ?? new Uint8Array();
    switch (entry.kind) {
      case "mod":
        return this.#same("1", entry, h1OfGoMod(bytes), this.#madeOf(entry.version).modH1);
      case "zip":
        return this.#same("1", entry, await hashZip(bytesSource(bytes)), this.#madeOf(entry.version).zipH1);
      case "info":
        // Tools take an .info for a promise of the other two.
        for (const file of [modKey, zipKey])
          if ((await this.get(file(entry.version), LIMIT)) === undefined)
            this.broken.push(`3: ${entry.key} before ${file(entry.version)}`);
        return;
      case "list":
        for (const version of parseVersionList(bytes).versions)
          await this.#usable(entry.key, `${entry.path}@${version}`);
        return;
      case "latest":
        return await this.#usable(entry.key, `${entry.path}@${parseInfo(bytes).version}`);
      case "treeHead": {
        const { size } = openTreeHead(bytes, this.#upstream.database.verifier);
        if (size < this.#newest) this.broken.push(`9: the tree head went back to ${size}`);
        this.#newest = size;
        return await this.#sawHead(size, bytes);
      }
      case "lookup": {
        this.#lookups.push(entry);
        const note = parseLookup(bytes).treeNote;
        await this.#sawHead(openTreeHead(note, this.#upstream.database.verifier).size, note);
        for (const head of [undefined, ...this.#heads.values()]) await this.#provable(head, [entry]);
      }
    }
  }

  /** A client may have it from now on. */
  async #sawHead(size: number, note: Uint8Array): Promise<void> {
    if (this.#heads.has(size)) return;
    this.#heads.set(size, note.slice());
    const head = openTreeHead(note, this.#upstream.database.verifier);
    // Its own hash can be computed from the tree's tiles, before any lookup needs it.
    await new TileHashReader(head, new TileCache(this.#published(), undefined)).read([]).catch((thrown) => {
      this.broken.push(`9: head ${size} before its tiles: ${String(thrown)}`);
    });
    await this.#provable(note, this.#lookups);
  }

  /** Everything once more, when work has ended. */
  async lookAtAll(): Promise<void> {
    for (const head of [undefined, ...this.#heads.values()]) await this.#provable(head, this.#lookups);
  }

  #madeOf(version: ModuleVersion) {
    const made = this.#upstream.made.get(formatModuleVersion(version));
    if (made === undefined) throw new Error("was never made");
    return made;
  }

  #same(invariant: string, entry: TreeEntry, actual: string, expected: string): void {
    if (actual !== expected) this.broken.push(`${invariant}: ${entry.key} is ${actual}, not ${expected}`);
  }

  /** Whole, with its closure and the lookups for it. */
  async #usable(namedBy: string, name: string): Promise<void> {
    const database = this.#upstream.database.verifier.name;
    for (const [needed, extent] of closureByHand(this.#upstream.made, name)) {
      const [path = "", version = ""] = needed.split("@");
      const mv = moduleVersion(path, version);
      const keys = extent === "whole" ? [infoKey(mv), modKey(mv), zipKey(mv)] : [modKey(mv)];
      for (const key of [...keys, lookupKey(database, mv)])
        if ((await this.get(key, LIMIT)) === undefined)
          this.broken.push(`3: ${namedBy} names ${name}, but ${key} is not there`);
    }
  }

  /** The lookups are proven for a client that has seen no head, or this one. */
  async #provable(head: Uint8Array | undefined, lookups: readonly Lookup[]): Promise<void> {
    const { verifier } = this.#upstream.database;
    const tree = this.#published();
    const client = new OfflineClient({ verifier, tree, ...(head === undefined ? {} : { latest: head }) });
    for (const { version, key } of lookups) {
      await client.lookup(version).catch((thrown: unknown) => {
        const seen = head === undefined ? "none" : openTreeHead(head, verifier).size;
        this.broken.push(`9: ${key} for a client that has seen head ${seen}: ${String(thrown)}`);
      });
    }
  }

  /** The checksum database's part, as clients read it. */
  #published(): OfflineTree {
    const { name } = this.#upstream.database.verifier;
    return {
      read: async (tile: Tile) => (await this.get(tileKey(name, tile), LIMIT))?.bytes,
      lookup: async (version: ModuleVersion) => (await this.get(lookupKey(name, version), LIMIT))?.bytes,
    };
  }
}
