import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { h1OfGoMod } from "../../gomod/dirhash.ts";
import { parseInfo } from "../../gomod/info.ts";
import { parseVersionList } from "../../gomod/list-file.ts";
import { formatModuleVersion, type ModuleVersion, moduleVersion } from "../../gomod/version.ts";
import { hashZip } from "../../gomod/zip-check.ts";
import { bytesSource } from "../../gomod/zip-source.ts";
import { forgetBlocks } from "../../mirror/blocks.ts";
import type { Body, Sha256 } from "../../mirror/body.ts";
import type { Ledger, Vault } from "../../mirror/ports.ts";
import type { VersionRecord } from "../../mirror/records.ts";
import { answer } from "../../mirror/serve.ts";
import {
  infoKey,
  listKey,
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

/** What is taken out by hand while the reader looks. */
export interface TakenOut {
  readonly ledger: Ledger;
  readonly vault: Vault;
  readonly now: () => number;
  /** A block names it: it is not to be served. */
  isBlocked(name: string): boolean;
  /** A block that names it may not have come to its end: it may still be listed and be there. */
  isUnsettled(name: string): boolean;
  /** Somebody may have listed what needs it without knowing of the block: then a list may name what lacks it. */
  mayLack(name: string): boolean;
  /** A block named it at some time of this step. */
  wasBlocked(name: string): boolean;
  /** A policy or a block may have refused its zip; `.info` and `.mod` come all the same. */
  mayBeRefused(name: string): boolean;
}

/** What garbage collection takes out while the reader looks. */
export interface CollectedMeanwhile {
  /** What is wrong with taking out this file now. */
  removed(version: ModuleVersion, file: "info" | "mod" | "zip"): Promise<readonly string[]>;
  /** A list may name this version no more. */
  mayGoOffList(name: string): boolean;
}

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
  /** Set where versions are blocked meanwhile. */
  takenOut: TakenOut | undefined;
  /** Set where versions are collected meanwhile. */
  collected: CollectedMeanwhile | undefined;
  /** What was ever served under a key whose bytes may never change. */
  readonly #served = new Map<TreeKey, string>();

  constructor(upstream: MadeUpstream) {
    super();
    this.#upstream = upstream;
  }

  override async create(key: TreeKey, body: Body, sha256: Sha256): Promise<"created" | "exists"> {
    const before = await super.get(key, LIMIT);
    const result = await super.create(key, body, sha256);
    const after = await super.get(key, LIMIT);
    const served = this.#served.get(key) ?? before?.etag;
    if (served !== undefined && served !== after?.etag) this.broken.push(`2: ${key} has changed`);
    if (after !== undefined) this.#served.set(key, after.etag);
    if (result === "created") await this.#look(key);
    return result;
  }

  override async remove(key: TreeKey, previous: string): Promise<"removed" | "changed"> {
    const before = await super.get(key, LIMIT);
    const result = await super.remove(key, previous);
    if (result === "changed" || before === undefined) return result;
    const entry = parseTreeKey(key);
    if (entry?.kind === "latest") return result;
    if (this.collected !== undefined && (await this.#lookAtCollected(entry, this.collected))) return result;
    if (entry?.kind !== "zip" || this.takenOut === undefined) {
      this.broken.push(`10: ${key} was deleted`);
      return result;
    }
    const { ledger, vault } = this.takenOut;
    const [record] = await ledger.read([entry.version]);
    // Or its record says that there is none: the zip of a worker that died before it noted it.
    const isUnnoted =
      record?.held !== "whole" && this.takenOut.wasBlocked(formatModuleVersion(entry.version));
    if (record?.state !== "BLOCKED" && !isUnnoted)
      this.broken.push(`10: ${key} was deleted; it is ${record?.state}`);
    const kept = await vault.get(`quarantine/${key}`, LIMIT);
    if (kept === undefined || !Buffer.from(before.bytes).equals(kept))
      this.broken.push(`10: ${key} was deleted, and does not lie in quarantine`);
    await this.lookAtLists();
    return result;
  }

  /** @returns whether it was collected, and so is no block's. */
  async #lookAtCollected(entry: TreeEntry | undefined, collected: CollectedMeanwhile): Promise<boolean> {
    if (entry?.kind !== "info" && entry?.kind !== "mod" && entry?.kind !== "zip") return false;
    const [record] = (await this.takenOut?.ledger.read([entry.version])) ?? [];
    if (record?.state === "BLOCKED") return false;
    this.broken.push(...(await collected.removed(entry.version, entry.kind)));
    await this.lookAtLists();
    return true;
  }

  /** Each list and `@latest` once more: what they name may have been taken out since. */
  async lookAtLists(): Promise<void> {
    for await (const { key } of this.keys()) {
      const kind = parseTreeKey(key)?.kind;
      if (kind === "list" || kind === "latest") await this.#look(key as TreeKey);
    }
  }

  override async replace(
    key: TreeKey,
    bytes: Uint8Array,
    previous: string | undefined,
  ): Promise<"replaced" | "changed"> {
    const before = await super.get(key, LIMIT);
    const result = await super.replace(key, bytes, previous);
    if (result === "changed") return result;
    const kind = parseTreeKey(key)?.kind;
    if (kind === "list") this.#lookAtDropped(key, before?.bytes ?? new Uint8Array(), bytes);
    if (kind !== "list" && kind !== "latest" && kind !== "treeHead")
      this.broken.push(`2: ${key} was replaced`);
    await this.#look(key);
    return result;
  }

  /** Only what is blocked, or needs what is blocked, goes off a list. */
  #lookAtDropped(key: TreeKey, before: Uint8Array, after: Uint8Array): void {
    const left = new Set(parseVersionList(after).versions);
    const entry = parseTreeKey(key);
    for (const version of parseVersionList(before).versions) {
      if (left.has(version) || entry?.kind !== "list") continue;
      const closure = closureByHand(this.#upstream.made, `${entry.path}@${version}`);
      const isOut = [...closure].some(([needed]) => this.takenOut?.wasBlocked(needed) === true);
      if (this.collected?.mayGoOffList(`${entry.path}@${version}`) === true) continue;
      if (!isOut) this.broken.push(`10: ${key} names ${version} no more`);
    }
  }

  /** What a version's record promises is never answered with a 404 unless upstream said so (invariant 6). */
  async lookAtRecord(ledger: Ledger, name: string): Promise<void> {
    const made = this.#upstream.made.get(name);
    const [record] = made === undefined ? [] : await ledger.read([made.version]);
    if (record === undefined) return;
    await this.#lookAtHeld(record);
    if (record.state === "GONE" || record.state === "WITHHELD" || record.state === "REMOVED") return;
    if (record.state === "REMOVING" && record.removal?.wanted === undefined) return;
    // As an endpoint that has just read the blocks.
    forgetBlocks(ledger);
    const now = this.takenOut?.now ?? Date.now;
    for (const key of record.wanted === "whole" ? [modKey, infoKey, zipKey] : [modKey]) {
      const reply = await answer({ tree: this, ledger, now }, key(record), LIMIT);
      if (reply.kind === "text" && reply.status === 404)
        this.broken.push(`6: ${key(record)} answered 404: ${reply.text}`);
      if (reply.kind === "object") await reply.object.close();
      if (key === zipKey && reply.kind === "object" && this.takenOut?.isBlocked(name) === true)
        this.broken.push(`1: ${key(record)} is served, although it is blocked`);
    }
    await this.#lookAtKeptOut(record, name);
  }

  /** What is held back, denied or blocked stands in no list. */
  async #lookAtKeptOut({ state, held, path, version }: VersionRecord, name: string): Promise<void> {
    if (held === "whole" || (state !== "HELD" && state !== "DENIED" && state !== "BLOCKED")) return;
    if (this.takenOut?.isUnsettled(name) === true) return;
    const list = await this.get(listKey(path), LIMIT);
    if (list !== undefined && parseVersionList(list.bytes).versions.includes(version))
      this.broken.push(`3: ${path}'s list names ${version}, which is ${state}`);
  }

  /** A record says no more than is there, and never that there is nothing to do while there is. */
  async #lookAtHeld(record: VersionRecord): Promise<void> {
    const name = formatModuleVersion(record);
    const keys =
      record.held === "nothing" ? [] : record.held === "mod" ? [modKey] : [modKey, zipKey, infoKey];
    for (const key of keys)
      if ((await this.get(key(record), LIMIT)) === undefined)
        this.broken.push(`8: the record holds ${record.held} of ${name}, but ${key(record)} is not there`);
    const waits = record.state === "REMOVING" && record.removal?.wanted === undefined;
    const idle = waits || ["READY", "CONFLICT", "REMOVED"].includes(record.state);
    const keptOut = record.state === "DENIED" || record.state === "BLOCKED";
    if (idle ? record.due !== undefined : record.due === undefined && !keptOut)
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
      case "zip": {
        const name = formatModuleVersion(entry.version);
        if (this.takenOut?.isBlocked(name) === true && !this.takenOut.isUnsettled(name))
          this.broken.push(`10: ${entry.key} is stored, although it is blocked`);
        return this.#same("1", entry, await hashZip(bytesSource(bytes)), this.#madeOf(entry.version).zipH1);
      }
      case "info":
        // Tools take an .info for a promise of the other two, but where the zip is refused.
        for (const file of this.#mayBeRefused(entry.version) ? [modKey] : [modKey, zipKey])
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

  #mayBeRefused(version: ModuleVersion): boolean {
    return this.takenOut?.mayBeRefused(formatModuleVersion(version)) === true;
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
      if (this.takenOut?.mayLack(needed) === true) continue;
      const isOut = this.takenOut?.isBlocked(name) === true && !this.takenOut.isUnsettled(name);
      if (needed === name && isOut) this.broken.push(`3: ${namedBy} names ${name}, which is blocked`);
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
