import type { ModulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion } from "../../gomod/version.ts";
import { SumdbClient } from "../../sumdb/client.ts";
import { HeadTiles } from "../../sumdb/head-tiles.ts";
import type { Verifier } from "../../sumdb/note.ts";
import { OfflineClient } from "../../sumdb/offline-client.ts";
import { FULL_TILE_SIZE, parseTilePath, type Tile } from "../../sumdb/tile.ts";
import { openTreeHead, type SignedHead } from "../../sumdb/tree-head.ts";
import { asMirrorError, MirrorError } from "../errors.ts";
import type { Ledger, Tree } from "../ports.ts";
import type { SnapshotEntry } from "../snapshot/snapshot-entry.ts";
import { lookupKey, tileKey } from "../tree-keys.ts";
import type { BundleSnapshot } from "./bundle-ports.ts";
import type { GivenFile } from "./import-walk.ts";
import { requirePacked } from "./vulndb-files.ts";

export interface ProofParts {
  readonly tree: Pick<Tree, "get">;
  readonly ledger: Pick<Ledger, "readHead">;
  /** The keys of the databases that this mirror knows. */
  readonly verifiers: readonly Verifier[];
  /** The databases that must have proven a module's versions, the one that must have them first; perhaps none. */
  readonly covering: (path: ModulePath) => readonly string[];
}

/** Reads a file of a finished pack. */
export type ReadGiven = (file: GivenFile) => Promise<Uint8Array>;

/**
 * Proves what a bundle brings of checksum databases, as a go client without network does, before any of it is
 * published: each head is signed and contains ours; each tile is part of it; each lookup's record is in it and says the
 * hashes that the snapshot says; and every version that a database covers is proven by one.
 * @param given all tiles and lookups of the step, in the order of publishing.
 * @throws MirrorError mismatch where a proof fails; misuse where a database's key is not known.
 */
export async function proveGiven(
  parts: ProofParts,
  to: BundleSnapshot,
  given: AsyncIterable<GivenFile>,
  read: ReadGiven,
): Promise<ReadonlyMap<string, SignedHead>> {
  const provers = new Map<string, Prover>();
  const heads = new Map<string, SignedHead>();
  for (const [database, note] of Object.entries(to.header.heads)) {
    const verifier = parts.verifiers.find(({ name }) => name === database);
    if (verifier === undefined)
      throw new MirrorError(
        "misuse",
        "--sumdb",
        `--sumdb: the bundle has proofs of ${database}, whose key is not known here; give it with --sumdb`,
      );
    const head = openHead(verifier, note);
    heads.set(database, head);
    provers.set(database, new Prover(parts, verifier, head, read));
  }
  let proven = false;
  const begin = async () => {
    for (const prover of provers.values()) await prover.proveTiles();
    proven = true;
  };
  for await (const one of given) {
    const { expected, file } = one;
    if (expected.kind === "tile") {
      provers.get(expected.database)?.addTile(one);
      continue;
    }
    if (!proven) await begin();
    if (expected.kind === "mod") requireProof(parts, expected.entry);
    if (expected.kind === "vulndb" && expected.form === "packed")
      await requirePacked(expected, await read(one));
    if (expected.kind !== "lookup") continue;
    const prover = provers.get(expected.database);
    if (prover === undefined)
      throw new MirrorError(
        "mismatch",
        file.path,
        `${file.path}: of a database that the snapshot has no head of`,
      );
    await prover.proveLookup(expected.entry, one);
  }
  if (!proven) await begin();
  return heads;
}

function openHead(verifier: Verifier, note: string): SignedHead {
  try {
    return openTreeHead(Buffer.from(note), verifier);
  } catch (thrown) {
    throw refused(thrown, verifier.name);
  }
}

function requireProof({ covering }: ProofParts, entry: SnapshotEntry): void {
  const [first] = covering(entry.path);
  if (first === undefined || entry.sumdb?.[first] !== undefined) return;
  const subject = formatModuleVersion(entry);
  const message = `${subject}: not proven by ${first}, which covers it here; where it is meant to come in unproven, name it with --no-sumdb`;
  throw new MirrorError("mismatch", subject, message);
}

/** Proves one database's part of a bundle. */
class Prover {
  readonly #parts: ProofParts;
  readonly #verifier: Verifier;
  readonly #head: SignedHead;
  readonly #read: ReadGiven;
  /** By tree key; of the public database all are some 300,000. */
  readonly #tiles = new Map<string, GivenFile>();
  readonly #lookups = new Map<string, GivenFile>();
  readonly #client: OfflineClient;

  constructor(parts: ProofParts, verifier: Verifier, head: SignedHead, read: ReadGiven) {
    this.#parts = parts;
    this.#verifier = verifier;
    this.#head = head;
    this.#read = read;
    const tree = {
      read: (tile: Tile) => this.#tile(tile),
      lookup: async (version: ModuleVersion) => {
        const file = this.#lookups.get(lookupKey(verifier.name, version));
        return file && (await this.#read(file));
      },
    };
    this.#client = new OfflineClient({ verifier, tree, latest: head.note });
  }

  addTile(given: GivenFile): void {
    this.#tiles.set(given.file.path, given);
  }

  /** The head contains ours, or ours it, and every tile is part of it. */
  async proveTiles(): Promise<void> {
    const { name } = this.#verifier;
    try {
      await this.#proveLine();
      const read = (tile: Tile) => this.#tile(tile);
      const tiles = new HeadTiles(this.#head, { read });
      const prefix = `sumdb/${name}/`;
      for (const [key, file] of this.#tiles) {
        const tile = parseTilePath(key.slice(prefix.length));
        const { bytes } = (await tiles.read(tile)).tile;
        if (Buffer.compare(bytes, await this.#read(file)) !== 0)
          throw new MirrorError(
            "mismatch",
            key,
            `${key}: is not what the head of ${this.#head.size} records has there`,
          );
      }
    } catch (thrown) {
      throw refused(thrown, name);
    }
  }

  async proveLookup(entry: SnapshotEntry, given: GivenFile): Promise<void> {
    const subject = formatModuleVersion(entry);
    this.#lookups.set(given.file.path, given);
    try {
      const { id, zip, goMod } = await this.#client.lookup(entry);
      const isIts = id === entry.sumdb?.[this.#verifier.name] && goMod === entry.modH1;
      if (!isIts || (entry.zipH1 !== undefined && zip !== entry.zipH1))
        throw new MirrorError(
          "mismatch",
          subject,
          `${subject}: ${this.#verifier.name} says other hashes than its snapshot`,
        );
    } catch (thrown) {
      throw refused(thrown, subject);
    } finally {
      this.#lookups.delete(given.file.path);
    }
  }

  async #proveLine(): Promise<void> {
    const { name } = this.#verifier;
    const ours = await this.#parts.ledger.readHead(name);
    if (ours === undefined) return;
    const absent = async (): Promise<never> => {
      throw new MirrorError(
        "mismatch",
        name,
        `${name}: a tile that leads from our head to the bundle's is missing`,
      );
    };
    const client = new SumdbClient({
      name,
      verifier: this.#verifier,
      head: ours,
      store: { read: (tile) => this.#tile(tile) },
      source: { latest: async () => this.#head.note, lookup: absent, tile: absent },
    });
    await client.advance();
  }

  /** The bundle's, else our own. */
  async #tile(tile: Tile): Promise<Uint8Array | undefined> {
    const key = tileKey(this.#verifier.name, tile);
    const file = this.#tiles.get(key);
    return file === undefined
      ? (await this.#parts.tree.get(key, FULL_TILE_SIZE))?.bytes
      : await this.#read(file);
  }
}

/** Whatever is wrong with a proof, the bundle is: nothing of it is tried again. */
function refused(thrown: unknown, subject: string): MirrorError {
  const error = asMirrorError(thrown, subject);
  if (error.class === "transient" || error.class === "misuse") return error;
  return new MirrorError(
    "mismatch",
    error.subject,
    `${error.message}; nothing of the bundle was taken over`,
    {
      cause: thrown,
      ...(error.evidence === undefined ? {} : { evidence: error.evidence }),
    },
  );
}
