import { type Body, isSpool, SPOOL_LIMIT, sha256Of, sizeOf } from "./body.ts";
import { MirrorError, misuse } from "./errors.ts";
import { inParallel } from "./in-parallel.ts";
import { sha256OfObject } from "./object-sha256.ts";
import type { StoredObject, Tree } from "./ports.ts";
import { LARGEST_LIST } from "./publish.ts";
import { parseTreeKey, type TreeEntry, type TreeKey } from "./tree-keys.ts";
import { INDEX_FILES, parseVulndbKey, VULNDB_FOLDER } from "./vulndb-keys.ts";

/** Files copied at a time: most of a small file's time is the target's fsync. */
const FILES_AT_ONCE = 32;

export interface PullOptions {
  /** Whether files of the target that the source does not have are removed; what is no file of a GOPROXY stays. */
  readonly delete: boolean;
  /** Whether contents are compared where sizes agree. */
  readonly checksum: boolean;
  /** Keeps the content of a large file until it is stored. */
  readonly spool: (chunks: AsyncIterable<Uint8Array>, limit: number, subject: string) => Promise<Body>;
}

/** What a pull did, in files. */
export interface Pulled {
  readonly same: number;
  readonly copied: number;
  /** They were there with another content. */
  readonly replaced: number;
  readonly removed: number;
  /** Of all that was copied or replaced. */
  readonly bytes: number;
}

/** What changes in a tree, with its content as it was when the pull began. */
interface Mutable {
  readonly entry: TreeEntry;
  readonly bytes: Uint8Array;
}

/**
 * Makes `target` what `source` was when it began, copying only what differs. At each moment the target keeps a tree's
 * promises: what its lists name is there, and a lookup's tiles are there before it. So lists and heads are read first and
 * written last, while what else a writer publishes into the source meanwhile may come along. Dying anywhere leaves
 * such a tree, and the next pull goes on from there.
 * @throws MirrorError misuse where the source is empty; the first failure else, with the target as above.
 */
export async function pullTree(source: Tree, target: Tree, options: PullOptions): Promise<Pulled> {
  const { mutable, infos, lookups, supported, vulndb, any } = await surveyed(source);
  if (!any)
    throw misuse("--mirror", "--mirror: its tree is empty, or its disk is not there; nothing was pulled");
  const copy = new Copy(source, target, options);
  await copy.all(filesBeforeInfo(source));
  await copy.all(infos);
  await copy.all(lookups);
  // `@latest` names what a list names.
  for (const kind of ["treeHead", "list", "latest"] as const)
    await inParallel(
      mutable.filter(({ entry }) => entry.kind === kind),
      FILES_AT_ONCE,
      ({ entry, bytes }) => copy.settle(entry.key, bytes),
    );
  await copy.all(supported);
  // Entries before the index that names them, whose part `db` a reader begins with.
  for (const { key, bytes } of vulndb) await copy.settle(key, bytes);
  if (options.delete) await removeSurplus(source, target, copy);
  return copy.pulled;
}

/** What is to be written last, in the order in which it is named here, as it is now; and whether there is anything. */
interface Survey {
  readonly infos: TreeKey[];
  readonly lookups: TreeKey[];
  readonly mutable: Mutable[];
  readonly supported: TreeKey[];
  /** Of the vulnerability database, all of which may change. */
  readonly vulndb: { readonly key: TreeKey; readonly bytes: Uint8Array }[];
  any: boolean;
}

async function surveyed(source: Tree): Promise<Survey> {
  const survey: Survey = { infos: [], lookups: [], mutable: [], supported: [], vulndb: [], any: false };
  for await (const { key } of source.keys()) {
    const advisory = parseVulndbKey(key);
    if (advisory !== undefined) {
      const found = await source.get(advisory, LARGEST_LIST);
      if (found !== undefined) survey.vulndb.push({ key: advisory, bytes: found.bytes });
      continue;
    }
    const entry = parseTreeKey(key);
    if (entry === undefined) continue;
    survey.any = true;
    if (entry.kind === "info") survey.infos.push(entry.key);
    else if (entry.kind === "lookup") survey.lookups.push(entry.key);
    else if (entry.kind === "supported") survey.supported.push(entry.key);
    else if (isMutable(entry)) {
      const found = await source.get(entry.key, LARGEST_LIST);
      if (found !== undefined) survey.mutable.push({ entry, bytes: found.bytes });
    }
  }
  survey.vulndb.sort((a, b) => vulndbTurn(a.key) - vulndbTurn(b.key));
  return survey;
}

function vulndbTurn(key: TreeKey): number {
  return INDEX_FILES.findIndex((file) => key.startsWith(`${VULNDB_FOLDER}${file}.`));
}

const isMutable = ({ kind }: TreeEntry): boolean =>
  kind === "list" || kind === "latest" || kind === "treeHead";

/** All that an `.info`, a lookup or a head promises: it was there before them, so it is there by now. */
async function* filesBeforeInfo(source: Tree): AsyncIterable<TreeKey> {
  for await (const { key } of source.keys()) {
    const entry = parseTreeKey(key);
    if (entry?.kind === "tile" || entry?.kind === "mod" || entry?.kind === "zip") yield entry.key;
  }
}

/** In the reverse of the order of publishing: what a list still names is never removed before the list is right. */
async function removeSurplus(source: Tree, target: Tree, copy: Copy): Promise<void> {
  const named: TreeKey[] = [];
  const files: TreeKey[] = [];
  const tiles: TreeKey[] = [];
  for await (const { key } of target.keys()) {
    const entry = parseTreeKey(key);
    if (entry === undefined || (await isThere(source, entry.key))) continue;
    if (entry.kind === "supported" || isMutable(entry)) named.push(entry.key);
    else (entry.kind === "tile" ? tiles : files).push(entry.key);
  }
  for (const keys of [named, files, tiles]) await inParallel(keys, FILES_AT_ONCE, (key) => copy.remove(key));
}

async function isThere(tree: Tree, key: TreeKey): Promise<boolean> {
  const found = await tree.open(key);
  await found?.close();
  return found !== undefined;
}

class Copy {
  readonly #source: Tree;
  readonly #target: Tree;
  readonly #options: PullOptions;
  #pulled: Pulled = { same: 0, copied: 0, replaced: 0, removed: 0, bytes: 0 };

  constructor(source: Tree, target: Tree, options: PullOptions) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
  }

  get pulled(): Pulled {
    return this.#pulled;
  }

  all(keys: Iterable<TreeKey> | AsyncIterable<TreeKey>): Promise<void> {
    return inParallel(keys, FILES_AT_ONCE, (key) => this.#one(key));
  }

  /** Has a small object hold these bytes. */
  async settle(key: TreeKey, bytes: Uint8Array): Promise<void> {
    const there = await this.#target.get(key, LARGEST_LIST);
    if (there !== undefined && Buffer.from(there.bytes).equals(bytes)) return this.#count("same");
    if ((await this.#target.replace(key, bytes, there?.etag)) === "changed") throw changed(key);
    this.#count(there === undefined ? "copied" : "replaced", bytes.byteLength);
  }

  async remove(key: TreeKey): Promise<void> {
    const found = await this.#target.open(key);
    await found?.close();
    if (found === undefined) return;
    if ((await this.#target.remove(key, found.etag)) === "changed") throw changed(key);
    this.#count("removed");
  }

  async #one(key: TreeKey): Promise<void> {
    const from = await this.#source.open(key);
    // A writer may take out what it has listed; then no list that we read names it.
    if (from === undefined) return;
    try {
      const to = await this.#target.open(key);
      try {
        if (to !== undefined && (await this.#isSame(from, to))) return this.#count("same");
        const body = await this.#content(from, key);
        try {
          if (to === undefined)
            await this.#target.create(key, body, isSpool(body) ? body.sha256 : sha256Of(body));
          // In one step: what a list names is never missing, wherever this dies.
          else if ((await this.#target.replace(key, body, to.etag)) === "changed") throw changed(key);
          this.#count(to === undefined ? "copied" : "replaced", sizeOf(body));
        } finally {
          if (isSpool(body)) await body.dispose();
        }
      } finally {
        await to?.close();
      }
    } finally {
      await from.close();
    }
  }

  async #isSame(from: StoredObject, to: StoredObject): Promise<boolean> {
    if (from.size !== to.size) return false;
    return !this.#options.checksum || (await sha256OfObject(from)) === (await sha256OfObject(to));
  }

  async #content(from: StoredObject, key: TreeKey): Promise<Body> {
    if (from.size > SPOOL_LIMIT) return await this.#options.spool(from.stream(), from.size, key);
    const bytes = await from.read(0, from.size);
    if (bytes.byteLength === from.size) return bytes;
    throw new MirrorError("transient", key, `${key}: was cut while it was read; run it again`);
  }

  #count(what: Exclude<keyof Pulled, "bytes">, bytes = 0): void {
    const pulled = this.#pulled;
    this.#pulled = { ...pulled, [what]: pulled[what] + 1, bytes: pulled.bytes + bytes };
  }
}

function changed(key: TreeKey): MirrorError {
  return new MirrorError(
    "transient",
    key,
    `${key}: someone else is writing there; pull by one process alone`,
  );
}
