import { cacheControlOf, contentTypeOf } from "../../mirror/served-headers.ts";
import { parseTreeKey, type TreeKey } from "../../mirror/tree-keys.ts";
import { parseVulndbKey, vulndbHeaders } from "../../mirror/vulndb-keys.ts";

/** Of what is no key of a tree, which no TreeKey is: nothing is said of it. */
const UNKNOWN = { contentType: "application/octet-stream", cacheControl: "no-store" };

/** Content-Type and Cache-Control of an object, so that a plain bucket or a presigned link serves it as the endpoint does. */
export function objectHeaders(key: TreeKey): { readonly contentType: string; readonly cacheControl: string } {
  const vulndb = parseVulndbKey(key);
  if (vulndb !== undefined) return vulndbHeaders(vulndb);
  const entry = parseTreeKey(key);
  if (entry === undefined) return UNKNOWN;
  return { contentType: contentTypeOf(entry), cacheControl: cacheControlOf(entry) };
}
