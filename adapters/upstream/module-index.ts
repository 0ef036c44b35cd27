import { FormatError } from "../../gomod/format-error.ts";
import { INDEX_PAGE_ENTRIES, type IndexPage, parseIndexPage } from "../../gomod/index-page.ts";
import type { IndexStamp } from "../../gomod/index-stamp.ts";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import type { ModuleIndex } from "../../mirror/feed.ts";
import { type UpstreamOptions, UpstreamRequests } from "./upstream-requests.ts";
import { parseUpstreamUrl } from "./upstream-url.ts";

/**
 * A module index over http(s): `GET <address>/index?since=…&limit=2000`, as the public one answers it. An answer is
 * bounded as a list is, and a slow, cut or refused one is retried and classed as any upstream's.
 */
export class HttpModuleIndex implements ModuleIndex {
  readonly name: string;
  readonly #requests: UpstreamRequests;

  /** @throws MirrorError misuse when `url` cannot be an index: no http(s) URL, or one with a query. */
  constructor(url: string, options: UpstreamOptions = {}) {
    const address = parseUpstreamUrl(url, "--upstream");
    if (address.query !== "")
      throw misuse("index", `index: ${address.name} has a query, where since and limit belong; leave it out`);
    // The part of the path that every index has may be named, or left out.
    const prefix = address.prefix.replace(/\/index$/, "");
    this.#requests = new UpstreamRequests({ ...address, prefix }, options);
    this.name = address.name;
  }

  async page(since: IndexStamp): Promise<IndexPage> {
    const subject = `index since ${since}`;
    // A stamp holds digits and `-:.TZ` alone: all may stand in a query.
    const path = `index?since=${since}&limit=${INDEX_PAGE_ENTRIES}`;
    // As free in form as a list, which may be empty too.
    const bytes = await this.#requests.bytes({ kind: "list", about: "index", subject, path });
    try {
      return parseIndexPage(bytes);
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause;
      const message = `${subject}: ${this.name}: ${cause.message}; check the index's URL`;
      throw new MirrorError("malformed", subject, message, { cause, evidence: bytes });
    }
  }

  /** Waits for what runs and closes the connections. */
  close(): Promise<void> {
    return this.#requests.close();
  }
}
