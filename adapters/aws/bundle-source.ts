import type { S3Client } from "@aws-sdk/client-s3";
import { type Sha256, sha256Of } from "../../mirror/body.ts";
import { BUNDLE_JSON, BUNDLE_NOTE, BUNDLE_README } from "../../mirror/bundle/bundle-json.ts";
import type { BundleSource } from "../../mirror/bundle/bundle-ports.ts";
import type { Arrival } from "../../mirror/bundle/inbox-ports.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { sha256OfObject } from "../../mirror/object-sha256.ts";
import type { StoredObject } from "../../mirror/ports.ts";
import { type ListedObject, PinnedObject } from "./bundle-object.ts";

/** What each volume of a bundle has. */
export const IN_EACH: readonly string[] = [BUNDLE_JSON, BUNDLE_NOTE, BUNDLE_README];

/** A folder of a bucket: a bundle, or a volume of one. */
export interface BundlePrefix {
  /** Ends in `/`. */
  readonly prefix: string;
  /** By their names below it. */
  readonly objects: ReadonlyMap<string, ListedObject>;
}

/** A bundle in a bucket, perhaps in volumes: every read is of the objects that were listed, and of no others. */
export class S3BundleSource implements BundleSource, Arrival {
  readonly name: string;
  readonly objects: Sha256;
  readonly lacks: readonly string[];
  readonly others: readonly string[];
  readonly source = this;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefixes: readonly BundlePrefix[];

  /** @param prefixes those with the same signed note, in their order. */
  constructor(client: S3Client, bucket: string, prefixes: readonly BundlePrefix[]) {
    this.#client = client;
    this.#bucket = bucket;
    this.#prefixes = prefixes;
    this.name = (prefixes[0]?.prefix ?? "").replace(/\/$/, "");
    this.objects = digestOf(prefixes);
    this.lacks = IN_EACH.filter((name) => prefixes.every(({ objects }) => !objects.has(name)));
    this.others = prefixes.flatMap(({ objects }) =>
      [...objects].flatMap(([name, { key }]) => (IN_EACH.includes(name) ? [] : [key])),
    );
  }

  /** Where what is said of it goes. */
  get prefix(): string {
    return this.#prefixes[0]?.prefix ?? "";
  }

  async open(name: string): Promise<PinnedObject | undefined> {
    const found = this.#find(name);
    return found && new PinnedObject(this.#client, this.#bucket, found);
  }

  async *copies(name: string): AsyncGenerator<StoredObject> {
    for (const { objects } of this.#prefixes) {
      const found = objects.get(name);
      if (found !== undefined) yield new PinnedObject(this.#client, this.#bucket, found);
    }
  }

  sizeOf(name: string): number | undefined {
    return this.#find(name)?.size;
  }

  async checkCopies(): Promise<void> {
    let first: { readonly listed: ListedObject; sha256?: Sha256 } | undefined;
    for (const { objects } of this.#prefixes) {
      const listed = objects.get(BUNDLE_JSON);
      if (listed === undefined) continue;
      first ??= { listed };
      if (listed.size === first.listed.size && listed.etag === first.listed.etag) continue;
      first.sha256 ??= await this.#sha256Of(first.listed);
      if ((await this.#sha256Of(listed)) === first.sha256) continue;
      const message = `${listed.key}: is another list than that of the volumes beside it; bring this volume again`;
      throw new MirrorError("mismatch", listed.key, message);
    }
  }

  #find(name: string): ListedObject | undefined {
    for (const { objects } of this.#prefixes) {
      const found = objects.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #sha256Of(listed: ListedObject): Promise<Sha256> {
    return await sha256OfObject(new PinnedObject(this.#client, this.#bucket, listed));
  }
}

function digestOf(prefixes: readonly BundlePrefix[]): Sha256 {
  const lines = prefixes.flatMap(({ objects }) =>
    [...objects.values()].map(({ key, size, etag }) => JSON.stringify([key, size, etag])),
  );
  return sha256Of(Buffer.from(lines.sort().join("\n")));
}
