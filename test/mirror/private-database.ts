import { createPublicKey, generateKeyPairSync, hash, type KeyObject } from "node:crypto";
import type { ModuleVersion } from "../../gomod/version.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { SumdbSource } from "../../sumdb/client.ts";
import { formatLookup } from "../../sumdb/lookup.ts";
import { parseSignerKey, parseVerifierKey, type Signer, signNote, type Verifier } from "../../sumdb/note.ts";
import type { Tile } from "../../sumdb/tile.ts";
import {
  type Hash,
  joinSubtrees,
  nodeHash,
  recordHash,
  storedHashIndex,
  subtreeIndexes,
} from "../../sumdb/tlog.ts";
import { formatTree } from "../../sumdb/tree-head.ts";

/** What a checksum database signs and shows: a log that only grows, with a private key of its own. */
export class PrivateDatabase {
  readonly verifier: Verifier;
  readonly #signer: Signer;
  /** By stored hash index (tlog). */
  readonly #hashes: Hash[] = [];
  readonly #records: string[] = [];
  readonly #ids = new Map<string, number>();
  readonly #notes = new Map<number, Uint8Array>();
  /** Lookups carry the head of this size; at first, and where it is too small, the newest. As real ones do: an old one. */
  lookupHead: number | undefined;

  constructor(name = "sum.example.org", keys = newKeys(name)) {
    this.verifier = parseVerifierKey(keys.verifier);
    this.#signer = parseSignerKey(keys.signer);
  }

  get size(): number {
    return this.#records.length;
  }

  /** The two lines of a version, or any other record. */
  add(name: string, text: string): void {
    const id = this.#records.length;
    this.#records.push(text);
    this.#ids.set(name, id);
    this.#hashes[storedHashIndex(0, id)] = recordHash(Buffer.from(text));
    for (let level = 0, n = id; n % 2 === 1; level++, n = Math.floor(n / 2)) {
      const [left, right] = [this.#hash(level, n - 1), this.#hash(level, n)];
      this.#hashes[storedHashIndex(level + 1, (n - 1) / 2)] = nodeHash(left, right);
    }
  }

  /** Records of other people's modules. */
  grow(count: number): void {
    for (let i = 0; i < count; i++) {
      const name = `example.net/other${this.size}@v1.0.0`;
      this.add(name, `${name.replace("@", " ")} of somebody else\n`);
    }
  }

  /** The signed head of the first `size` records. */
  head(size = this.size): Uint8Array {
    const known = this.#notes.get(size);
    if (known !== undefined) return known;
    const root = joinSubtrees(subtreeIndexes(0, size).map((index) => this.#hashes[index] as Hash));
    const note = signNote(formatTree({ size, hash: root }), [this.#signer]);
    this.#notes.set(size, note);
    return note;
  }

  tile({ level, index, width }: Tile): Uint8Array {
    const hashes: Hash[] = [];
    for (let i = 0; i < width; i++) hashes.push(this.#hash(8 * level, 256 * index + i));
    return Buffer.concat(hashes);
  }

  lookup({ path, version }: ModuleVersion): Uint8Array {
    const name = `${path}@${version}`;
    const id = this.#ids.get(name);
    if (id === undefined) throw new MirrorError("absent", name, `${name}: not found (404)`);
    const size = this.lookupHead !== undefined && this.lookupHead > id ? this.lookupHead : this.size;
    return formatLookup(id, this.#records[id] as string, this.head(size));
  }

  source(): SumdbSource {
    return {
      latest: async () => this.head(),
      lookup: async (version) => this.lookup(version),
      tile: async (tile) => this.tile(tile),
    };
  }

  #hash(level: number, n: number): Hash {
    const found = this.#hashes[storedHashIndex(level, n)];
    if (found === undefined) throw new MirrorError("absent", "tile", `no hash ${n} on level ${level} (404)`);
    return found;
  }
}

/** A pair as note.GenerateKey prints it. */
export function newKeys(name: string): { signer: string; verifier: string } {
  const { privateKey } = generateKeyPairSync("ed25519");
  const jwk = (key: KeyObject, field: "d" | "x") =>
    Buffer.concat([Buffer.of(1), Buffer.from(key.export({ format: "jwk" })[field] ?? "", "base64url")]);
  const publicBytes = jwk(createPublicKey(privateKey), "x");
  const digest = hash("sha256", Buffer.concat([Buffer.from(`${name}\n`), publicBytes]), "hex").slice(0, 8);
  return {
    signer: `PRIVATE+KEY+${name}+${digest}+${jwk(privateKey, "d").toString("base64")}`,
    verifier: `${name}+${digest}+${publicBytes.toString("base64")}`,
  };
}
