import type { ModulePath } from "../../gomod/module-path.ts";
import { misuse } from "../../mirror/errors.ts";
import type { Upstream } from "../../mirror/ports.ts";
import { FolderUpstream } from "./folder-upstream.ts";
import { GoProxyUpstream } from "./goproxy.ts";
import type { RequestCounts } from "./request-kind.ts";
import type { UpstreamOptions } from "./upstream-requests.ts";
import { redactUrl } from "./upstream-url.ts";

/** An upstream with what its opener needs beside the port. */
export interface OpenedUpstream extends Upstream {
  /** The `.info` that answers a branch, tag or hash (gomod/version.ts, escapeRevision). @throws as Upstream.info. */
  revision(path: ModulePath, revision: string): Promise<Uint8Array>;
  /** What says that a checksum database may be asked here, as a client asks it first. @throws as Upstream.list. */
  supported(database: string): Promise<Uint8Array>;
  /** Requests sent so far, by kind. */
  counts(): RequestCounts;
  /** Waits for what runs and closes the connections; calling it again does nothing. */
  close(): Promise<void>;
}

/**
 * Opens a GOPROXY: http(s) with path prefix and user-info, or file:// with a folder. Nothing is asked of it yet.
 * @throws MirrorError misuse when `url` is none of these.
 */
export function openUpstream(url: string, options: UpstreamOptions = {}): OpenedUpstream {
  if (!URL.canParse(url)) {
    throw misuse("--upstream", "--upstream: not a URL; give an http://, https:// or file:// URL");
  }
  const { protocol } = new URL(url);
  if (protocol === "file:") return new FolderUpstream(url, options);
  if (protocol === "http:" || protocol === "https:") return new GoProxyUpstream(url, options);
  throw misuse(
    "--upstream",
    `--upstream: ${redactUrl(url)} is no upstream; give an http://, https:// or file:// URL`,
  );
}
