import { parseTreeKey, type TreeKey } from "../../mirror/tree-keys.ts";

/** A year, the longest that caches honour (RFC 9111 has no limit; RFC 2616, 14.21, had this one). */
const IMMUTABLE = "public, max-age=31536000, immutable";
/** What changes is asked again after this many seconds (docs/architecture.md, What the endpoint answers: at most 60). */
const MUTABLE = "public, max-age=60";

const text = "text/plain; charset=utf-8";
const json = "application/json";

/**
 * Content-Type and Cache-Control of an object of the tree, so that a plain bucket or a presigned link serves it as
 * the endpoint does. Types as the GOPROXY and checksum database servers send them; go reads neither.
 */
export function objectHeaders(key: TreeKey): { readonly contentType: string; readonly cacheControl: string } {
  switch (parseTreeKey(key)?.kind) {
    case "info":
      return { contentType: json, cacheControl: IMMUTABLE };
    case "mod":
    case "lookup":
      return { contentType: text, cacheControl: IMMUTABLE };
    case "zip":
      return { contentType: "application/zip", cacheControl: IMMUTABLE };
    case "tile":
      return { contentType: "application/octet-stream", cacheControl: IMMUTABLE };
    case "latest":
      return { contentType: json, cacheControl: MUTABLE };
    default:
      return { contentType: text, cacheControl: MUTABLE };
  }
}
