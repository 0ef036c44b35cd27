import { redactUrl } from "../adapters/upstream/upstream-url.ts";
import { misuse } from "../mirror/errors.ts";

/** @returns undefined where the address is none of an endpoint. */
export function endpointUrl(address: string, from: "--mirror" | "MODFERRY_MIRROR"): URL | undefined {
  if (!/^https?:/i.test(address)) return undefined;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const isPlain = url?.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (url !== undefined && isPlain) return url;
  throw misuse(
    from,
    `${from}: ${redactUrl(address)}: give an endpoint's plain URL; its token goes into MODFERRY_TOKEN`,
  );
}

/** The folder of a mirror. @throws MirrorError misuse where it is an address. */
export function mirrorFolder(address: string, from: "--mirror" | "MODFERRY_MIRROR"): string {
  if (address === "") throw misuse(from, `${from}: empty; give a folder`);
  if (address.includes("\0")) throw misuse(from, `${from}: holds a NUL byte; give a folder`);
  if (/^(aws:|[a-z][a-z0-9+.-]*:\/\/)/i.test(address)) {
    const shown = address.startsWith("aws:") ? address : redactUrl(address);
    throw misuse(
      from,
      `${from}: ${shown}: give a folder's path; a deployed mirror takes requests through its vault's inbox`,
    );
  }
  return address;
}
