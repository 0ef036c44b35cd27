import { misuse } from "../mirror/errors.ts";
import type { CliEnvironment } from "./environment.ts";

/** What an Authorization header can carry (RFC 6750, b64token, and what else is printable). */
const TOKEN = /^[\x21-\x7e]{1,4096}$/;

/**
 * The token with which an endpoint takes requests, without the line end that files and secret stores put behind it.
 * @returns undefined where none is set. @throws MirrorError misuse where it could not be sent; its value is not shown.
 */
export function endpointToken({ variables }: Pick<CliEnvironment, "variables">): string | undefined {
  const token = (variables.MODFERRY_TOKEN ?? "").trim();
  if (token === "") return undefined;
  if (TOKEN.test(token)) return token;
  throw misuse(
    "MODFERRY_TOKEN",
    "MODFERRY_TOKEN: not one word of printable ASCII, of 4,096 characters at most; set it to the token alone",
  );
}
