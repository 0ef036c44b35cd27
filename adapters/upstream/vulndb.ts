import type { VulndbSource } from "../../mirror/vulndb.ts";
import type { VulndbFile } from "../../mirror/vulndb-keys.ts";
import { type UpstreamOptions, UpstreamRequests } from "./upstream-requests.ts";
import { parseUpstreamUrl } from "./upstream-url.ts";

/**
 * A Go vulnerability database over http(s), as GOVULNDB names one: `<address>/index/db.json`, `<address>/ID/<id>.json`.
 * Its files are bounded as lists are, and slow, cut or refused ones are retried and classed as any upstream's.
 */
export class HttpVulndb implements VulndbSource {
  readonly name: string;
  readonly #requests: UpstreamRequests;

  /** @throws MirrorError misuse when `url` is no http(s) URL. */
  constructor(url: string, options: UpstreamOptions = {}) {
    this.#requests = new UpstreamRequests(parseUpstreamUrl(url, "--vulndb"), options);
    this.name = this.#requests.name;
  }

  async read(file: VulndbFile): Promise<Uint8Array> {
    const path = `${file}.json`;
    return await this.#requests.bytes({ kind: "list", about: "vulndb", subject: path, path });
  }

  /** Waits for what runs and closes the connections. */
  close(): Promise<void> {
    return this.#requests.close();
  }
}
