import { misuse } from "../../mirror/errors.ts";
import { isSameEndpoint, redactUrl } from "./upstream-url.ts";

const REMEDY = "name one with --upstream URL, or set it with `go env -w GOPROXY=URL`";

/**
 * The upstream when the user names none: the first http(s) URL in what `go env GOPROXY` prints. Entries are split at
 * `,` and `|`, and a bare `host/path` gets https:// (cmd/go, modfetch.proxyList); `direct`, `off` and file:// URLs
 * are passed over.
 * @param mirrorAddress the mirror that is to be filled, as URL, host:port or folder.
 * @returns the URL with its user-info: a secret, for openUpstream only.
 * @throws MirrorError misuse when there is none, or when it is this mirror itself.
 */
export function defaultUpstream(goEnvGoproxy: string, mirrorAddress?: string): string {
  const url = goproxyUrls(goEnvGoproxy)[0];
  if (url === undefined) {
    throw misuse(
      "--upstream",
      `--upstream: GOPROXY of \`go env\` names no http(s) URL to fetch from; ${REMEDY}`,
    );
  }
  if (!URL.canParse(url)) {
    throw misuse("--upstream", `--upstream: an entry of GOPROXY in \`go env\` is no URL; ${REMEDY}`);
  }
  refuseSelf(url, mirrorAddress);
  return url;
}

/**
 * Refuses an upstream that is the mirror itself: it would ask itself for what it lacks.
 * @throws MirrorError misuse
 */
export function refuseSelf(url: string, mirrorAddress: string | undefined): void {
  if (mirrorAddress === undefined || !isSameEndpoint(url, mirrorAddress)) return;
  throw misuse(
    "--upstream",
    `--upstream: ${redactUrl(url)} is this mirror itself; ${REMEDY.replace("one", "another")}`,
  );
}

/** The http(s) entries of a GOPROXY list, in order, with https:// put before bare hosts. */
function goproxyUrls(list: string): string[] {
  return list
    .split(/[,|]/)
    .map((entry) => entry.trim())
    .filter((entry) => /[.:/]/.test(entry) && !entry.startsWith("/"))
    .map((entry) => (entry.includes(":/") ? entry : `https://${entry}`))
    .filter((entry) => /^https?:\/\//i.test(entry));
}
