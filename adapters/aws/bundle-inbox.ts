import { ListObjectsV2Command, type S3Client } from "@aws-sdk/client-s3";
import { sha256Of } from "../../mirror/body.ts";
import { BUNDLE_JSON, BUNDLE_NOTE } from "../../mirror/bundle/bundle-json.ts";
import { ANSWERS } from "../../mirror/bundle/inbox-answers.ts";
import type { Arrival, BundleInbox } from "../../mirror/bundle/inbox-ports.ts";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import { isOfSystems } from "../local/oci-layout-files.ts";
import { type ListedObject, PinnedObject } from "./bundle-object.ts";
import { type BundlePrefix, S3BundleSource } from "./bundle-source.ts";
import { translated } from "./errors.ts";
import { S3Bucket } from "./s3-bucket.ts";
import { etagOf } from "./s3-reply.ts";

/** Below it whatever is brought in lies in folders of any name and depth. */
export const INBOX_PREFIX = "inbox/";
/** A volume has four objects; old ones are removed by the bucket's own rule. */
const MOST_OBJECTS = 200_000;
/** A note on a name and a hash, with some signatures. */
const LARGEST_NOTE = 64 * 1024;
const CONTENT_TYPE = "application/octet-stream";
/** A folder of more is no disc's. */
const PACK = /^pack-\d{4,6}\.tar$/;

/** The inbox of a bucket: whoever may write there is not trusted. */
export class S3BundleInbox implements BundleInbox {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #objects: S3Bucket;

  constructor({ client, bucket }: { readonly client: S3Client; readonly bucket: string }) {
    this.#client = client;
    this.#bucket = bucket;
    this.#objects = new S3Bucket(client, bucket);
  }

  /** Folders with the same signed note are one bundle; a folder with a pack or a list and no note is one that waits. */
  async arrivals(): Promise<S3BundleSource[]> {
    const byNote = new Map<string, BundlePrefix[]>();
    for (const folder of await this.#folders()) {
      const isBundle = [...folder.objects.keys()].some(
        (name) => name === BUNDLE_NOTE || name === BUNDLE_JSON || PACK.test(name),
      );
      if (!isBundle) continue;
      const id = (await this.#noteOf(folder)) ?? folder.prefix;
      byNote.set(id, [...(byNote.get(id) ?? []), folder]);
    }
    return [...byNote.values()].map((folders) => new S3BundleSource(this.#client, this.#bucket, folders));
  }

  async answer(arrival: Arrival, name: string, limit: number): Promise<Uint8Array | undefined> {
    return (await this.#objects.get(keyBeside(arrival, name), limit))?.bytes;
  }

  async say(arrival: Arrival, name: string, bytes: Uint8Array): Promise<void> {
    await this.#objects.put(keyBeside(arrival, name), bytes, sha256Of(bytes), { contentType: CONTENT_TYPE });
  }

  async takeBack(arrival: Arrival, name: string): Promise<void> {
    await this.#objects.delete(keyBeside(arrival, name));
  }

  async #noteOf({ objects }: BundlePrefix): Promise<string | undefined> {
    const listed = objects.get(BUNDLE_NOTE);
    if (listed === undefined) return undefined;
    // Of such a one nothing is read: it is refused when it is opened.
    if (listed.size > LARGEST_NOTE) return `large ${listed.key}`;
    try {
      const note = await new PinnedObject(this.#client, this.#bucket, listed).read(0, listed.size);
      return sha256Of(note);
    } catch (thrown) {
      // Exchanged or removed since it was listed: what has come instead wakes us.
      if (thrown instanceof MirrorError && thrown.class === "mismatch") return `exchanged ${listed.key}`;
      throw thrown;
    }
  }

  /** By prefix, sorted as S3 lists them. */
  async #folders(): Promise<BundlePrefix[]> {
    const folders = new Map<string, Map<string, ListedObject>>();
    let count = 0;
    for await (const listed of this.#list()) {
      if (++count > MOST_OBJECTS) {
        const message = `bucket ${this.#bucket}: more than ${MOST_OBJECTS} objects below ${INBOX_PREFIX}; remove those of old bundles`;
        throw misuse(this.#bucket, message);
      }
      const slash = listed.key.lastIndexOf("/");
      const [prefix, name] = [listed.key.slice(0, slash + 1), listed.key.slice(slash + 1)];
      // An object of no name is a console's folder; hidden ones are made by whoever has mounted the disc.
      if (name === "" || name.startsWith(".") || isOfSystems(name) || ANSWERS.has(name)) continue;
      const objects = folders.get(prefix) ?? new Map<string, ListedObject>();
      folders.set(prefix, objects.set(name, listed));
    }
    return [...folders].map(([prefix, objects]) => ({ prefix, objects }));
  }

  async *#list(): AsyncGenerator<ListedObject> {
    let token: string | undefined;
    do {
      const page = await translated(`bucket ${this.#bucket}`, INBOX_PREFIX, () =>
        this.#client.send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: INBOX_PREFIX,
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        ),
      );
      for (const { Key, Size, ETag } of page.Contents ?? [])
        if (Key !== undefined) yield { key: Key, size: Size ?? 0, etag: etagOf({ ETag }) };
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }
}

function keyBeside(arrival: Arrival, name: string): string {
  return `${(arrival.source as S3BundleSource).prefix}${name}`;
}
