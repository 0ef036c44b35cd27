import { existsSync, realpathSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { resolve } from "node:path";
import { defaultUpstream, refuseSelf } from "../adapters/upstream/default-upstream.ts";
import { misuse } from "../mirror/errors.ts";
import type { CliEnvironment } from "./environment.ts";
import { IDENTITY_HEADER, mirrorIdentity } from "./mirror-identity.ts";
import type { Options } from "./options.ts";

/** How long a server on this machine may take to say which mirror it is, in ms. */
const IDENTITY_TIMEOUT = 2_000;

/**
 * The upstream that the user named, else the first of `go env GOPROXY`.
 * @returns its URL with user-info: a secret.
 * @throws MirrorError misuse when there is none, or when it is the mirror that is to be filled: its own folder, or a
 * `modferry serve` of it, to which a shell's GOPROXY often points.
 */
export async function chooseUpstream(options: Options, environment: CliEnvironment): Promise<string> {
  const given = resolve(options.mirror);
  const folder = existsSync(given) ? realpathSync(given) : given;
  const url = options.upstream ?? defaultUpstream(await environment.goproxy());
  for (const path of new Set([given, folder])) refuseSelf(url, path);
  const identity = await mirrorIdentity(folder);
  if (identity !== "" && isThisMachine(url) && (await servedIdentity(url)) === identity) {
    throw misuse(
      "--upstream",
      "--upstream: that server is `modferry serve` of this very mirror; name another one with --upstream URL",
    );
  }
  return url;
}

function isThisMachine(url: string): boolean {
  if (!/^https?:/i.test(url) || !URL.canParse(url)) return false;
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
  if (host === "localhost" || host === hostname() || host === "0.0.0.0" || host === "::") return true;
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return /^127\./.test(host) || own.some(({ address }) => address === host);
}

/** undefined where it does not answer, or is no `modferry serve`: what it is then is for its replies to show. */
async function servedIdentity(url: string): Promise<string | undefined> {
  try {
    const signal = AbortSignal.timeout(IDENTITY_TIMEOUT);
    // Only the origin: no user-info goes along.
    const reply = await fetch(new URL("/-/healthz", new URL(url).origin), { signal, redirect: "manual" });
    await reply.body?.cancel();
    return reply.headers.get(IDENTITY_HEADER) ?? undefined;
  } catch {
    return undefined;
  }
}
