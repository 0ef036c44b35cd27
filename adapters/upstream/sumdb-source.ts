import { escapePath } from "../../gomod/module-path.ts";
import { escapeVersion, type ModuleVersion } from "../../gomod/version.ts";
import type { SumdbSource } from "../../sumdb/client.ts";
import { type Tile, tilePath } from "../../sumdb/tile.ts";
import { HASH_SIZE } from "../../sumdb/tlog.ts";
import type { RequestCounts } from "./request-kind.ts";
import { type UpstreamOptions, UpstreamRequests } from "./upstream-requests.ts";
import { parseUpstreamUrl } from "./upstream-url.ts";

/** A checksum database over http(s): through an upstream's `sumdb/<name>/`, or at its own address. */
export class HttpSumdbSource implements SumdbSource {
  readonly #requests: UpstreamRequests;
  readonly #database: string;
  /** Path of the database below the address: empty, or `sumdb/<name>/`. */
  readonly #folder: string;

  constructor(requests: UpstreamRequests, database: string, folder: string) {
    this.#requests = requests;
    this.#database = database;
    this.#folder = folder;
  }

  latest(): Promise<Uint8Array> {
    return this.#get("treeHead", "latest", `${this.#database}/latest`);
  }

  lookup({ path, version }: ModuleVersion): Promise<Uint8Array> {
    const escaped = `lookup/${escapePath(path)}@${escapeVersion(version)}`;
    // As cmd/go writes it (web.Join): a literal `!` at a host's root, `%21` below a path.
    const asSent = this.#requests.atRoot ? escaped : escaped.replaceAll("!", "%21");
    return this.#get("lookup", asSent, `${this.#database}/lookup/${path}@${version}`);
  }

  tile(tile: Tile): Promise<Uint8Array> {
    const path = tilePath(tile);
    return this.#get("tile", path, `${this.#database}/${path}`, tile.width * HASH_SIZE);
  }

  #get(
    kind: "treeHead" | "lookup" | "tile",
    path: string,
    subject: string,
    size?: number,
  ): Promise<Uint8Array> {
    const wanted = { kind, about: this.#database, subject, path: this.#folder + path };
    return this.#requests.bytes(size === undefined ? wanted : { ...wanted, size });
  }
}

/** A checksum database at its own address, such as the URL in `--sumdb "VKEY URL"`. */
export interface OpenedSumdb extends SumdbSource {
  readonly name: string;
  counts(): RequestCounts;
  close(): Promise<void>;
}

/**
 * Opens a checksum database at its own http(s) address.
 * @param database its name, for messages.
 * @throws MirrorError misuse when `url` is no http(s) URL.
 */
export function openSumdb(url: string, database: string, options: UpstreamOptions = {}): OpenedSumdb {
  const requests = new UpstreamRequests(parseUpstreamUrl(url, "--sumdb"), options);
  requests.probeDatabase = "latest";
  const source = new HttpSumdbSource(requests, database, "");
  return {
    name: requests.name,
    latest: () => source.latest(),
    lookup: (version) => source.lookup(version),
    tile: (tile) => source.tile(tile),
    counts: () => requests.counts(),
    close: () => requests.close(),
  };
}
